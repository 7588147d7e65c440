"""Parts of a report as people write them: numbers of things, and the phases of a session."""

from datetime import datetime
from typing import Any

MINUTE_S, HOUR_S = 60, 3600


def counted(number: int, noun: str) -> str:
    """Return a number of things, such as "1 line" or "2 lines"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def phases_text(session: dict[str, Any]) -> str:
    """Return the phases of a session's row in their order, each once, with the time spent in them.

    The last phase of a session that goes on has no time.
    """
    entries = [each for each in session["timeline"] if each["phase"]]
    ends = [*(each["at"] for each in entries[1:]), session["ended_at"]]
    seconds: dict[str, float] = {}
    for entry, end in zip(entries, ends, strict=False):
        seconds[entry["name"]] = seconds.get(entry["name"], 0.0) + (0.0 if end is None else _between(entry["at"], end))
    return ", ".join(f"{name} {_duration(spent)}" if spent > 0 else name for name, spent in seconds.items())


def _between(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def _duration(seconds: float) -> str:
    if seconds < MINUTE_S:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE_S:.0f} min" if seconds < HOUR_S else f"{seconds / HOUR_S:.1f} h"
