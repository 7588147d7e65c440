"""Compares the answers of a mirror with those of the central system. Pure; it must not know connections."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from wattspan.domain.counters import ServerCounters

SLOWER_FACTOR, SLOWER_S = 2.0, 0.1
"""A mirror is slower if it takes more than this many times as long, and at least this many seconds more."""
MAX_ACTIONS = 200
MAX_EXAMPLES = 5
"""Pairs of statuses kept for each action."""
OTHER = "other"
MAX_TEXT = 50
_RESULT = 3
_MISSING = ""


class Answer(NamedTuple):
    """The part of an answer that is compared. `status` is OCPP's, or the code of a CALLERROR."""

    status: str | None
    seconds: float

    @classmethod
    def of(cls, frame: list[Any], seconds: float) -> "Answer":
        """Return the answer of a CALLRESULT or CALLERROR frame."""
        if frame[0] != _RESULT:
            return cls(f"CALLERROR {frame[2]}"[:MAX_TEXT], seconds)
        payload = frame[2] if isinstance(frame[2], dict) else {}
        found = payload.get("status")
        for name in ("idTagInfo", "idTokenInfo"):
            if isinstance(payload.get(name), dict):
                found = payload[name].get("status")
        return cls(found[:MAX_TEXT] if isinstance(found, str) else None, seconds)

    @classmethod
    def missing(cls) -> "Answer":
        """Return what stands for an answer that never came."""
        return cls(_MISSING, 0.0)


@dataclass(slots=True)
class _Action:
    compared: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    examples: Counter[tuple[str, str]] = field(default_factory=Counter)
    primary_s: float = 0.0
    mirror_s: float = 0.0
    timed: int = 0


class Comparison:
    """Counts differences by mirror and action, and reports them. Bounded."""

    def __init__(self, counters: ServerCounters) -> None:
        self._counters = counters
        self._actions: dict[tuple[str, str], _Action] = {}

    def compare(self, mirror: str, action: str, primary: Answer, theirs: Answer) -> None:
        """Compare both answers to one CALL."""
        key = (mirror, action[:MAX_TEXT])
        if key not in self._actions and len(self._actions) >= MAX_ACTIONS:
            key = (mirror, OTHER)
        found = self._actions.setdefault(key, _Action())
        found.compared += 1
        if theirs.status == _MISSING:
            self._count(found, mirror, "missing")
            return
        found.primary_s += primary.seconds
        found.mirror_s += theirs.seconds
        found.timed += 1
        if theirs.status != primary.status:
            self._count(found, mirror, "status")
            pair = (primary.status or "no status", theirs.status or "no status")
            if pair in found.examples or len(found.examples) < MAX_EXAMPLES:
                found.examples[pair] += 1
        if theirs.seconds > SLOWER_FACTOR * primary.seconds and theirs.seconds - primary.seconds >= SLOWER_S:
            self._count(found, mirror, "slower")

    def _count(self, action: _Action, mirror: str, kind: str) -> None:
        action.kinds[kind] += 1
        counts, key = self._counters.mirror_differences, (mirror, kind)
        counts[key] = counts.get(key, 0) + 1

    def report(self) -> str:
        """Return the report as text, a line for each mirror and action."""
        if not self._actions:
            return "no answers of mirrors to compare yet\n"
        head = (
            f"{'mirror':<24} {'action':<30} {'compared':>8} {'status':>7} {'missing':>7} {'slower':>7} "
            f"{'ms primary / mirror':>20}"
        )
        lines = [head]
        for (mirror, name), action in sorted(self._actions.items()):
            kinds, timed = action.kinds, max(1, action.timed)
            means = f"{action.primary_s / timed * 1e3:.1f} / {action.mirror_s / timed * 1e3:.1f}"
            lines.append(
                f"{mirror:<24} {name:<30} {action.compared:>8} {kinds['status']:>7} {kinds['missing']:>7} "
                f"{kinds['slower']:>7} {means:>20}"
            )
            for (status, theirs), count in action.examples.most_common():
                lines.append(f"{'':<25}{count} x {status} by the primary, {theirs} by the mirror")
        return "\n".join(lines) + "\n"
