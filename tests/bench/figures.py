"""The figures of a run: each with its target, printed as a table and written as JSON. It measures nothing."""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table. `target` is met by a value at least as high, or with `below` at most as high.

    `target` None: it has none, and is there to compare others with.
    """

    name: str
    value: float
    target: float | None
    unit: str
    below: bool = False
    detail: str = ""

    @property
    def met(self) -> bool:
        if self.target is None:
            return True
        return self.value <= self.target if self.below else self.value >= self.target


@dataclass(slots=True, kw_only=True)
class Results:
    """All figures of a run, and what they were worked out from."""

    figures: list[Figure] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)

    def add(self, figure: Figure) -> None:
        """Add a figure, and print it at once: a run takes minutes."""
        self.figures.append(figure)
        print(line(figure), flush=True)

    def write(self, path: Path = RESULTS) -> None:
        """The whole run as JSON."""
        figures = [asdict(figure) | {"met": figure.met} for figure in self.figures]
        path.write_text(json.dumps({"machine": machine(), "figures": figures, "raw": self.raw}, indent=2) + "\n")


def line(figure: Figure) -> str:
    """A figure as a line of the table."""
    value, target, verdict = f"{figure.value:.2f} {figure.unit}", "", ""
    if figure.target is not None:
        target = f"{'<=' if figure.below else '>='} {figure.target:g} {figure.unit}"
        verdict = "met" if figure.met else "NOT MET"
    return f"{figure.name:<62} {value:>12}  {target:>12}  {verdict:<7}  {figure.detail}"


def machine() -> Mapping[str, Any]:
    """Where and when it ran."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
    }


def middle(values: Sequence[float]) -> float:
    """The median: one round that somebody else's work disturbed does not count."""
    return statistics.median(values)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (text.split(":", 1)[1].strip() for text in lines if text.startswith("model name")), platform.processor()
    )
