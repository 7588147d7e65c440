"""Device models of 2.x charge points, and the event streams of 2.1."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from wattspan.domain.device_model import Attribute, Characteristics, Monitor, Variable
from wattspan.store.schema import tables as t

_TABLES = (t.device_attributes, t.device_characteristics, t.device_monitors)
_ATTRIBUTE = ("type", "value", "mutability", "persistent", "constant")
_CHARACTERISTICS = ("data_type", "unit", "min_limit", "max_limit", "max_elements", "values_list", "supports_monitoring")
_STREAM_COLUMNS = {"reported_ts": "told_ts", "received_count": "told"}
"""Columns of `event_streams` whose name differs from the field."""
_MONITOR = ("monitor_id", "type", "value", "severity", "transaction", "kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVariable:
    """A variable with everything reported about it. `reported_ts`: time of its newest value; None without a value."""

    of: Variable
    attributes: tuple[Attribute, ...]
    characteristics: Characteristics | None
    monitors: tuple[Monitor, ...]
    reported_ts: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStream:
    """A periodic event stream (OCPP 2.1). `of`: the variable its monitor watches, or None if that was not reported."""

    stream_id: int
    monitor_id: int | None
    of: Variable | None
    interval_s: int | None
    values: int | None
    value: str | None
    reported_ts: float | None
    received_count: int


def device_model(
    connection: sa.Connection,
    cp_id: str,
    component: str | None,
    variable: str | None,
    after: Variable | None,
    limit: int,
) -> Sequence[StoredVariable]:
    """Return up to `limit` variables after `after`, by name."""
    wanted = {"cp_id": cp_id, "component": component, "variable": variable}
    named = sa.union(*(_of(table, wanted, after) for table in _TABLES)).subquery()
    order = [named.c[name] for name in t.VARIABLE_COLUMNS]
    keys = [Variable(*row) for row in connection.execute(sa.select(*order).order_by(*order).limit(limit))]
    if not keys:
        return ()
    first, last = keys[0], keys[-1]

    def rows(table: sa.Table) -> dict[Variable, list[Any]]:
        place = _place(table)
        within = sa.and_(_matches(table, wanted), place >= tuple(first), place <= tuple(last))
        found = connection.execute(sa.select(table).where(within).order_by(*table.primary_key.columns))
        return _grouped(found)

    attributes, characteristics, monitors = (rows(table) for table in _TABLES)
    return [
        StoredVariable(
            of=key,
            attributes=tuple(Attribute(key, *_fields(row, _ATTRIBUTE)) for row in attributes.get(key, ())),
            characteristics=next(
                (Characteristics(key, *_fields(row, _CHARACTERISTICS)) for row in characteristics.get(key, ())), None
            ),
            monitors=tuple(Monitor(key, *_fields(row, _MONITOR)) for row in monitors.get(key, ())),
            reported_ts=max((row._mapping["told_ts"] for row in attributes.get(key, ())), default=None),
        )
        for key in keys
    ]


def event_streams(connection: sa.Connection, cp_id: str) -> Sequence[StoredStream]:
    """Return a charge point's event streams, by id."""
    s, m = t.event_streams, t.device_monitors
    same = sa.and_(m.c.cp_id == s.c.cp_id, m.c.monitor_id == s.c.monitor_id)
    of = [m.c[name] for name in t.VARIABLE_COLUMNS]
    names = ("stream_id", "monitor_id", "interval_s", "values", "value", "reported_ts", "received_count")
    columns = [s.c[_STREAM_COLUMNS.get(name, name)] for name in names]
    query = sa.select(*columns, *of).select_from(s.outerjoin(m, same)).where(s.c.cp_id == cp_id)
    return [
        StoredStream(
            **dict(zip(names, row, strict=False)),
            of=Variable(*row[len(names) :]) if row[len(names)] is not None else None,
        )
        for row in connection.execute(query.order_by(s.c.stream_id))
    ]


def _of(table: sa.Table, wanted: dict[str, str | None], after: Variable | None) -> sa.Select[Any]:
    found = sa.select(*(table.c[name] for name in t.VARIABLE_COLUMNS)).where(_matches(table, wanted))
    return found if after is None else found.where(_place(table) > tuple(after))


def _place(table: sa.Table) -> Any:
    return sa.tuple_(*(table.c[name] for name in t.VARIABLE_COLUMNS))


def _matches(table: sa.Table, wanted: dict[str, str | None]) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == value for name, value in wanted.items() if value is not None))


def _grouped(rows: Iterable[Any]) -> dict[Variable, list[Any]]:
    found: dict[Variable, list[Any]] = {}
    for key, mine in groupby(rows, key=lambda row: Variable(*_fields(row, t.VARIABLE_COLUMNS))):
        found.setdefault(key, []).extend(mine)
    return found


def _fields(row: Any, names: Iterable[str]) -> list[Any]:
    mapping = row._mapping
    return [mapping[name] for name in names]
