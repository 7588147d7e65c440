"""The connectors in the network's feed and their states. Pure data; it must not know the format of the feed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

AVAILABLE, CHARGING, UNAVAILABLE = "available", "charging", "unavailable"
STATES = (AVAILABLE, CHARGING, UNAVAILABLE)
"""In order of precedence for connectors that have the same labels."""

STATE_BY_WORD: Mapping[str, str] = {
    "AVAILABLE": AVAILABLE,
    **dict.fromkeys(("CHARGING", "SUSPENDED_EV", "SUSPENDED_EVSE", "FINISHING", "PREPARING"), CHARGING),
    **dict.fromkeys(("UNAVAILABLE", "OFFLINE", "FAULT"), UNAVAILABLE),
}
"""State by the feed's word, in upper case. Words that are missing here count as unavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """One connector. `speed_kw` is 0 if the feed has none; `word` is the state as the feed spells it."""

    station: str
    device: str
    name: str
    speed_kw: int
    word: str

    @property
    def state(self) -> str:
        """One of STATES."""
        return STATE_BY_WORD.get(self.word.upper(), UNAVAILABLE)

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Name, device, station and power, which identify it in metrics."""
        return self.name, self.device, self.station, self.speed_kw


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """The content of one feed document. `faults` counts what was invalid or unknown, by `catalogue.FAULTS`."""

    connectors: tuple[Connector, ...]
    faults: Mapping[str, int] = field(default_factory=dict)


def without_duplicates(connectors: Iterable[Connector]) -> tuple[Connector, ...]:
    """Return each key once, in order of appearance; of several connectors, the first in the order of STATES."""
    best: dict[tuple[str, str, str, int], Connector] = {}
    for each in connectors:
        known = best.setdefault(each.key, each)
        if STATES.index(each.state) < STATES.index(known.state):
            best[each.key] = each
    return tuple(best.values())
