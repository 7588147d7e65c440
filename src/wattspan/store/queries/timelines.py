"""Changes of state, the intervals between them, and planned outages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from wattspan.store.schema import tables as t
from wattspan.store.upsert import insert

DAY_S = 86_400.0
KEPT_S = 60 * DAY_S
EDGES_KEPT_S = 400 * DAY_S
"""How long changes are kept that begin or end an outage: long enough for the availability of a year."""

_C = t.state_changes.c
_O = t.planned_outages.c
_COLUMNS = tuple(column.name for column in t.state_changes.c)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """A state that begins at `at_ts`; a command (`kind` "command") is a mark without a duration.

    `connector_id` "": the charge point as a whole. `detail`: the error code of a status, the answer to a command.
    `is_edge`: an outage begins or ends here.
    """

    cp_id: str
    at_ts: float
    kind: str
    connector_id: str
    state: str
    detail: str = ""
    is_edge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOutage:
    """An outage that an operator excludes from availability. `connector_id` "": the whole charge point."""

    id: int = 0
    cp_id: str
    connector_id: str = ""
    from_ts: float
    until_ts: float
    reason: str = ""
    created_by: str = ""


def put_changes(connection: sa.Connection, changes: Sequence[StateChange]) -> None:
    """Write changes; one that is stored already stays as it is."""
    rows = [{name: getattr(each, name) for name in _COLUMNS} for each in changes]
    if rows:
        connection.execute(insert(connection.dialect, t.state_changes).on_conflict_do_nothing(), rows)


def changes(
    connection: sa.Connection,
    cp_ids: Sequence[str],
    from_ts: float,
    until_ts: float,
    limit: int,
    kinds: Sequence[str],
) -> list[StateChange]:
    """Return up to `limit` changes in the range by charge point and time, after the state in which each kind begins."""
    return _changes(connection, cp_ids, from_ts, until_ts, [_C.kind.in_(kinds)], limit)


def _changes(
    connection: sa.Connection,
    cp_ids: Sequence[str],
    from_ts: float,
    until_ts: float,
    conditions: Sequence[sa.ColumnElement[bool]],
    limit: int | None,
) -> list[StateChange]:
    before = (
        sa.select(_C.cp_id, _C.kind, _C.connector_id, sa.func.max(_C.at_ts).label("at_ts"))
        .where(_C.cp_id.in_(cp_ids), _C.at_ts < from_ts, _C.kind != "command", *conditions)
        .group_by(_C.cp_id, _C.kind, _C.connector_id)
        .subquery()
    )
    same = [_C[name] == before.c[name] for name in ("cp_id", "kind", "connector_id", "at_ts")]
    first = sa.select(t.state_changes).join(before, sa.and_(*same))
    within = sa.and_(_C.cp_id.in_(cp_ids), _C.at_ts >= from_ts, _C.at_ts < until_ts, *conditions)
    then = sa.select(t.state_changes).where(within).order_by(_C.cp_id, _C.at_ts).limit(limit)
    found = [*connection.execute(first).mappings(), *connection.execute(then).mappings()]
    return sorted((StateChange(**each) for each in found), key=lambda each: (each.cp_id, each.at_ts))


def edges(connection: sa.Connection, cp_ids: Sequence[str], from_ts: float, until_ts: float) -> list[StateChange]:
    """Return the changes at which outages begin or end, from the last one before the range on."""
    return _changes(connection, cp_ids, from_ts, until_ts, [_C.is_edge], None)


def expire(connection: sa.Connection, now_ts: float, limit: int) -> int:
    """Delete old changes among the oldest, up to `limit`; return how many."""
    old = sa.or_(_C.at_ts < now_ts - EDGES_KEPT_S, sa.and_(_C.at_ts < now_ts - KEPT_S, _C.is_edge.is_(False)))
    keys = [_C.cp_id, _C.at_ts, _C.kind, _C.connector_id]
    rows = connection.execute(sa.select(*keys).where(old).order_by(_C.at_ts).limit(limit)).all()
    if rows:
        statement = sa.delete(t.state_changes).where(*(each == sa.bindparam(f"b_{each.name}") for each in keys))
        connection.execute(
            statement, [{f"b_{key.name}": value for key, value in zip(keys, row, strict=True)} for row in rows]
        )
    return len(rows)


def planned_outages(
    connection: sa.Connection, cp_ids: Sequence[str] | None, from_ts: float, until_ts: float
) -> list[PlannedOutage]:
    """Return the planned outages that reach into the range, by their begin. `cp_ids` None: of all charge points."""
    query = sa.select(t.planned_outages).where(_O.from_ts < until_ts, _O.until_ts > from_ts).order_by(_O.from_ts)
    if cp_ids is not None:
        query = query.where(_O.cp_id.in_(cp_ids))
    return [PlannedOutage(**each) for each in connection.execute(query).mappings()]


def add_planned_outage(connection: sa.Connection, outage: PlannedOutage) -> PlannedOutage:
    """Add a planned outage and return it with its number."""
    values: dict[str, Any] = {column.name: getattr(outage, column.name) for column in _O if column.name != "id"}
    number = connection.execute(sa.insert(t.planned_outages).values(values).returning(_O.id)).scalar_one()
    return PlannedOutage(**values, id=number)


def remove_planned_outage(connection: sa.Connection, number: int) -> bool:
    """Delete a planned outage. Return False if there was none."""
    return connection.execute(sa.delete(t.planned_outages).where(_O.id == number)).rowcount > 0
