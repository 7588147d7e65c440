"""A statement compiled to SQL text, and the driver's cursor that runs it. It knows no table."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from wattspan.store.journal.arrays import Encode, array_type, encoder
from wattspan.store.rows import Row

BLOCKS = (64, 8)
"""Rows in one execution on SQLite. Its driver releases the interpreter lock with each execution, and a busy event loop
returns it half a millisecond later: row by row, a batch would wait for that a hundred times.
"""
ARRAY_ROWS = 512
"""Rows in one execution on PostgreSQL, where a statement may take them as arrays."""


class Cursor(Protocol):
    """The driver's own cursor (PEP 249). Batches use it directly, without SQLAlchemy's work for each execution."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any: ...
    def executemany(self, sql: str, rows: list[Row], /) -> Any: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> Any: ...


class Prepared:
    """A statement's text for one dialect, and the order of its parameters.

    `several(rows)` returns a statement that does the same for several rows, with their parameters in sequence; an
    insert needs none.

    `from_arrays`: on PostgreSQL, have `in_arrays` too; no two rows of an execution may have the same key.
    """

    def __init__(
        self,
        dialect: sa.Dialect,
        statement: Any,
        columns: Sequence[str],
        table: sa.Table,
        several: Callable[[int], Any] | None = None,
        *,
        from_arrays: bool = False,
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
        self.in_arrays: str | None = None
        """The statement for any number of rows, with an array for each column (see `arrays`); None: there is none."""
        self.encoders: tuple[Encode, ...] = ()
        if from_arrays and dialect.name == "postgresql":
            placed_in = [table.c[name] for name in columns]
            self.encoders = tuple(map(encoder, placed_in))
            arrays = f"unnest({', '.join(f'%s::{array_type(column, dialect)}' for column in placed_in)})"
            self.in_arrays = (_inserted if statement.is_insert else _updated)(self.sql, arrays, table, columns)
        self.table = table.name
        self.columns = tuple(columns)
        placed = compiled.positiontup
        if placed is None or [name.removeprefix("b_") for name in placed] != list(columns):
            raise AssertionError(f"parameters of {table.name} are not in the order of its columns: {placed}")


def _repeated(sql: str, rows: int) -> str:
    """Return an INSERT's text with its row of parameters repeated `rows` times."""
    return re.sub(r"VALUES (\([^()]*\))", lambda found: "VALUES " + ", ".join([found[1]] * rows), sql, count=1)


def _inserted(sql: str, rows: str, _table: sa.Table, _columns: Sequence[str]) -> str:
    """Return an INSERT's text with the result of a function instead of its row of parameters."""
    head, _, rest = sql.partition(" VALUES ")
    _, on_conflict, action = rest.partition(" ON CONFLICT ")
    return f"{head} SELECT * FROM {rows}{on_conflict}{action}"  # noqa: S608 - from our own statement


def _updated(_sql: str, rows: str, table: sa.Table, columns: Sequence[str]) -> str:
    """Return an UPDATE of the rows whose key is the last of `columns`, from the result of a function."""
    *changed, key = columns
    values = ", ".join(f"{name} = figures.{name}" for name in changed)
    source = f"{rows} AS figures({', '.join(columns)})"
    return f"UPDATE {table.name} SET {values} FROM {source} WHERE {table.name}.{key} = figures.{key}"  # noqa: S608
