"""Throttles failed handshakes, by source and identity: each further failure doubles the wait. In memory and bounded.

A whole site of chargers may share one address, so a pair of source and identity is locked separately. A source that
fails under many identities is locked only for attempts that can be guesses: unknown identities, and secrets chosen by
people. A pair that succeeded before is not locked by failures of others under its identity: its secret is checked. This
module must not know what is checked.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

K = TypeVar("K")

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


@dataclass(slots=True)
class _Record:
    failures: int = 0
    last_s: float = 0.0
    until_s: float = 0.0


class _Failures(Generic[K]):
    """Failures by key; the least recent are evicted first."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._records: OrderedDict[K, _Record] = OrderedDict()

    def wait_s(self, key: K, now_s: float) -> float:
        record = self._records.get(key)
        return 0.0 if record is None else max(0.0, record.until_s - now_s)

    def failed(self, key: K, now_s: float) -> None:
        record = self._records.pop(key, None)
        if record is None or now_s - record.last_s > FORGET_S:
            record = _Record()
        record.failures += 1
        record.last_s = now_s
        if record.failures >= self._free:
            record.until_s = now_s + min(LONGEST_S, FIRST_S * 2.0 ** min(record.failures - self._free, 10))
        self._records[key] = record
        while len(self._records) > KEPT:
            self._records.popitem(last=False)

    def forget(self, key: K) -> None:
        self._records.pop(key, None)


class Throttle:
    """Counts failures and decides how attempts are treated. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pairs: _Failures[Pair] = _Failures(FREE)
        self._sources: _Failures[str] = _Failures(FREE_OF_SOURCE)
        self._good: OrderedDict[Pair, None] = OrderedDict()

    def hold(self, source: str, cp_id: str) -> tuple[Hold, float]:
        """Return how an attempt is treated now, and the seconds until that ends (0: not held)."""
        now_s = self._clock()
        pair_s, source_s = self._pairs.wait_s((source, cp_id), now_s), self._sources.wait_s(source, now_s)
        if pair_s > 0.0:
            return (Hold.GUESSING if (source, cp_id) in self._good else Hold.ALL), pair_s
        return (Hold.GUESSING, source_s) if source_s > 0.0 else (Hold.NOT, 0.0)

    def failed(self, source: str, cp_id: str) -> None:
        """Record that an attempt was checked and failed."""
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


def source_of(address: object) -> str:
    """Return the source of a socket's remote address: the IPv4 address, or the /64 network of an IPv6 customer."""
    host = str(address[0]) if isinstance(address, tuple) and address else ""
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if parsed.version == 4:  # noqa: PLR2004
        return host
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped is not None else str(ipaddress.ip_network((parsed, 64), strict=False))
