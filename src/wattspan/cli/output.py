"""Results for eyes, for other commands and for programs: a table on a terminal, tab-separated lines in a pipe, JSON."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wattspan.cli.client import Json


class Column(NamedTuple):
    """A column: its head, the field it shows, and how."""

    head: str
    field: str
    show: Callable[[object], str] = str


def instant(value: object) -> str:
    """A time of the API's, to the second."""
    return f"{str(value)[:19].replace('T', ' ')} UTC"


def kilo(unit: str) -> Callable[[object], str]:
    """A figure in thousands."""
    return lambda value: f"{float(str(value)) / 1000:.2f} k{unit}"


def yes_no(value: object) -> str:
    """A flag."""
    return "yes" if value else "no"


def listed(value: object) -> str:
    """A list in one cell."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


json_option = click.option("--json", "as_json", is_flag=True, help="For programs: JSON, a line each.")


def show(rows: Iterable[Json], columns: Sequence[Column], *, as_json: bool) -> None:
    """Print rows. A column that the rows don't have is left out."""
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    rows = list(rows)
    there = [column for column in columns if not rows or column.field in rows[0]]
    lines = [[cell(row, column) for column in there] for row in rows]
    if not sys.stdout.isatty():
        for line in [[column.head for column in there], *lines]:
            click.echo("\t".join(line))
        return
    table = Table(*(column.head for column in there))
    for line in lines:
        table.add_row(*map(Text, line))
    Console().print(table)


def show_one(row: Json, columns: Sequence[Column], *, as_json: bool) -> None:
    """Print one thing: a line a field."""
    if as_json:
        click.echo(json.dumps(row, ensure_ascii=False))
        return
    width = max(len(column.head) for column in columns)
    for column in columns:
        if text := cell(row, column):
            click.echo(f"{column.head:<{width}}  {text}")


def cell(row: Json, column: Column) -> str:
    """The text of a field, "" for none. What a charger wrote moves no cursor of the reader's terminal."""
    value = row.get(column.field)
    text = "" if value is None or value == "" else column.show(value)
    return "".join(char if char.isprintable() else "�" for char in text)
