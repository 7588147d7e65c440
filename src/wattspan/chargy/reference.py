"""The part of docs/metrics.md on `wattspan chargy`, from its catalogue: `python -m wattspan.chargy.reference [FILE]`.

It owns that part alone; `wattspan.telemetry.reference` owns the part before it.
"""

import sys
from pathlib import Path

from wattspan.chargy import catalogue
from wattspan.telemetry.reference import OTHER_COMMANDS, PAGE, metric_row, section, table

INTRODUCTION = """\
`wattspan chargy` exports the Chargy public network. It is a separate process with its own page, which has the
`process_*` metrics as well.
"""


def text() -> str:
    """Return the part, with its headings."""
    lines = [
        f"{OTHER_COMMANDS}chargy`\n",
        INTRODUCTION,
        *table(("metric", "type", "unit", "meaning"), map(metric_row, catalogue.METRICS.values())),
        "",
        *section("Labels of `wattspan chargy`", ("name", "meaning"), catalogue.ATTRIBUTES),
    ]
    return "\n".join(lines).rstrip() + "\n"


def write(page: Path) -> None:
    """Replace the part in `page`, or append it. Raises OSError."""
    before, _, _ = page.read_text(encoding="utf-8").partition(OTHER_COMMANDS)
    page.write_text(before + text(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if sys.argv[1:] else PAGE)
