"""The statements of the device model's tables, compiled once for a dialect; the counterpart of `statements`."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from wattspan.domain.device_model import WRITE_ONLY
from wattspan.store.journal.prepared import Prepared
from wattspan.store.schema import tables as t

_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_WRITE_ONLY: Any = sa.literal_column(f"'{WRITE_ONLY}'")
_TOLD = ("value", "told_ts", "told")


class DeviceStatements:
    """What is written of the device model."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._dialect = dialect
        self._insert = _INSERT[dialect.name]

    @cached_property
    def attribute(self) -> Prepared:
        """Adds or replaces a value unless a later one is there. What is not told of it stays as it was."""
        table = t.device_attributes
        columns = [column.name for column in table.columns]
        statement = self._insert(table).values(_binds(table, columns))
        new = statement.excluded
        stays = {name: sa.func.coalesce(new[name], table.c[name]) for name in ("mutability", "persistent", "constant")}
        secret = stays["mutability"] == _WRITE_ONLY
        moved = {**stays, "value": sa.case((secret, sa.null()), else_=new.value), "told_ts": new.told_ts}
        upsert = statement.on_conflict_do_update(
            index_elements=_keys(table), set_=moved, where=new.told_ts >= table.c.told_ts
        )
        return Prepared(self._dialect, upsert, columns, table)

    @cached_property
    def characteristics(self) -> Prepared:
        return self._upsert(t.device_characteristics, [column.name for column in t.device_characteristics.columns])

    @cached_property
    def monitor(self) -> Prepared:
        return self._upsert(t.device_monitors, [column.name for column in t.device_monitors.columns])

    @cached_property
    def drop_monitor(self) -> Prepared:
        return self._drop(t.device_monitors, _keys(t.device_monitors))

    @cached_property
    def stream(self) -> Prepared:
        columns = [column.name for column in t.event_streams.columns if column.name not in _TOLD]
        return self._upsert(t.event_streams, columns)

    @cached_property
    def stream_value(self) -> Prepared:
        """Adds to what a stream told; its newest value stays."""
        table = t.event_streams
        columns = [*_keys(table), *_TOLD]
        statement = self._insert(table).values(_binds(table, columns))
        new = statement.excluded
        later = sa.or_(table.c.told_ts.is_(None), new.told_ts >= table.c.told_ts)
        moved = {
            "value": sa.case((later, new.value), else_=table.c.value),
            "told_ts": sa.case((later, new.told_ts), else_=table.c.told_ts),
            "told": table.c.told + new.told,
        }
        upsert = statement.on_conflict_do_update(index_elements=_keys(table), set_=moved)
        return Prepared(self._dialect, upsert, columns, table)

    @cached_property
    def drop_stream(self) -> Prepared:
        return self._drop(t.event_streams, _keys(t.event_streams))

    @cached_property
    def drop_all(self) -> Sequence[Prepared]:
        """Everything of a charge point."""
        return [self._drop(table, ["cp_id"]) for table in DEVICE_TABLES]

    @cached_property
    def counts(self) -> dict[str, Prepared]:
        """How many rows a charge point has, by table."""
        return {table.name: self._count(table, ["cp_id"]) for table in DEVICE_TABLES}

    @cached_property
    def known(self) -> dict[str, Prepared]:
        """Whether a row is there, by its key: 1 or 0, by table."""
        return {table.name: self._count(table, _keys(table)) for table in DEVICE_TABLES}

    def _count(self, table: sa.Table, columns: Sequence[str]) -> Prepared:
        mine = [table.c[name] == sa.bindparam(f"b_{name}") for name in columns]
        return Prepared(self._dialect, sa.select(sa.func.count()).select_from(table).where(*mine), columns, table)

    def _drop(self, table: sa.Table, columns: Sequence[str]) -> Prepared:
        statement = sa.delete(table).where(*(table.c[name] == sa.bindparam(f"b_{name}") for name in columns))
        return Prepared(self._dialect, statement, columns, table)

    def _upsert(self, table: sa.Table, columns: Sequence[str]) -> Prepared:
        statement = self._insert(table).values(_binds(table, columns))
        keys = _keys(table)
        moved = {name: statement.excluded[name] for name in columns if name not in keys}
        return Prepared(self._dialect, statement.on_conflict_do_update(index_elements=keys, set_=moved), columns, table)


DEVICE_TABLES = (t.device_attributes, t.device_characteristics, t.device_monitors, t.event_streams)


def _keys(table: sa.Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


def _binds(table: sa.Table, columns: Sequence[str]) -> dict[str, Any]:
    return {name: sa.bindparam(name, type_=table.c[name].type) for name in columns}
