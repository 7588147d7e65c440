"""Pages of tables for exports, oldest rows first; each page begins after the last one's key."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from wattspan.domain.model import Transaction
from wattspan.store.rows import to_transaction
from wattspan.store.schema import tables as t

_TX = t.transactions.c
_R = t.meter_readings.c
READING_COLUMNS = (
    "id",
    "cp_id",
    "connector_id",
    "transaction_number",
    "charger_ts",
    "received_ts",
    "energy_wh",
    "register_wh",
    "power_w",
    "current_a",
    "soc_percent",
    "offered_a",
)


class Session(NamedTuple):
    """The figures of a session that reports add up. Times are by the server's clock; `ended_ts` None: it is open."""

    cp_id: str
    id_token: str
    began_ts: float
    ended_ts: float | None
    energy_wh: float


def sessions(
    connection: sa.Connection, after: int, from_ts: float, until_ts: float, id_token: str | None, limit: int
) -> list[Transaction]:
    """Return up to `limit` transactions after a number that began in the range, by the server's clock."""
    query = sa.select(t.transactions).where(
        _TX.number > after, _TX.started_received_ts >= from_ts, _TX.started_received_ts < until_ts
    )
    if id_token is not None:
        query = query.where(sa.func.lower(_TX.id_token) == id_token.lower())
    found = connection.execute(query.order_by(_TX.number).limit(limit)).mappings()
    return [to_transaction(each) for each in found]


def session_figures(
    connection: sa.Connection, after: int, from_ts: float, until_ts: float, limit: int
) -> tuple[list[Session], int]:
    """Return the figures of up to `limit` transactions after a number, and the number of the last one, or 0."""
    query = (
        sa.select(_TX.number, _TX.cp_id, _TX.id_token, _TX.started_received_ts, _TX.stopped_received_ts, _TX.energy_wh)
        .where(_TX.number > after, _TX.started_received_ts >= from_ts, _TX.started_received_ts < until_ts)
        .order_by(_TX.number)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    return [Session(*row[1:]) for row in rows], rows[-1].number if rows else 0


def readings(connection: sa.Connection, after: int, until_ts: float, limit: int) -> Sequence[Mapping[str, Any]]:
    """Return up to `limit` readings after an id that arrived before `until_ts`; rows are in the order of arrival."""
    columns = [_R[name] for name in READING_COLUMNS]
    query = sa.select(*columns).where(_R.id > after, _R.received_ts < until_ts).order_by(_R.id).limit(limit)
    return [dict(each) for each in connection.execute(query).mappings()]


def before_first_reading(connection: sa.Connection, from_ts: float) -> int:
    """Return an id below all readings that arrived at `from_ts` or later, found by bisection: time has no index."""
    low, high = connection.execute(sa.select(sa.func.min(_R.id), sa.func.max(_R.id))).one()
    if low is None:
        return 0
    high += 1
    while low < high:
        middle = (low + high) // 2
        query = sa.select(_R.id, _R.received_ts).where(_R.id >= middle).order_by(_R.id).limit(1)
        found = connection.execute(query).one()
        if found.received_ts < from_ts:
            low = found.id + 1
        else:
            high = middle
    return int(low) - 1
