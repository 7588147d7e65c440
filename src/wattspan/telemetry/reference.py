"""docs/metrics.md, generated from the catalogue: `python -m wattspan.telemetry.reference [FILE]`.

It owns the server's part. Other commands' metrics follow it; their packages generate them.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from wattspan.telemetry import catalogue
from wattspan.telemetry.catalogue import Metric

PAGE = Path("docs/metrics.md")

INTRODUCTION = """\
# Metrics, spans and attributes

Generated from `src/wattspan/telemetry/catalogue.py` by `make reference`; a test keeps the two equal.

The names are the same on `/metrics` and by OTLP, where they are instruments of the meter `wattspan`.

- The series of a charge point exist from its first connection or registration, its counters from 0. They disappear
  when it is decommissioned.
- Counters with `cp_id` are lifetime totals and survive a restart. Histograms, and counters without `cp_id`, start at
  0 with the process.
- `ocpp_cp_energy_total_wh` is a counter although its name does not end in `_total`. OpenMetrics forbids that, so it
  has the type `unknown` there.
- `target_info` on the page has the resource (`service_name`, `service_version`, `service_instance_id`). The instance id
  is derived from node, port and database, so it stays the same when the server restarts.
- The page is Prometheus text 0.0.4 or OpenMetrics, as the scraper asks. With `metrics_native_histograms` it is also
  Prometheus' protobuf format, which has native histograms beside the buckets below
  ([Telemetry backends](backends.md#exponential-and-native-histograms)).
- `http.server.request.duration`, the histogram of the stable HTTP conventions, leaves by OTLP only, beside
  `http_request_duration_seconds`.
"""

OTHER_COMMANDS = "## Metrics of `wattspan "
"""How the heading of another command's part begins."""


def text() -> str:
    """Return the server's part of the page, with the empty line that ends it."""
    return (
        "\n".join(
            [
                INTRODUCTION,
                "## Metrics\n",
                *table(("metric", "type", "unit", "meaning"), map(metric_row, catalogue.METRICS.values())),
                "",
                "## Bucket bounds\n",
                *table(("histogram", "upper bounds, in its unit"), _bounds(catalogue.METRICS.values())),
                "",
                *section("Spans", ("span", "meaning"), catalogue.SPANS),
                *section("Log records", ("`event.name`", "meaning"), catalogue.LOG_EVENTS),
                *section("Labels and attributes", ("name", "meaning"), catalogue.ATTRIBUTES),
            ]
        ).rstrip()
        + "\n\n"
    )


def write(page: Path) -> None:
    """Replace the server's part in `page` and keep what follows it. Raises OSError."""
    _, heading, others = page.read_text(encoding="utf-8").partition(OTHER_COMMANDS)
    page.write_text(text() + heading + others, encoding="utf-8")


def section(title: str, heads: tuple[str, str], entries: Mapping[str, str]) -> list[str]:
    """Return the lines of a section with a table of names and meanings; none if `entries` is empty."""
    if not entries:
        return []
    return [f"## {title}\n", *table(heads, ((f"`{name}`", meaning) for name, meaning in entries.items())), ""]


def metric_row(metric: Metric) -> tuple[str, ...]:
    """Return the cells of a metric's row."""
    labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
    return f"`{metric.name}{labels}`", metric.kind.value, f"`{metric.unit}`", metric.help


def _bounds(metrics: Iterable[Metric]) -> Iterable[tuple[str, ...]]:
    return ((f"`{each.name}`", " ".join(map(str, each.bounds))) for each in metrics if each.bounds)


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return the lines of a Markdown table."""
    cells = [heads, ("---",) * len(heads), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells]


if __name__ == "__main__":
    write(Path(sys.argv[1]) if sys.argv[1:] else PAGE)
