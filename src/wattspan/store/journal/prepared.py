"""A statement compiled to SQL text, and the driver's cursor that runs it. It knows no table."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from wattspan.store.rows import Row

BLOCKS = (64, 8)
"""Rows in one execution on SQLite. Its driver releases the interpreter lock with each execution, and a busy event loop
returns it half a millisecond later: row by row, a batch would wait for that a hundred times.

PostgreSQL's driver pipelines single rows, which was measured to be faster.
"""


class Cursor(Protocol):
    """The driver's own cursor (PEP 249). Batches use it directly, without SQLAlchemy's work for each execution."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any: ...
    def executemany(self, sql: str, rows: list[Row], /) -> Any: ...
    def fetchone(self) -> Any: ...
    @property
    def rowcount(self) -> int: ...


class Prepared:
    """A statement's text for one dialect, and the order of its parameters.

    `several(rows)` returns a statement that does the same for several rows, with their parameters in sequence; an
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
            statement = statement.inline()  # the assigned ids are not needed
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self.blocks: tuple[tuple[int, str], ...] = ()
        """(rows, text) of the statement for several rows, the largest first."""
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
    """Return an INSERT's text with its row of parameters repeated `rows` times."""
    return re.sub(r"VALUES (\([^()]*\))", lambda found: "VALUES " + ", ".join([found[1]] * rows), sql, count=1)
