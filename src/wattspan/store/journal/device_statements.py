"""The statements for the device model's tables, compiled once for a dialect."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from wattspan.domain.device_model import WRITE_ONLY
from wattspan.store.journal.prepared import Prepared
from wattspan.store.schema import tables as t
from wattspan.store.upsert import insert_values, primary_key, upsert

_WRITE_ONLY: Any = sa.literal_column(f"'{WRITE_ONLY}'")
_VALUE_COLUMNS = ("value", "told_ts", "told")


class DeviceStatements:
    """The statements that a batch runs for the device model, for one dialect."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._dialect = dialect

    @cached_property
    def attribute(self) -> Prepared:
        """Return an upsert that keeps a later value, and the former value of each field that is not reported."""
        table = t.device_attributes
        columns = [column.name for column in table.columns]
        statement = insert_values(self._dialect, table, columns)
        new = statement.excluded
        kept = {name: sa.func.coalesce(new[name], table.c[name]) for name in ("mutability", "persistent", "constant")}
        secret = kept["mutability"] == _WRITE_ONLY
        changed = {**kept, "value": sa.case((secret, sa.null()), else_=new.value), "told_ts": new["told_ts"]}
        statement = statement.on_conflict_do_update(
            index_elements=primary_key(table), set_=changed, where=new["told_ts"] >= table.c["told_ts"]
        )
        return Prepared(self._dialect, statement, columns, table)

    @cached_property
    def characteristics(self) -> Prepared:
        return self._upsert(t.device_characteristics, [column.name for column in t.device_characteristics.columns])

    @cached_property
    def monitor(self) -> Prepared:
        return self._upsert(t.device_monitors, [column.name for column in t.device_monitors.columns])

    @cached_property
    def drop_monitor(self) -> Prepared:
        return self._drop(t.device_monitors, primary_key(t.device_monitors))

    @cached_property
    def stream(self) -> Prepared:
        columns = [column.name for column in t.event_streams.columns if column.name not in _VALUE_COLUMNS]
        return self._upsert(t.event_streams, columns)

    @cached_property
    def stream_value(self) -> Prepared:
        """Return an upsert that adds to a stream's count and keeps its newest value."""
        table = t.event_streams
        columns = [*primary_key(table), *_VALUE_COLUMNS]
        statement = insert_values(self._dialect, table, columns)
        new = statement.excluded
        later = sa.or_(table.c["told_ts"].is_(None), new["told_ts"] >= table.c["told_ts"])
        changed = {
            "value": sa.case((later, new.value), else_=table.c.value),
            "told_ts": sa.case((later, new["told_ts"]), else_=table.c["told_ts"]),
            "told": table.c["told"] + new["told"],
        }
        statement = statement.on_conflict_do_update(index_elements=primary_key(table), set_=changed)
        return Prepared(self._dialect, statement, columns, table)

    @cached_property
    def drop_stream(self) -> Prepared:
        return self._drop(t.event_streams, primary_key(t.event_streams))

    @cached_property
    def drop_all(self) -> Sequence[Prepared]:
        """Return the statements that delete everything of a charge point."""
        return [self._drop(table, ["cp_id"]) for table in DEVICE_TABLES]

    @cached_property
    def counts(self) -> dict[str, Prepared]:
        """Return the statements that count a charge point's rows, by table."""
        return {table.name: self._count(table, ["cp_id"]) for table in DEVICE_TABLES}

    @cached_property
    def known(self) -> dict[str, Prepared]:
        """Return the statements that count rows of a key, 1 or 0, by table."""
        return {table.name: self._count(table, primary_key(table)) for table in DEVICE_TABLES}

    def _count(self, table: sa.Table, columns: Sequence[str]) -> Prepared:
        mine = [table.c[name] == sa.bindparam(f"b_{name}") for name in columns]
        return Prepared(self._dialect, sa.select(sa.func.count()).select_from(table).where(*mine), columns, table)

    def _drop(self, table: sa.Table, columns: Sequence[str]) -> Prepared:
        statement = sa.delete(table).where(*(table.c[name] == sa.bindparam(f"b_{name}") for name in columns))
        return Prepared(self._dialect, statement, columns, table)

    def _upsert(self, table: sa.Table, columns: Sequence[str]) -> Prepared:
        return Prepared(self._dialect, upsert(self._dialect, table, columns), columns, table)


DEVICE_TABLES = (t.device_attributes, t.device_characteristics, t.device_monitors, t.event_streams)
