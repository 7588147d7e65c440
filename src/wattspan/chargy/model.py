"""What the network's feed tells: connectors and the state each is in. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

AVAILABLE, CHARGING, UNAVAILABLE = "available", "charging", "unavailable"
STATES = (AVAILABLE, CHARGING, UNAVAILABLE)
"""In the order in which one of them wins where two connectors cannot be told apart."""

WORDS: Mapping[str, str] = {
    "AVAILABLE": AVAILABLE,
    **dict.fromkeys(("CHARGING", "SUSPENDED_EV", "SUSPENDED_EVSE", "FINISHING", "PREPARING"), CHARGING),
    **dict.fromkeys(("UNAVAILABLE", "OFFLINE", "FAULT"), UNAVAILABLE),
}
"""The feed's words, in capitals. What is not here counts as unavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """One connector. `speed_kw` is 0 where the feed does not tell it; `word` is the state as the feed spells it."""

    station: str
    device: str
    name: str
    speed_kw: int
    word: str

    @property
    def state(self) -> str:
        """One of STATES."""
        return WORDS.get(self.word.upper(), UNAVAILABLE)

    @property
    def place(self) -> tuple[str, str, str, int]:
        """What tells it apart on a metrics page."""
        return self.name, self.device, self.station, self.speed_kw


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One reading of the network. `faults` counts by kind what could not be read or was not understood."""

    connectors: tuple[Connector, ...]
    faults: Mapping[str, int] = field(default_factory=dict)


def merged(connectors: Iterable[Connector]) -> tuple[Connector, ...]:
    """Each place once, in order of appearance; of several the one that serves a driver best."""
    best: dict[tuple[str, str, str, int], Connector] = {}
    for each in connectors:
        known = best.setdefault(each.place, each)
        if STATES.index(each.state) < STATES.index(known.state):
            best[each.place] = each
    return tuple(best.values())
