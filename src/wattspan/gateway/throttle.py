"""Throttles failed handshakes, by source and identity: each further failure doubles the wait. In memory and bounded.

A whole site of chargers may share one address, so a pair of source and identity is locked separately. A source that
fails under many identities is locked only for attempts that can be guesses: unknown identities, and secrets chosen by
people. A pair that succeeded before is not locked by failures of others under its identity: its secret is checked. This
module must not know what is checked.
"""

from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import Any

from wattspan.csms.security.backoff import Backoff, source_network

FREE = 10
"""Failures of one identity from one source that cause no wait."""
FREE_OF_SOURCE = 50
"""Failures of one source, over all identities, that cause no wait."""
FIRST_S = 1.0
LONGEST_S = 60.0
"""Longest wait, in seconds: a charger whose credentials were corrected must soon connect."""
FORGET_S = 600.0
"""Seconds without a failure after which the failures of a pair or source are forgotten."""
KEPT = 10_000
"""Maximum number of pairs, of sources, and of pairs that succeeded."""

Pair = tuple[str, str]


class Hold(Enum):
    """How an attempt is treated."""

    NOT = "checked"
    GUESSING = "checked only if the credentials can't be guessed"
    ALL = "refused without a check"


class Throttle:
    """Counts failures and decides how attempts are treated. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pairs: Backoff[Pair] = _backoff(FREE)
        self._sources: Backoff[str] = _backoff(FREE_OF_SOURCE)
        self._good: OrderedDict[Pair, None] = OrderedDict()
        self.on_failed: Callable[[str, str], None] | None = None
        """Called with source and identity of each failed attempt, to report it to the other nodes of a cluster."""

    def hold(self, source: str, cp_id: str) -> tuple[Hold, float]:
        """Return how an attempt is treated now, and the seconds until that ends (0: not held)."""
        now_s = self._clock()
        pair_s, source_s = self._pairs.wait_s((source, cp_id), now_s), self._sources.wait_s(source, now_s)
        if pair_s > 0.0:
            return (Hold.GUESSING if (source, cp_id) in self._good else Hold.ALL), pair_s
        return (Hold.GUESSING, source_s) if source_s > 0.0 else (Hold.NOT, 0.0)

    def failed(self, source: str, cp_id: str) -> None:
        """Record that an attempt was checked and failed."""
        self.failed_elsewhere(source, cp_id)
        if self.on_failed is not None:
            self.on_failed(source, cp_id)

    def failed_elsewhere(self, source: str, cp_id: str) -> None:
        """Record that an attempt failed on another node."""
        now_s = self._clock()
        self._pairs.failed((source, cp_id), now_s)
        self._sources.failed(source, now_s)

    def succeeded(self, source: str, cp_id: str) -> None:
        """Record a success. Failures of the source are kept: otherwise one valid charger could hide guessing."""
        pair = (source, cp_id)
        self._pairs.forget(pair)
        self._good[pair] = None
        self._good.move_to_end(pair)
        while len(self._good) > KEPT:
            self._good.popitem(last=False)


def _backoff(free: int) -> Backoff[Any]:
    return Backoff(free=free, first_s=FIRST_S, longest_s=LONGEST_S, forget_s=FORGET_S, max_keys=KEPT)


def source_of(address: object) -> str:
    """Return the source of a socket's remote address; "" for a socket that has none."""
    return source_network(str(address[0])) if isinstance(address, tuple) and address else ""
