"""Failed log-ins, by name and by source: after a few, each further one locks for twice as long. In memory, bounded.

A name that nobody has is treated like any other, so that a lockout does not tell who exists. A restart forgets.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

FREE = 5
"""Failures of a name without consequence."""
FREE_OF_SOURCE = 20
"""Failures of a source without consequence: several people may share an address."""
FIRST_S = 2.0
LONGEST_S = 900.0
FORGET_S = 3600.0
"""Without failures for so long, a name or source begins anew."""
KEPT = 10_000
"""Names and sources remembered."""


@dataclass(slots=True)
class _Record:
    failures: int = 0
    last_s: float = 0.0
    until_s: float = 0.0


class Lockout:
    """`clock` is seconds that only rise."""

    def __init__(self, clock: Callable[[], float], on_lockout: Callable[[], None]) -> None:
        self._clock = clock
        self._on_lockout = on_lockout
        self._records: OrderedDict[tuple[str, str], _Record] = OrderedDict()

    def wait_s(self, name: str, source: str) -> float:
        """How long a log-in must wait; 0 when it may be tried."""
        now_s = self._clock()
        found = [self._records.get(key) for key, _ in _keys(name, source)]
        return max([0.0, *(record.until_s - now_s for record in found if record is not None)])

    def failed(self, name: str, source: str) -> None:
        """A log-in failed."""
        now_s = self._clock()
        for key, free in _keys(name, source):
            record = self._records.pop(key, None)
            if record is None or now_s - record.last_s > FORGET_S:
                record = _Record()
            record.failures += 1
            record.last_s = now_s
            if record.failures >= free:
                record.until_s = now_s + min(LONGEST_S, FIRST_S * 2.0 ** min(record.failures - free, 10))
                self._on_lockout()
            self._records[key] = record
        while len(self._records) > KEPT:
            self._records.popitem(last=False)

    def succeeded(self, name: str, source: str) -> None:
        """A log-in succeeded: the name begins anew. Its source does not, or one good account would hide guessing."""
        (key, _), _ = _keys(name, source)
        self._records.pop(key, None)


def _keys(name: str, source: str) -> tuple[tuple[tuple[str, str], int], ...]:
    return ((("name", name.casefold()), FREE), (("source", _network(source)), FREE_OF_SOURCE))


def _network(source: str) -> str:
    """The address, or of IPv6 the /64 it is in: one subscriber has all of that."""
    try:
        address = ip_address(source.partition("%")[0])
    except ValueError:
        return source
    if address.version == 6 and address.ipv4_mapped is None:  # noqa: PLR2004
        return str(ip_network((address, 64), strict=False))
    return source
