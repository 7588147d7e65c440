"""What the virtual charge points did and saw acknowledged, for tests to compare with a central system's figures."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any


@dataclass(slots=True, kw_only=True)
class Figures:
    """Of one charge point, or of all. A repetition counts in `repeats` and nowhere else."""

    connections: int = 0
    """Handshakes that succeeded."""
    disconnects: int = 0
    """Connections that ended, whoever ended them."""
    drops: int = 0
    """Of these: connections we aborted to make a fault."""
    refusals: int = 0
    """Attempts to connect that failed."""
    boots: int = 0
    """BootNotifications answered Accepted."""
    heartbeats: int = 0
    """Heartbeats answered."""
    statuses: int = 0
    """StatusNotifications answered."""
    error_notices: Counter[str] = field(default_factory=Counter)
    """Notices of an error answered (StatusNotification, 2.x: NotifyEvent), by error code."""
    starts: int = 0
    """StartTransactions answered (2.x: TransactionEvents Started)."""
    stops: int = 0
    """StopTransactions answered (2.x: TransactionEvents Ended)."""
    energy_wh: int = 0
    """Energy of the stops answered: the register at the stop less that at the start."""
    meter_values: int = 0
    """MeterValues answered (2.x: TransactionEvents Updated with a reading, too)."""
    repeats: int = 0
    """Messages sent again after their answer, and answered again."""
    offline_sessions: int = 0
    """Sessions begun without a connection on purpose."""
    commands: Counter[str] = field(default_factory=Counter)
    """Commands answered, by action."""
    refused: int = 0
    """CALLERRORs we got."""
    timeouts: int = 0
    """Calls without an answer in time."""
    mismatches: int = 0
    """Repeated starts that were given another transaction id than the first."""
    given_up: int = 0
    """Transaction messages dropped: refused too often, or of a transaction whose start was."""
    unacknowledged: int = 0
    """Transaction messages still waiting when the simulation ended."""

    @property
    def errors(self) -> int:
        """All that should not happen with a central system in order."""
        return self.refusals + self.refused + self.timeouts + self.mismatches + self.given_up + self.unacknowledged

    def add(self, other: "Figures") -> None:
        """Adds the other's figures to these."""
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))


class Ledger:
    """The figures by charge point."""

    def __init__(self) -> None:
        self.charge_points: dict[str, Figures] = {}

    def of(self, cp_id: str) -> Figures:
        """The figures of one charge point; made when new."""
        return self.charge_points.setdefault(cp_id, Figures())

    @property
    def total(self) -> Figures:
        """The sum over all charge points, as of now."""
        total = Figures()
        for figures in self.charge_points.values():
            total.add(figures)
        return total

    def as_dict(self) -> dict[str, Any]:
        """`{"total": {…}, "charge_points": {cp_id: {…}}}`, plain types only."""
        return {
            "total": asdict(self.total),
            "charge_points": {cp_id: asdict(figures) for cp_id, figures in self.charge_points.items()},
        }

    def dump(self, path: Path) -> None:
        """Writes it as JSON."""
        path.write_text(json.dumps(self.as_dict(), indent=2, sort_keys=True) + "\n", encoding="utf-8")
