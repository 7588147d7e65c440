"""What an operator asks of the books beyond `books`: pages, filters, the audit log, files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from wattspan.domain.model import Transaction
from wattspan.store.queries import books
from wattspan.store.records import AuditEntry, IdTag, Registration, StoredFile
from wattspan.store.rows import to_transaction
from wattspan.store.schema import tables as t

Check = Callable[[Any], None]
"""Told what stands in the books (None: nothing) before it is changed; raises to leave all as it is."""

TOGETHER = 500
"""Id tags asked for in one query: databases bound its parameters."""
ENTRY_COLUMNS = [column for column in t.audit.c if column.name != "id"]
_AUDIT_FIELDS = {"by_means_of": "auth_method"}
"""Fields of `AuditEntry` by column, where the two names differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which transactions; None: any. Times are Unix seconds, by our clock at the start."""

    cp_id: str | None = None
    id_token: str | None = None
    open: bool | None = None
    from_ts: float | None = None
    until_ts: float | None = None


def transactions(connection: sa.Connection, wanted: Wanted, before: int | None, limit: int) -> list[Transaction]:
    """The newest first, `limit` of them, below the number `before`."""
    c = t.transactions.c
    conditions: tuple[tuple[object, Callable[[], sa.ColumnElement[bool]]], ...] = (
        (wanted.cp_id, lambda: c.cp_id == wanted.cp_id),
        (wanted.id_token, lambda: sa.func.lower(c.id_token) == str(wanted.id_token).lower()),
        (wanted.from_ts, lambda: c.started_received_ts >= wanted.from_ts),
        (wanted.until_ts, lambda: c.started_received_ts < wanted.until_ts),
        (before, lambda: c.number < before),
    )
    query = sa.select(t.transactions).order_by(c.number.desc()).limit(limit)
    query = query.where(*(condition() for value, condition in conditions if value is not None))
    if wanted.open is not None:
        query = query.where(c.stopped_received_ts.is_(None) if wanted.open else c.stopped_received_ts.is_not(None))
    return [to_transaction(found) for found in connection.execute(query).mappings()]


def transaction(connection: sa.Connection, number: int) -> Transaction | None:
    """One transaction by our number."""
    query = sa.select(t.transactions).where(t.transactions.c.number == number)
    found = connection.execute(query).mappings().first()
    return None if found is None else to_transaction(found)


def id_tags(connection: sa.Connection, after: str, limit: int, prefix: str, status: str | None) -> list[IdTag]:
    """Id tokens by token, from the one after `after`, whose token begins with `prefix` in whatever case."""
    c = t.id_tags.c
    query = sa.select(*books.ID_TAG).where(c.id_key > after.casefold()).order_by(c.id_key).limit(limit)
    if prefix:
        query = query.where(c.id_key.startswith(prefix.casefold(), autoescape=True))
    if status is not None:
        query = query.where(c.status == status)
    return [books.to_id_tag(found) for found in connection.execute(query).mappings()]


def put_id_tag(connection: sa.Connection, tag: IdTag, check: Check) -> bool:
    """Put an id token on file, or replace what is. True: it is new."""
    before = books.id_tag(connection, tag.id_token)
    check(before)
    books.put_id_tag(connection, tag)
    return before is None


def put_id_tags(connection: sa.Connection, tags: Sequence[IdTag]) -> int:
    """All of them or none; how many were new. No token twice. 500 take some 10 ms, and answers to chargers wait."""
    key, new = t.id_tags.c.id_key, len(tags)
    for first in range(0, len(tags), TOGETHER):
        some = tags[first : first + TOGETHER]
        known = sa.select(sa.func.count()).where(key.in_([tag.id_token.casefold() for tag in some]))
        new -= connection.execute(known).scalar_one()
        books.put_id_tags(connection, some)
    return new


def remove_id_tag(connection: sa.Connection, id_token: str, check: Check) -> None:
    """Take an id token off file."""
    check(books.id_tag(connection, id_token))
    books.remove_id_tag(connection, id_token)


def add_charge_point(
    connection: sa.Connection, cp_id: str, secret: str | None, own: Mapping[str, str | int], now_ts: float
) -> Registration | None:
    """Register a charge point with what the operator says of it. None: it was registered already."""
    before = books.registration(connection, cp_id)
    if before is not None and before.registered_ts is not None:
        return None
    books.register(connection, cp_id, secret, now_ts)
    return _annotated(connection, cp_id, own)


def change_charge_point(
    connection: sa.Connection, cp_id: str, own: Mapping[str, str | int], check: Check
) -> Registration | None:
    """Change what the operator says of a charge point."""
    check(books.registration(connection, cp_id))
    return _annotated(connection, cp_id, own)


def set_secret(
    connection: sa.Connection, cp_id: str, secret: str | None, check: Check, now_ts: float
) -> Registration | None:
    """Give a charge point other credentials, None for none; it counts as registered from now on."""
    check(books.registration(connection, cp_id))
    books.register(connection, cp_id, secret, now_ts)
    return books.registration(connection, cp_id)


def remove_charge_point(connection: sa.Connection, cp_id: str, check: Check, now_ts: float) -> None:
    """Take a charge point out of the books."""
    check(books.registration(connection, cp_id))
    books.mark_removed(connection, cp_id, now_ts)


def registered_since(connection: sa.Connection, since_ts: float) -> list[Registration]:
    """Charge points that an operator added at `since_ts` or later."""
    query = sa.select(*books.REGISTRATION).where(
        t.charge_points.c.removed_ts.is_(None), t.charge_points.c.registered_ts >= since_ts
    )
    return [Registration(**found) for found in connection.execute(query).mappings()]


def _annotated(connection: sa.Connection, cp_id: str, own: Mapping[str, str | int]) -> Registration | None:
    if own:
        mine = t.charge_points.c.cp_id == cp_id
        connection.execute(sa.update(t.charge_points).where(mine).values(**own))
    return books.registration(connection, cp_id)


def write_down(connection: sa.Connection, entry: AuditEntry) -> None:
    """Add a row to the audit log."""
    connection.execute(
        sa.insert(t.audit).values({c.name: getattr(entry, _AUDIT_FIELDS.get(c.name, c.name)) for c in ENTRY_COLUMNS})
    )


def audit(
    connection: sa.Connection, who: str | None, target: str | None, before: int | None, limit: int
) -> list[AuditEntry]:
    """The newest rows first, `limit` of them, below the id `before`."""
    c = t.audit.c
    query = sa.select(t.audit).order_by(c.id.desc()).limit(limit)
    if who is not None:
        query = query.where(c.who == who)
    if target is not None:
        query = query.where(c.target.contains(target, autoescape=True))
    if before is not None:
        query = query.where(c.id < before)
    return [
        AuditEntry(**{_AUDIT_FIELDS.get(name, name): value for name, value in found.items()})
        for found in connection.execute(query).mappings()
    ]


def expire_audit(connection: sa.Connection, before_ts: float, limit: int) -> int:
    """Delete rows older than `before_ts`, looking at the oldest `limit`; how many. The newest stays: ids go on."""
    c = t.audit.c
    oldest = list(connection.execute(sa.select(c.id).order_by(c.id).limit(limit + 1)).scalars())[:-1]
    if not oldest:
        return 0
    return connection.execute(sa.delete(t.audit).where(c.id <= oldest[-1], c.at_ts < before_ts)).rowcount


def add_file(connection: sa.Connection, file: StoredFile) -> None:
    """Note a file that is on disk."""
    connection.execute(sa.insert(t.stored_files).values({c.name: getattr(file, c.name) for c in t.stored_files.c}))


def file(connection: sa.Connection, kind: str, file_id: str) -> StoredFile | None:
    """A file of that kind."""
    c = t.stored_files.c
    query = sa.select(t.stored_files).where(c.kind == kind, c.file_id == file_id)
    found = connection.execute(query).mappings().first()
    return None if found is None else StoredFile(**found)


def files(connection: sa.Connection, kind: str, cp_id: str | None, limit: int) -> list[StoredFile]:
    """The newest first."""
    c = t.stored_files.c
    query = sa.select(t.stored_files).where(c.kind == kind).order_by(c.created_ts.desc(), c.file_id).limit(limit)
    if cp_id is not None:
        query = query.where(c.cp_id == cp_id)
    return [StoredFile(**found) for found in connection.execute(query).mappings()]


def remove_file(connection: sa.Connection, kind: str, file_id: str) -> bool:
    """Forget a file. False: there was none."""
    c = t.stored_files.c
    return connection.execute(sa.delete(t.stored_files).where(c.kind == kind, c.file_id == file_id)).rowcount > 0
