"""A past for a Prometheus: OpenMetrics text by promtool, then what the recording rules would have made of it.

Knows files, promtool and rules. What the history tells it must not know (`fleet_history.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from stack.servers import Prometheus, promtool
from support.monitoring import Rule, metric_names, rules

BLOCK_S = 18 * 3600
"""Prometheus's own third size of block; 15 days of the first one, of 2 h, would be compacted during the test."""
EVERY_S = 300
"""Between two values of a backfilled rule: what a range query looks back at most."""
AT_ONCE = 2

Points = tuple[dict[str, str], list[tuple[float, float]]]
"""Labels of a series, and time and value of its points."""


class Told(Protocol):
    """A history, by the time it is asked for."""

    def lines(self, begin_s: int, end_s: int) -> Iterator[str]:
        """OpenMetrics' lines with time stamps, from `begin_s` until before `end_s`."""


async def backfill(told: Told, data: Path, scratch: Path, *, begin_s: int, end_s: int) -> None:
    """Blocks of raw series in `data`: a file and a promtool a block, for it reads its file once for each."""
    await asyncio.to_thread(scratch.mkdir)
    promtools = asyncio.Semaphore(AT_ONCE)

    async def block(number: int) -> None:
        async with promtools:
            path = scratch / f"{number}.om"
            await asyncio.to_thread(_write, told, path, number * BLOCK_S, (number + 1) * BLOCK_S)
            await _promtool("--quiet", "openmetrics", str(path), str(data))
            path.unlink()

    async with asyncio.TaskGroup() as blocks:
        for number in range(begin_s // BLOCK_S, end_s // BLOCK_S + 1):
            blocks.create_task(block(number))


def _write(told: Told, path: Path, begin_s: int, end_s: int) -> None:
    with path.open("w", encoding="ascii") as file:
        file.writelines(told.lines(begin_s, end_s))
        file.write("# EOF\n")


async def backfill_rules(folder: Path, *, begin_s: int, end_s: int) -> None:
    """Blocks of recorded series beside the raw ones in `folder`/prometheus, from the shipped rules.

    `promtool tsdb create-blocks-from rules` makes a block of each rule and day, hundreds; so Prometheus itself is
    asked. Rules that read recorded series are left out: what alerts and those rules look back at comes from raw series.
    """
    recorded = {rule.name for rule in rules() if not rule.is_alert}
    chosen = [rule for rule in rules() if not rule.is_alert and not metric_names(rule.expr) & recorded]
    async with Prometheus.run(folder, []) as reader:
        told = [(rule, await reader.over(rule.expr, begin_s=begin_s, end_s=end_s, step_s=EVERY_S)) for rule in chosen]
    await backfill(_Recorded(told), folder / "prometheus", folder / "recorded", begin_s=begin_s, end_s=end_s)


class _Recorded:
    """What rules gave, as a history."""

    def __init__(self, told: Iterable[tuple[Rule, Iterable[Points]]]) -> None:
        self._series = [
            (_written(rule.name, {**labels, **rule.labels}), points)
            for rule, series in told
            for labels, points in series
        ]

    def lines(self, begin_s: int, end_s: int) -> Iterator[str]:
        for series, points in self._series:
            for at_s, value in points:
                if begin_s <= at_s < end_s:
                    yield f"{series} {value:.10g} {at_s:.0f}\n"


def _written(name: str, labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{label}="{value}"' for label, value in labels.items() if label != "__name__")
    return f"{name}{{{inner}}}"


async def _promtool(*arguments: str) -> None:
    command = [str(promtool()), "tsdb", "create-blocks-from", f"--max-block-duration={BLOCK_S}s", *arguments]
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await child.communicate()
    assert child.returncode == 0, output.decode(errors="replace")[-2000:]
