"""INSERT … ON CONFLICT statements for SQLite and PostgreSQL alike."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def insert(dialect: sa.Dialect, table: sa.Table) -> Any:
    """Return the dialect's own INSERT into `table`, which has `on_conflict_do_update` and `on_conflict_do_nothing`."""
    return _INSERT[dialect.name](table)


def insert_values(dialect: sa.Dialect, table: sa.Table, columns: Sequence[str]) -> Any:
    """Return an INSERT of `columns`, each with a bind parameter of its name."""
    return insert(dialect, table).values({name: sa.bindparam(name, type_=table.c[name].type) for name in columns})


def upsert(dialect: sa.Dialect, table: sa.Table, columns: Sequence[str], keep_first: Sequence[str] = ()) -> Any:
    """Return an INSERT that otherwise updates all `columns` but the primary key and those whose first value is kept."""
    statement, keys = insert_values(dialect, table, columns), primary_key(table)
    changed = {name: statement.excluded[name] for name in columns if name not in keys and name not in keep_first}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def primary_key(table: sa.Table) -> list[str]:
    """Return the names of the table's primary key columns."""
    return [column.name for column in table.primary_key.columns]
