"""Prints results: as a table on a terminal, as tab-separated lines in a pipe, as JSON for programs."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wattspan.cli.api_client import Json

UTC = " UTC"
GAP = 2
"""Spaces between two columns of a table."""


class Column(NamedTuple):
    """A column: its heading, the field that it shows, and how to format it.

    `priority`: 0 for columns that a table always has; of the others, those with the lowest number get their place in a
    narrow terminal first.
    """

    heading: str
    field: str
    format: Callable[[object], str] = str
    priority: int = 1


def timestamp(value: object) -> str:
    """Return a time of the API, to the second."""
    return f"{str(value)[:19].replace('T', ' ')}{UTC}"


def thousands(unit: str) -> Callable[[object], str]:
    """Return a formatter for numbers in thousands of `unit`, such as kWh."""
    return lambda value: f"{float(str(value)) / 1000:.2f} k{unit}"


def yes_no(value: object) -> str:
    """Return a boolean as "yes" or "no"."""
    return "yes" if value else "no"


def comma_separated(value: object) -> str:
    """Return a list as one cell."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")


def print_rows(rows: Iterable[Json], columns: Sequence[Column], *, as_json: bool) -> None:
    """Print rows. A column whose field the rows do not have is left out."""
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    rows = list(rows)
    columns = [column for column in columns if not rows or column.field in rows[0]]
    if not sys.stdout.isatty():
        click.echo("\t".join(column.heading for column in columns))
        for row in rows:
            click.echo("\t".join(cell(row, column) for column in columns))
        return
    width = shutil.get_terminal_size().columns
    console = Console(width=width, highlight=False)
    table, left_out = make_table(rows, columns, width)
    console.print(table)
    if left_out:
        headings = ", ".join(column.heading for column in left_out)
        click.echo(f"Not shown for lack of space: {headings}. --json prints everything.", err=True)


def print_fields(row: Json, columns: Sequence[Column], *, as_json: bool) -> None:
    """Print one row, a line a field. Fields without a value are left out."""
    if as_json:
        click.echo(json.dumps(row, ensure_ascii=False))
        return
    width = max(len(column.heading) for column in columns)
    for column in columns:
        if text := cell(row, column):
            click.echo(f"{column.heading:<{width}}  {text}")


def make_table(rows: Sequence[Json], columns: Sequence[Column], width: int) -> tuple[Table, Sequence[Column]]:
    """Return a table that fits `width`, and the columns left out of it. Nothing is cut.

    If the columns with priority 0 alone are too wide, the widest of them wrap.
    """
    cells = {column: _Cells.of(column, rows) for column in columns}
    left = width
    kept = set()
    for column in sorted(columns, key=lambda column: column.priority):
        if column.priority == 0 or cells[column].width + GAP <= left:
            left -= cells[column].width + GAP
            kept.add(column)
    shown = [column for column in columns if column in kept]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, GAP, 0, 0), show_edge=False)
    for column in shown:
        # Cells with spaces (dates, figures) stay on one line; an identifier that is too long wraps.
        table.add_column(cells[column].heading, overflow="fold", no_wrap=column.format is not str)
    for line in zip(*(cells[column].texts for column in shown), strict=True):
        table.add_row(*map(Text, line))
    return table, [column for column in columns if column not in kept]


class _Cells(NamedTuple):
    """A column's heading and cells in a table, where the heading names the time zone."""

    heading: str
    texts: Sequence[str]
    width: int

    @classmethod
    def of(cls, column: Column, rows: Sequence[Json]) -> "_Cells":
        heading, texts = column.heading, [cell(row, column) for row in rows]
        if column.format is timestamp:
            heading, texts = f"{heading} (UTC)", [text.removesuffix(UTC) for text in texts]
        return cls(heading, texts, max(Text(text).cell_len for text in [heading, *texts]))


def cell(row: Json, column: Column) -> str:
    """Return the text of a field, "" for none. Control characters that a charger sent never reach the terminal."""
    value = row.get(column.field)
    text = "" if value is None or value == "" else column.format(value)
    return "".join(char if char.isprintable() else "�" for char in text)
