"""What is odd in a log: kinds of findings, and a bounded collection of them with their lines."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

KINDS: dict[str, str] = {
    "schema_fault": "{} breaks the OCPP schema",
    "protocol_fault": "a message was refused or is no OCPP message: {}",
    "other_version": "{} has the format of another OCPP version than the connection",
    "slow_answer": "the answer to {} took more than 5 s",
    "no_answer": "{} has no answer",
    "command_rejected": "the charge point did not accept {}",
    "command_failed": "the charge point answered with an error: {}",
    "fault": "the charge point reported a fault: {}",
    "energy": "the energy register jumped by more than 10 kWh",
    "repeated_start": "a transaction that had started already was started again",
    "unmatched_stop": "a transaction was stopped whose start is not in the log",
    "reconnect": "the charge point connected again during a session",
    "clock": "a timestamp of the charge point is ahead of the log, or its clock was never set",
    "gap": "no message for more than 3 h during a connection",
    "time_order": "lines of the log go back in time",
}
"""The sentence for each kind; {} is the detail. The limits are those of `player`."""

MAX_FINDINGS = 1_000
"""Findings that are kept; a repeat of one only counts."""


@dataclass(slots=True)
class Finding:
    """Something odd, and how often. `where` is "file:line" of the first one."""

    kind: str
    cp_id: str
    detail: str
    where: str
    first_ts: float
    count: int = 1
    last_where: str = ""

    @property
    def text(self) -> str:
        """Return the finding as a sentence."""
        return KINDS[self.kind].format(self.detail)


class Findings:
    """Collects findings: those that differ only in place and time are one."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], Finding] = {}
        self.left_out = 0
        """Findings beyond MAX_FINDINGS."""

    def add(self, kind: str, cp_id: str, where: str, ts: float, detail: str = "") -> None:
        """Add a finding, or count it."""
        found = self._found.get((kind, cp_id, detail))
        if found is not None:
            found.count += 1
            found.last_where = where
        elif len(self._found) >= MAX_FINDINGS:
            self.left_out += 1
        else:
            self._found[kind, cp_id, detail] = Finding(kind, cp_id, detail, where, ts)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.sorted())

    def __len__(self) -> int:
        return len(self._found)

    def sorted(self) -> Iterable[Finding]:
        """Return the findings by kind, in the order of KINDS, then by charge point."""
        order = {kind: place for place, kind in enumerate(KINDS)}
        return sorted(self._found.values(), key=lambda each: (order[each.kind], each.cp_id, -each.count))
