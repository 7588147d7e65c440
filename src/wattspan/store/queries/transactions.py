"""Transactions and their meter readings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from wattspan.domain.fleet import UNMATCHED
from wattspan.domain.model import Transaction
from wattspan.store.records import StoredReading
from wattspan.store.rows import to_transaction
from wattspan.store.samples import decode
from wattspan.store.schema import tables as t

# Compiled once, because every start and stop runs these: building a query takes four times as long as running it.
_TX = t.transactions.c
_STARTED = sa.select(t.transactions).where(_TX.cp_id == sa.bindparam("cp_id"), _TX.key == sa.bindparam("key"))
_NEWEST_OF_ID = (
    sa.select(t.transactions)
    .where(
        _TX.cp_id == sa.bindparam("cp_id"),
        _TX.transaction_id == sa.bindparam("transaction_id"),
        _TX.key.not_like(f"{UNMATCHED}%"),
    )
    .order_by(_TX.number.desc())
    .limit(1)
)
_READING_FIELDS = (
    "charger_ts",
    "received_ts",
    "energy_wh",
    "register_wh",
    "current_a",
    "power_w",
    "soc_percent",
    "offered_a",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionFilter:
    """Conditions on transactions; None matches all. Times are Unix seconds of the start, by the server's clock."""

    cp_id: str | None = None
    id_token: str | None = None
    open: bool | None = None
    from_ts: float | None = None
    until_ts: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionTotals:
    """How many transactions match a filter, how many of them are open, and their energy and duration together."""

    number: int
    open: int
    energy_wh: float
    duration_s: float


def find_start(connection: sa.Connection, cp_id: str, key: str) -> Transaction | None:
    """Return the transaction that was started under `key`, or None."""
    found = connection.execute(_STARTED, {"cp_id": cp_id, "key": key}).mappings().first()
    return None if found is None else to_transaction(found)


def find_stop(connection: sa.Connection, cp_id: str, transaction_id: str, key: str) -> Transaction | None:
    """Return the transaction that a stop belongs to: the one stored under the stop's `key`, else the newest of that id.

    A transaction known only by another stop does not match by id: chargers send 0 and -1 for every offline session.
    """
    known = find_start(connection, cp_id, key)
    if known is not None:
        return known
    parameters = {"cp_id": cp_id, "transaction_id": transaction_id}
    found = connection.execute(_NEWEST_OF_ID, parameters).mappings().first()
    return None if found is None else to_transaction(found)


def list_transactions(
    connection: sa.Connection, wanted: TransactionFilter, before: int | None, limit: int
) -> list[Transaction]:
    """Return up to `limit` transactions with numbers below `before`, newest first."""
    query = sa.select(t.transactions).order_by(_TX.number.desc()).limit(limit).where(*_conditions(wanted))
    if before is not None:
        query = query.where(_TX.number < before)
    return [to_transaction(found) for found in connection.execute(query).mappings()]


def transaction_totals(connection: sa.Connection, wanted: TransactionFilter, now_ts: float) -> TransactionTotals:
    """Return the totals of the transactions that match; open ones last until `now_ts`."""
    lasted = sa.func.coalesce(_TX.stopped_received_ts, now_ts) - _TX.started_received_ts
    query = sa.select(
        sa.func.count(),
        sa.func.count().filter(_TX.stopped_received_ts.is_(None)),
        sa.func.coalesce(sa.func.sum(_TX.energy_wh), 0.0),
        sa.func.coalesce(sa.func.sum(lasted), 0.0),
    ).where(*_conditions(wanted))
    number, running, energy_wh, duration_s = connection.execute(query).one()
    return TransactionTotals(number=number, open=running, energy_wh=energy_wh, duration_s=duration_s)


def _conditions(wanted: TransactionFilter) -> list[sa.ColumnElement[bool]]:
    conditions: tuple[tuple[object, Callable[[], sa.ColumnElement[bool]]], ...] = (
        (wanted.cp_id, lambda: _TX.cp_id == wanted.cp_id),
        (wanted.id_token, lambda: sa.func.lower(_TX.id_token) == str(wanted.id_token).lower()),
        (wanted.from_ts, lambda: _TX.started_received_ts >= wanted.from_ts),
        (wanted.until_ts, lambda: _TX.started_received_ts < wanted.until_ts),
    )
    found = [condition() for value, condition in conditions if value is not None]
    if wanted.open is not None:
        found.append(_TX.stopped_received_ts.is_(None) if wanted.open else _TX.stopped_received_ts.is_not(None))
    return found


class Session(NamedTuple):
    """A transaction as a timeline shows it. `ended_ts` None: it is open."""

    cp_id: str
    connector_id: str
    number: int
    began_ts: float
    ended_ts: float | None
    energy_wh: float


def overlapping(
    connection: sa.Connection, cp_ids: Sequence[str], from_ts: float, until_ts: float, limit: int
) -> list[Session]:
    """Return up to `limit` transactions of charge points that reach into a range by our clock, oldest first."""
    columns = (_TX.cp_id, _TX.connector_id, _TX.number, _TX.started_received_ts, _TX.stopped_received_ts, _TX.energy_wh)
    query = sa.select(*columns).where(
        _TX.cp_id.in_(cp_ids),
        _TX.started_received_ts < until_ts,
        sa.or_(_TX.stopped_received_ts.is_(None), _TX.stopped_received_ts >= from_ts),
    )
    return [Session(*row) for row in connection.execute(query.order_by(_TX.number).limit(limit))]


def transaction(connection: sa.Connection, number: int) -> Transaction | None:
    """Return the transaction of that number, or None."""
    found = connection.execute(sa.select(t.transactions).where(_TX.number == number)).mappings().first()
    return None if found is None else to_transaction(found)


def readings(connection: sa.Connection, number: int) -> list[StoredReading]:
    """Return a transaction's readings in the order of arrival, searched between its first and last possible row."""
    r = t.meter_readings
    span = sa.select(_TX.readings_from, _TX.readings_through, _TX.stopped_received_ts).where(_TX.number == number)
    bounds = connection.execute(span).first()
    if bounds is None:
        return []
    within = sa.and_(r.c.id > bounds.readings_from, r.c.transaction_number == number)
    if bounds.stopped_received_ts is not None:
        within = sa.and_(within, r.c.id <= bounds.readings_through)
    joined = r.outerjoin(t.sample_shapes, t.sample_shapes.c.id == r.c.shape)
    query = sa.select(r, t.sample_shapes.c.template).select_from(joined).where(within).order_by(r.c.id)
    return [
        StoredReading(
            **{name: getattr(row, name) for name in _READING_FIELDS}, samples=decode(row.template, row.samples)
        )
        for row in connection.execute(query)
    ]


def expire_readings(connection: sa.Connection, before_ts: float, limit: int) -> int:
    """Delete readings received before `before_ts` among the oldest `limit` rows; return how many.

    Rows are stored in the order of their ids, so the oldest need no search. The newest row stays, because ids continue
    from it.
    """
    r = t.meter_readings.c
    newest = sa.select(sa.func.max(r.id)).scalar_subquery()
    oldest: sa.Select[Any] = sa.select(r.id).order_by(r.id).limit(limit)
    ids: Sequence[int] = list(connection.execute(oldest.where(r.id < newest)).scalars())
    if not ids:
        return 0
    expired = sa.and_(r.id <= ids[-1], r.received_ts < before_ts, r.id < newest)
    return connection.execute(sa.delete(t.meter_readings).where(expired)).rowcount
