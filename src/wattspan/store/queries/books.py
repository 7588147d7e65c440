"""Questions and orders about the tables, each a function on a connection. Which thread runs it is no matter here."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from wattspan.domain.fleet import UNMATCHED
from wattspan.domain.model import Transaction
from wattspan.store.codec import from_json, to_json
from wattspan.store.records import IdTag, Registration, Reservation, StoredReading
from wattspan.store.rows import to_transaction
from wattspan.store.samples import decode
from wattspan.store.schema import tables as t

_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

REGISTRATION = [
    t.charge_points.c[name]
    for name in (
        *("cp_id", "registered_ts", "secret", "protocol", "vendor", "model", "last_msg_ts"),
        *("name", "location", "note"),
        *("other_secret", "other_until_ts", "security_profile", "unknown_id_tags"),
    )
]
ID_TAG = [column for column in t.id_tags.c if column.name != "id_key"]
_NO_OTHER_SECRET = {"other_secret": None, "other_until_ts": None}
_RESERVATION = [column for column in t.reservations.c if column.name != "cancelled_ts"]

# What handshakes and starts ask is built once: to build a query takes four times as long as to run it.
_CP, _TX, _RESERVED = t.charge_points.c, t.transactions.c, t.reservations.c
_REGISTERED = sa.select(*REGISTRATION).where(_CP.cp_id == sa.bindparam("cp_id"), _CP.removed_ts.is_(None))
_ALIKE = (
    sa.select(*REGISTRATION)
    .where(sa.func.lower(_CP.cp_id) == sa.bindparam("lower"), _CP.registered_ts.is_not(None), _CP.removed_ts.is_(None))
    .limit(2)
)
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
_ID_TAG = sa.select(*ID_TAG).where(t.id_tags.c.id_key == sa.bindparam("id_key"))
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
_OPEN = sa.select(*_RESERVATION).where(_IS_OPEN).order_by(_RESERVED.cp_id, _RESERVED.reservation_id)
_OPEN_OF_ONE = _OPEN.where(_RESERVED.cp_id == sa.bindparam("cp_id"))
_READING_FIELDS = ("charger_ts", "received_ts", "energy_wh", "register_wh", "current_a", "power_w", "soc_percent")


def find_start(connection: sa.Connection, cp_id: str, key: str) -> Transaction | None:
    """The transaction started under `key`."""
    found = connection.execute(_STARTED, {"cp_id": cp_id, "key": key}).mappings().first()
    return None if found is None else to_transaction(found)


def find_stop(connection: sa.Connection, cp_id: str, transaction_id: str, key: str) -> Transaction | None:
    """The transaction a stop belongs to: the one kept under the stop's own `key`, else the newest of that id.

    What is known by another stop alone does not count by its id: chargers send 0 and -1 for every offline session.
    """
    known = find_start(connection, cp_id, key)
    if known is not None:
        return known
    meant = {"cp_id": cp_id, "transaction_id": transaction_id}
    found = connection.execute(_NEWEST_OF_ID, meant).mappings().first()
    return None if found is None else to_transaction(found)


def transactions(
    connection: sa.Connection, cp_id: str | None, before_number: int | None, limit: int
) -> list[Transaction]:
    """The newest first, `limit` of them, below `before_number`."""
    c = t.transactions.c
    query = sa.select(t.transactions).order_by(c.number.desc()).limit(limit)
    if cp_id is not None:
        query = query.where(c.cp_id == cp_id)
    if before_number is not None:
        query = query.where(c.number < before_number)
    return [to_transaction(found) for found in connection.execute(query).mappings()]


def readings(connection: sa.Connection, number: int) -> list[StoredReading]:
    """A transaction's readings in the order they came, found between the first and the last that it can have."""
    c, r = t.transactions.c, t.meter_readings
    span = sa.select(c.readings_from, c.readings_through, c.stopped_received_ts).where(c.number == number)
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


def registration(connection: sa.Connection, cp_id: str) -> Registration | None:
    """A charge point that is in the books and was not removed."""
    found = connection.execute(_REGISTERED, {"cp_id": cp_id}).mappings().first()
    return None if found is None else Registration(**found)


def credential(connection: sa.Connection, cp_id: str) -> Registration | None:
    """Who is meant by an identity: the one registered under it, else the only one registered in another letter case."""
    exact = registration(connection, cp_id)
    if exact is not None and exact.registered_ts is not None:
        return exact
    found = connection.execute(_ALIKE, {"lower": cp_id.lower()}).mappings().all()
    return Registration(**found[0]) if len(found) == 1 else exact


def registrations(connection: sa.Connection) -> list[Registration]:
    """All charge points, by id."""
    there = sa.select(*REGISTRATION).where(t.charge_points.c.removed_ts.is_(None)).order_by(t.charge_points.c.cp_id)
    return [Registration(**found) for found in connection.execute(there).mappings()]


