"""A statement compiled to text, and the driver's cursor it runs on. It knows no table."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from wattspan.store.rows import Row

BLOCKS = (64, 8)
"""Rows that go out in one execution on SQLite. Its driver lets go of the interpreter lock with each execution, and a
busy event loop gives it back half a millisecond later: row by row, a batch would wait for that a hundred times.

PostgreSQL's driver sends rows one after the other without waiting in between, which was measured to be quicker.
"""


class Cursor(Protocol):
    """The driver's own cursor (PEP 249): a batch goes straight to it, past what SQLAlchemy does for each execution."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any: ...
    def executemany(self, sql: str, rows: list[Row], /) -> Any: ...
    def fetchone(self) -> Any: ...
    @property
    def rowcount(self) -> int: ...


class Prepared:
    """One statement's text for the dialect, and the order of its parameters.

    `several(rows)` makes a statement that does the same for several rows, their parameters one after the other; an
    insert needs none.
    """

    def __init__(
        self,
        dialect: sa.Dialect,
        statement: Any,
        columns: Sequence[str],
        table: sa.Table,
        several: Callable[[int], Any] | None = None,
    ) -> None:
        if statement.is_insert:
            statement = statement.inline()  # nobody asks for the ids that were given
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self.blocks: tuple[tuple[int, str], ...] = ()
        """The same for several rows at once, the largest first: (rows, text)."""
        blocks = BLOCKS if dialect.name == "sqlite" else ()
        if several is not None:
            self.blocks = tuple((rows, str(several(rows).compile(dialect=dialect))) for rows in blocks)
        elif statement.is_insert:
            self.blocks = tuple((rows, _repeated(self.sql, rows)) for rows in blocks)
        self.table = table.name
        self.columns = tuple(columns)
        placed = compiled.positiontup
        if placed is None or [name.removeprefix("b_") for name in placed] != list(columns):
            raise AssertionError(f"parameters of {table.name} are not in the order of its columns: {placed}")


def _repeated(sql: str, rows: int) -> str:
    """An INSERT's text with its row of parameters `rows` times."""
    return re.sub(r"VALUES (\([^()]*\))", lambda found: "VALUES " + ", ".join([found[1]] * rows), sql, count=1)
