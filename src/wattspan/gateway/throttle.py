"""Failed handshakes, by source and identity: each further one waits longer. In memory, bounded; a restart forgets.

Chargers share addresses: behind one there may be a whole site. So a pair of source and identity is locked for itself;
a source that fails under many identities is locked only for what guessing could gain from (unknown identities and
secrets that people chose). A pair that succeeded before is never locked by what others do in its name: its secret is
simply checked. It must not know what is checked.
"""

from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import Any

from wattspan.csms.security.backoff import Backoff, source_network

FREE = 10
"""Failures of one identity from one source without consequence."""
FREE_OF_SOURCE = 50
FIRST_S = 1.0
LONGEST_S = 60.0
"""A charger that was put right must not wait for long."""
FORGET_S = 600.0
"""Without failures for so long, a pair or source begins anew."""
KEPT = 10_000
"""Pairs, sources and good pairs remembered, each."""

Pair = tuple[str, str]


class Hold(Enum):
    """How far an attempt may go."""

    NOT = "checked like any other"
    GUESSING = "checked where nothing can be guessed"
    ALL = "not even looked at"


class Throttle:
    """`clock` is seconds that only rise."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pairs: Backoff[Pair] = _backoff(FREE)
        self._sources: Backoff[str] = _backoff(FREE_OF_SOURCE)
        self._good: OrderedDict[Pair, None] = OrderedDict()

    def hold(self, source: str, cp_id: str) -> tuple[Hold, float]:
        """How far an attempt may go now, and after how many seconds it may go further."""
        now_s = self._clock()
        pair_s, source_s = self._pairs.wait_s((source, cp_id), now_s), self._sources.wait_s(source, now_s)
        if pair_s > 0.0:
            return (Hold.GUESSING if (source, cp_id) in self._good else Hold.ALL), pair_s
        return (Hold.GUESSING, source_s) if source_s > 0.0 else (Hold.NOT, 0.0)

    def failed(self, source: str, cp_id: str) -> None:
        """An attempt was looked at, and was no good."""
        now_s = self._clock()
        self._pairs.failed((source, cp_id), now_s)
        self._sources.failed(source, now_s)

    def succeeded(self, source: str, cp_id: str) -> None:
        """Its secret or certificate was right. The source stays, or one good charger would hide guessing."""
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