def register(
    connection: sa.Connection, cp_id: str, secret: str | None, now_ts: float, security_profile: int | None = None
) -> bool:
    """Add a charge point, or give one that is there another secret. True: it was not registered before."""
    before = registration(connection, cp_id)
    required = {} if security_profile is None else {"security_profile": security_profile}
    statement = _INSERT[connection.dialect.name](t.charge_points).values(
        cp_id=cp_id, known_since_ts=now_ts, registered_ts=now_ts, secret=secret, **required
    )
    moved = {"registered_ts": now_ts, "secret": secret, "removed_ts": None, **_NO_OTHER_SECRET, **required}
    connection.execute(statement.on_conflict_do_update(index_elements=["cp_id"], set_=moved))
    rejected = t.rejected_charge_points
    connection.execute(sa.delete(rejected).where(rejected.c.cp_id == cp_id))
    return before is None or before.registered_ts is None


def mark_removed(connection: sa.Connection, cp_id: str, now_ts: float) -> bool:
    """Take a charge point out of the books; the server that runs is told by `removed`. False: there was none."""
    there = sa.and_(t.charge_points.c.cp_id == cp_id, t.charge_points.c.removed_ts.is_(None))
    values = {
        "removed_ts": now_ts,
        "registered_ts": None,
        "secret": None,
        "security_profile": None,
        "unknown_id_tags": "",
        **_NO_OTHER_SECRET,
    }
    return connection.execute(sa.update(t.charge_points).where(there).values(values)).rowcount > 0


def removed(connection: sa.Connection) -> list[str]:
    """Charge points taken out of the books that have not left the fleet yet."""
    gone = sa.select(t.charge_points.c.cp_id).where(t.charge_points.c.removed_ts.is_not(None))
    return list(connection.execute(gone).scalars())


def id_tag(connection: sa.Connection, id_token: str) -> IdTag | None:
    """An id token, in whatever case it is asked for."""
    found = connection.execute(_ID_TAG, {"id_key": id_token.casefold()}).mappings().first()
    return None if found is None else to_id_tag(found)


def id_tags(connection: sa.Connection) -> list[IdTag]:
    """All id tokens, by token."""
    by_token = sa.select(*ID_TAG).order_by(t.id_tags.c.id_key)
    return [to_id_tag(found) for found in connection.execute(by_token).mappings()]


def to_id_tag(found: Mapping[Any, Any]) -> IdTag:
    """The id token of a row."""
    return IdTag(**{**found, "evse_ids": tuple(from_json(found["evse_ids"]))})


def put_id_tag(connection: sa.Connection, tag: IdTag) -> None:
    """Add an id token, or replace what is on file of it."""
    put_id_tags(connection, [tag])


def put_id_tags(connection: sa.Connection, tags: Iterable[IdTag]) -> None:
    """The same for many at once."""
    rows = [
        {column.name: getattr(tag, column.name) for column in ID_TAG}
        | {"evse_ids": to_json(tag.evse_ids), "id_key": tag.id_token.casefold()}
        for tag in tags
    ]
    statement = _INSERT[connection.dialect.name](t.id_tags)
    moved = {column.name: statement.excluded[column.name] for column in ID_TAG}
    connection.execute(statement.on_conflict_do_update(index_elements=["id_key"], set_=moved), rows)


def remove_id_tag(connection: sa.Connection, id_token: str) -> bool:
    """Take an id token off file. False: it was not on it."""
    return connection.execute(sa.delete(t.id_tags).where(t.id_tags.c.id_key == id_token.casefold())).rowcount > 0


def open_reservations(connection: sa.Connection, cp_id: str, now_ts: float) -> list[Reservation]:
    """What is reserved at one charge point."""
    return reservations(connection, cp_id, now_ts, None)


def reservations(connection: sa.Connection, cp_id: str | None, now_ts: float, limit: int | None) -> list[Reservation]:
    """Reservations neither cancelled, expired, nor used by a transaction since; `cp_id` None: of all charge points."""
    query = _OPEN if cp_id is None else _OPEN_OF_ONE
    asked = {"now_ts": now_ts} if cp_id is None else {"now_ts": now_ts, "cp_id": cp_id}
    found = connection.execute(query if limit is None else query.limit(limit), asked).mappings()
    return [Reservation(**each) for each in found]


def expire_readings(connection: sa.Connection, before_ts: float, limit: int) -> int:
    """Delete the oldest readings received before `before_ts`, looking at no more than `limit` rows.

    Rows came in the order of their ids, so the oldest need no search. The newest stays: ids go on from it.
    """
    r = t.meter_readings.c
    newest = sa.select(sa.func.max(r.id)).scalar_subquery()
    oldest: sa.Select[Any] = sa.select(r.id).order_by(r.id).limit(limit)
    ids: Sequence[int] = list(connection.execute(oldest.where(r.id < newest)).scalars())
    if not ids:
        return 0
    expired = sa.and_(r.id <= ids[-1], r.received_ts < before_ts, r.id < newest)
    return connection.execute(sa.delete(t.meter_readings).where(expired)).rowcount
