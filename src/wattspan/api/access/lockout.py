"""Locks logins after failures, by name and by source: each further failure locks for twice as long.

A name that no user has is treated like any other, so that a lockout does not reveal who exists.
"""

from collections.abc import Callable
from typing import Protocol

from wattspan.csms.security.backoff import Backoff, source_network

FREE = 5
"""Failures of a name without consequence."""
FREE_OF_SOURCE = 20
"""Failures of a source without consequence: several people may share an address."""
FIRST_S = 2.0
LONGEST_S = 900.0
FORGET_S = 3600.0
"""Without failures for so long, a name or source starts afresh."""
MAX_KEYS = 10_000
"""Names remembered, and sources."""


class FailureCounts(Protocol):
    """Counts failures by key on all nodes. `cluster.counters.SharedBackoff` implements it."""

    async def wait_s(self, key: str) -> float: ...
    async def failed(self, key: str) -> None: ...
    def forget(self, key: str) -> None: ...


class SharedLockout:
    """The lockout of all nodes of a cluster, beside each node's own, which goes on while the shared one is away.

    `make` returns the counts of a kind of keys: (kind, failures without consequence).
    """

    def __init__(self, make: Callable[[str, int], FailureCounts]) -> None:
        self._names = make("login name", FREE)
        self._sources = make("login source", FREE_OF_SOURCE)

    async def wait_s(self, name: str, source: str) -> float:
        """Return how many seconds a login must wait; 0 when it may be tried."""
        return max(
            await self._names.wait_s(name.casefold()),
            await self._sources.wait_s(source_network(source)),
        )

    async def failed(self, name: str, source: str) -> None:
        """Record a failed login."""
        await self._names.failed(name.casefold())
        await self._sources.failed(source_network(source))

    def succeeded(self, name: str) -> None:
        """Record a successful login, as `Lockout.succeeded` does."""
        self._names.forget(name.casefold())


class Lockout:
    """`clock` is monotonic seconds. `on_lockout` is called for every lock with name, source and its seconds.

    The name is "" when the lock is one of the source.
    """

    def __init__(self, clock: Callable[[], float], on_lockout: Callable[[str, str, float], None]) -> None:
        self._clock = clock
        self._on_lockout = on_lockout
        self._names = _backoff(FREE)
        self._sources = _backoff(FREE_OF_SOURCE)

    def wait_s(self, name: str, source: str) -> float:
        """Return how many seconds a login must wait; 0 when it may be tried."""
        now_s = self._clock()
        return max(self._names.wait_s(name.casefold(), now_s), self._sources.wait_s(source_network(source), now_s))

    def failed(self, name: str, source: str) -> None:
        """Record a failed login."""
        now_s, network = self._clock(), source_network(source)
        if self._names.failed(name.casefold(), now_s):
            self._on_lockout(name, source, self._names.wait_s(name.casefold(), now_s))
        if self._sources.failed(network, now_s):
            self._on_lockout("", source, self._sources.wait_s(network, now_s))

    def succeeded(self, name: str) -> None:
        """Record a successful login: the name starts afresh. Its source does not, or it could hide guesses."""
        self._names.forget(name.casefold())


def _backoff(free: int) -> Backoff[str]:
    return Backoff(free=free, first_s=FIRST_S, longest_s=LONGEST_S, forget_s=FORGET_S, max_keys=MAX_KEYS)
