"""The expected metrics of a charge point, computed from what happened to it, without our code."""

from dataclasses import dataclass, field

from support.chargers import Payload

CP = "CP1"


@dataclass(slots=True, kw_only=True)
class Session:
    """A transaction: the registers of its meter, and its messages."""

    connector_id: int
    start_wh: int
    start: Payload
    transaction_id: int = 0
    shown_wh: int | None = None
    """Its newest meter value; None: there was none."""
    last: Payload | None = None
    """The newest MeterValues, to be sent again."""
    stop: Payload | None = None

    @property
    def energy_wh(self) -> int:
        return 0 if self.shown_wh is None else self.shown_wh - self.start_wh


@dataclass(slots=True)
class Count:
    """A counter of events without an answer: its value is between two bounds until /metrics is read."""

    low: int = 0
    high: int = 0
    safe: int = 0
    """Its value at the last answer: the least that must remain after a crash."""

    def add(self, sure: int, unsure: int = 0) -> None:
        self.low += sure
        self.high += sure + unsure

    def check(self, shown: int) -> None:
        assert self.low <= shown <= self.high, f"{shown} is not within {self.low} and {self.high}"
        self.low = self.high = shown


@dataclass(slots=True)
class Truth:
    """Everything that happened to the charge point."""

    sessions: list[Session] = field(default_factory=list)
    open: dict[int, Session] = field(default_factory=dict)
    currents: dict[int, float] = field(default_factory=dict)
    energy_wh: int = 0
    jumps: int = 0
    boots: int = 0
    disconnects: Count = field(default_factory=Count)
    reconnects: Count = field(default_factory=Count)
    connected: bool = False

    def figures(self) -> dict[str, float]:
        """Return the value of every series that is certain."""
        found: dict[str, float] = {
            series("ocpp_cp_connected"): self.connected,
            series("ocpp_cp_boots_total"): self.boots,
            series("ocpp_tx_total"): len(self.sessions),
            series("ocpp_cp_energy_total_wh"): self.energy_wh,
            series("ocpp_energy_jump_total"): self.jumps,
        }
        for connector_id in {session.connector_id for session in self.sessions}:
            session = self.open.get(connector_id)
            found[series("ocpp_tx_active", connector_id)] = session is not None
            found[series("ocpp_tx_energy_wh", connector_id)] = session.energy_wh if session else 0
        for connector_id, current_a in self.currents.items():
            found[series("ocpp_cp_current_a", connector_id)] = current_a
        return found


def series(name: str, connector_id: int | None = None) -> str:
    labels = f'cp_id="{CP}"' + ("" if connector_id is None else f',connector_id="{connector_id}"')
    return f"{name}{{{labels}}}"
