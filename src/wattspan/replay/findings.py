"""What is odd in a log: kinds of findings, and a bounded collection of them with their lines."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wattspan.domain import settlement

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
    "energy_corrected": "the energy of a session is not the difference of its registers: {}",
    "repeated_start": "a transaction that had started already was started again",
    "unmatched_stop": "a transaction was stopped whose start is not in the log",
    "reconnect": "the charge point connected again during a session",
    "clock": "a timestamp of the charge point is ahead of the log, or its clock was never set",
    "gap": "no message for more than 3 h during a connection",
    "time_order": "lines of the log go back in time",
}
"""The sentence for each kind; {} is the detail. The limits are those of `player`."""

CORRECTIONS: dict[str, str] = {
    settlement.START_MISSING: "the start has none",
    settlement.START_UNREACHABLE: "that of the start can't be before the others",
    settlement.STOP_MISSING: "the stop has none, or is missing",
    settlement.STOP_UNREACHABLE: "that of the stop can't follow the ones before",
    settlement.NO_ENERGY: "start and stop have the same one, but readings between them rise",
    settlement.REGISTER_RESET: "it was reset, or passed its highest value",
    settlement.REGISTER_CHANGED: "another one continued it",
    settlement.SESSION_RELATIVE: "it counts from the start of the session, unlike that of the start",
    settlement.WRONG_UNIT: "the unit of start and stop was wrong by 1,000",
}
"""Details of `energy_corrected` by the reason (docs/metering.md#reasons)."""

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
    place: int = 0
    """The number of the record at which it was found first."""
    count: int = 1

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

    def add(self, kind: str, cp_id: str, where: str, ts: float, detail: str = "", *, place: int = 0) -> None:
        """Add a finding, or count it."""
        found = self._found.get((kind, cp_id, detail))
        if found is not None:
            found.count += 1
        elif len(self._found) >= MAX_FINDINGS:
            self.left_out += 1
        else:
            self._found[kind, cp_id, detail] = Finding(kind, cp_id, detail, where, ts, place)

    def merge(self, others: Iterable["Findings"]) -> None:
        """Add the findings of other charge points, as if all had been added here in the order of their places."""
        for other in others:
            self._found |= other._found
            self.left_out += other.left_out
        found = sorted(self._found.items(), key=lambda item: (item[1].place, item[1].cp_id))
        self._found = dict(found[:MAX_FINDINGS])
        self.left_out += sum(each.count for _, each in found[MAX_FINDINGS:])

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.sorted())

    def __len__(self) -> int:
        return len(self._found)

    def sorted(self) -> Iterable[Finding]:
        """Return the findings by kind, in the order of KINDS, then by charge point."""
        order = {kind: place for place, kind in enumerate(KINDS)}
        return sorted(self._found.values(), key=lambda each: (order[each.kind], each.cp_id, -each.count))
