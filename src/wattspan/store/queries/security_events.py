"""Security events that charge points reported."""

import operator
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from wattspan.store.records import SecurityEvent
from wattspan.store.schema import tables as t

_EVENT = t.security_events.c


def list_security_events(
    connection: sa.Connection,
    cp_id: str | None,
    kind: str | None,
    from_ts: float | None,
    until_ts: float | None,
    before: int | None,
    limit: int,
) -> list[SecurityEvent]:
    """Return up to `limit` security events with ids below `before`, newest first. None for a filter matches all.

    `from_ts` and `until_ts` apply to the arrival, by the server's clock; `until_ts` is exclusive.
    """
    query = sa.select(t.security_events).order_by(_EVENT.id.desc()).limit(limit)
    filters: tuple[tuple[object, sa.Column[Any], Callable[[Any, Any], Any]], ...] = (
        (cp_id, _EVENT.cp_id, operator.eq),
        (kind, _EVENT.type, operator.eq),
        (from_ts, _EVENT.received_ts, operator.ge),
        (until_ts, _EVENT.received_ts, operator.lt),
        (before, _EVENT.id, operator.lt),
    )
    for value, column, compare in filters:
        if value is not None:
            query = query.where(compare(column, value))
    return [SecurityEvent(**found) for found in connection.execute(query).mappings()]
