"""Counts of what the virtual charge points did and what was acknowledged, to compare with a central system's figures.

It owns the counts and their JSON form. It must not know what increments them.
"""

import json
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any


@dataclass(slots=True, kw_only=True)
class Figures:
    """Counts of one charge point, or of all. A repeated message counts in `repeats` only."""

    connections: int = 0
    """Handshakes that succeeded."""
    disconnects: int = 0
    """Connections that ended, closed by either side."""
    drops: int = 0
    """Connections aborted by fault injection; part of `disconnects`."""
    refusals: int = 0
    """Connection attempts that failed."""
    boots: int = 0
    """BootNotifications answered Accepted."""
    heartbeats: int = 0
    """Heartbeats answered."""
    statuses: int = 0
    """StatusNotifications answered."""
    error_notices: Counter[str] = field(default_factory=Counter)
    """Error reports answered (StatusNotification, 2.x: NotifyEvent), by error code."""
    starts: int = 0
    """StartTransactions answered (2.x: TransactionEvents Started)."""
    stops: int = 0
    """StopTransactions answered (2.x: TransactionEvents Ended)."""
    energy_wh: int = 0
    """Energy of the stops answered: register at the stop minus register at the start."""
    meter_values: int = 0
    """MeterValues answered (2.x: TransactionEvents Updated with a reading, too)."""
    repeats: int = 0
    """Messages repeated by fault injection, and answered again."""
    offline_sessions: int = 0
    """Sessions started offline by fault injection."""
    commands: Counter[str] = field(default_factory=Counter)
    """Commands answered, by action."""
    refused: int = 0
    """CALLERRORs received."""
    timeouts: int = 0
    """CALLs that were not answered in time."""
    mismatches: int = 0
    """Repeated starts that got a different transaction id than the first."""
    given_up: int = 0
    """Transaction messages dropped: refused too often, or part of a transaction whose start was dropped."""
    unacknowledged: int = 0
    """Transaction messages still queued when the simulation ended."""

    @property
    def errors(self) -> int:
        """The number of events that should not happen with a correct central system."""
        return self.refusals + self.refused + self.timeouts + self.mismatches + self.given_up + self.unacknowledged

    def as_dict(self) -> dict[str, Any]:
        """Return the counts by name, with plain types only. `dataclasses.asdict` counts the items of a Counter anew."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in values.items()}

    def add(self, other: "Figures") -> None:
        """Add the counts of `other` to these."""
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))


class Ledger:
    """The counts of every charge point."""

    def __init__(self) -> None:
        self.charge_points: dict[str, Figures] = {}

    def figures(self, cp_id: str) -> Figures:
        """Return the counts of one charge point, created on first use."""
        return self.charge_points.setdefault(cp_id, Figures())

    @property
    def total(self) -> Figures:
        """The current sum over all charge points."""
        total = Figures()
        for figures in self.charge_points.values():
            total.add(figures)
        return total

    def as_dict(self) -> dict[str, Any]:
        """Return `{"total": {…}, "charge_points": {cp_id: {…}}}`, with plain types only."""
        return {
            "total": self.total.as_dict(),
            "charge_points": {cp_id: figures.as_dict() for cp_id, figures in self.charge_points.items()},
        }

    def dump(self, path: Path) -> None:
        """Write the ledger to `path` as JSON. Raises OSError."""
        path.write_text(json.dumps(self.as_dict(), indent=2, sort_keys=True) + "\n", encoding="utf-8")
