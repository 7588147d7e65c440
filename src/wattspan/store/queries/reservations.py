"""Reservations that charge points accepted."""

import sqlalchemy as sa

from wattspan.store.records import Reservation
from wattspan.store.schema import tables as t

# Compiled once: every start of a transaction runs these.
_TX, _RESERVED = t.transactions.c, t.reservations.c
_IS_USED = sa.exists().where(
    _TX.cp_id == _RESERVED.cp_id,
    _TX.reservation_id == _RESERVED.reservation_id,
    _TX.started_received_ts >= _RESERVED.made_ts,
)
_IS_OPEN = sa.and_(
    _RESERVED.cancelled_ts.is_(None),
    sa.or_(_RESERVED.expires_ts.is_(None), _RESERVED.expires_ts > sa.bindparam("now_ts")),
    ~_IS_USED,
)
_OPEN = (
    sa.select(*(column for column in _RESERVED if column.name != "cancelled_ts"))
    .where(_IS_OPEN)
    .order_by(_RESERVED.cp_id, _RESERVED.reservation_id)
)
_OPEN_AT_ONE = _OPEN.where(_RESERVED.cp_id == sa.bindparam("cp_id"))


def open_reservations(
    connection: sa.Connection, cp_id: str | None, now_ts: float, limit: int | None = None
) -> list[Reservation]:
    """Return reservations that are not cancelled, expired or used by a transaction; `cp_id` None: everywhere."""
    query = _OPEN if cp_id is None else _OPEN_AT_ONE
    parameters = {"now_ts": now_ts} if cp_id is None else {"now_ts": now_ts, "cp_id": cp_id}
    found = connection.execute(query if limit is None else query.limit(limit), parameters).mappings()
    return [Reservation(**each) for each in found]
