"""Writes docs/metrics.md from the catalogue: `python -m wattspan.telemetry.reference [FILE]`."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from wattspan.telemetry import catalogue, chargy_catalogue
from wattspan.telemetry.catalogue import Metric

PAGE = Path("docs/metrics.md")

INTRODUCTION = """\
# Metrics, spans and attributes

Generated from `src/wattspan/telemetry/catalogue.py` by `python -m wattspan.telemetry.reference`; a test compares them.

The names are the same on `/metrics` and by OTLP, where they are instruments of the meter `wattspan`. The series of a
charge point exist from the moment it is known, its counters from 0, and are removed together with it. Counters are
lifetime totals and survive a restart; histograms, and counters without `cp_id`, start at 0 with the process.
`ocpp_cp_energy_total_wh` is a counter although its name does not end in `_total`; OpenMetrics does not allow that, so
its type is `unknown` there.
"""

CHARGY = """\
The exporter for the public charging network is a separate process with its own page, which has `process_*`, too.
"""


def text() -> str:
    """Return the whole page as Markdown."""
    return (
        "\n".join(
            [
                INTRODUCTION,
                "## Metrics\n",
                *_table(("metric", "type", "unit", "meaning"), map(_row, catalogue.METRICS.values())),
                "",
                "## Bucket bounds\n",
                *_table(("histogram", "upper bounds, in its unit"), _bounds(catalogue.METRICS.values())),
                "",
                *_section("Spans", ("span", "meaning"), catalogue.SPANS),
                *_section("Labels and attributes", ("name", "meaning"), catalogue.ATTRIBUTES),
                "## Metrics of `wattspan chargy`\n",
                CHARGY,
                *_table(("metric", "type", "unit", "meaning"), map(_row, chargy_catalogue.METRICS.values())),
                "",
                *_section("Labels of `wattspan chargy`", ("name", "meaning"), chargy_catalogue.ATTRIBUTES),
            ]
        ).rstrip()
        + "\n"
    )


def _section(title: str, heads: tuple[str, str], entries: Mapping[str, str]) -> list[str]:
    if not entries:
        return []
    return [f"## {title}\n", *_table(heads, ((f"`{name}`", meaning) for name, meaning in entries.items())), ""]


def _row(metric: Metric) -> tuple[str, ...]:
    labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
    return f"`{metric.name}{labels}`", metric.kind.value, f"`{metric.unit}`", metric.help


def _bounds(metrics: Iterable[Metric]) -> Iterable[tuple[str, ...]]:
    return ((f"`{each.name}`", " ".join(map(str, each.bounds))) for each in metrics if each.bounds)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    cells = [heads, ("---",) * len(heads), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells]


if __name__ == "__main__":
    (Path(sys.argv[1]) if sys.argv[1:] else PAGE).write_text(text(), encoding="utf-8")
