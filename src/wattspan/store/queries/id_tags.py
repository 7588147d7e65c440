"""Id tags: who may charge."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from wattspan.store.codec import from_json, to_json
from wattspan.store.queries import Check
from wattspan.store.queries import audit as audit_queries
from wattspan.store.queries.locks import lock, of_id_tag
from wattspan.store.records import AuditEntry, IdTag
from wattspan.store.schema import tables as t
from wattspan.store.upsert import insert

BATCH_SIZE = 500
"""Id tags in one query or transaction: databases limit a query's parameters, and 500 rows take about 10 ms."""

_COLUMNS = [column for column in t.id_tags.c if column.name != "id_key"]
_SET = [column.name for column in _COLUMNS if not column.name.startswith("last_used")]
"""The columns that an operator sets."""
_ID_TAG = sa.select(*_COLUMNS).where(t.id_tags.c.id_key == sa.bindparam("id_key"))


def id_tag(connection: sa.Connection, id_token: str) -> IdTag | None:
    """Return the id tag, ignoring letter case, or None."""
    found = connection.execute(_ID_TAG, {"id_key": id_token.casefold()}).mappings().first()
    return None if found is None else _to_id_tag(found)


def all_id_tags(connection: sa.Connection) -> list[IdTag]:
    """Return all id tags, by token."""
    return [_to_id_tag(found) for found in connection.execute(_by_token()).mappings()]


def list_id_tags(
    connection: sa.Connection,
    after: str,
    limit: int,
    prefix: str,
    status: str | None,
    group: str | None = None,
    expires_before_ts: float | None = None,
) -> list[IdTag]:
    """Return up to `limit` id tags after the token `after`, by `prefix` (ignoring case); None matches all."""
    c = t.id_tags.c
    query = _by_token().where(c.id_key > after.casefold()).limit(limit)
    if prefix:
        query = query.where(c.id_key.startswith(prefix.casefold(), autoescape=True))
    if status is not None:
        query = query.where(c.status == status)
    if group is not None:
        query = query.where(c.tag_group == group)
    if expires_before_ts is not None:
        query = query.where(c.expiry_ts < expires_before_ts)
    return [_to_id_tag(found) for found in connection.execute(query).mappings()]


def groups(connection: sa.Connection) -> list[tuple[str, int, int]]:
    """Return each group with the numbers of its id tags and of those that are not accepted."""
    c = t.id_tags.c
    blocked = sa.func.sum(sa.case((c.status == "Accepted", 0), else_=1))
    query = sa.select(c.tag_group, sa.func.count(), blocked).group_by(c.tag_group).order_by(c.tag_group)
    return [(row[0], row[1], int(row[2])) for row in connection.execute(query)]


def groups_of_id_tags(connection: sa.Connection) -> dict[str, str]:
    """Return the group of each id tag that has one, by its case-folded token."""
    c = t.id_tags.c
    return dict(connection.execute(sa.select(c.id_key, c.tag_group).where(c.tag_group != "")).tuples().all())


def id_tags_of(connection: sa.Connection, tokens: Sequence[str]) -> list[IdTag]:
    """Return the id tags on file among these tokens, ignoring letter case."""
    found: list[IdTag] = []
    for first in range(0, len(tokens), BATCH_SIZE):
        keys = [token.casefold() for token in tokens[first : first + BATCH_SIZE]]
        rows = connection.execute(_by_token().where(t.id_tags.c.id_key.in_(keys))).mappings()
        found += [_to_id_tag(row) for row in rows]
    return found


def set_status(connection: sa.Connection, tokens: Sequence[str] | None, group: str | None, status: str) -> int:
    """Set the status of id tags, by token or by group; return how many changed."""
    c = t.id_tags.c
    changed = 0
    conditions: list[sa.ColumnElement[bool]] = []
    if group is not None:
        conditions.append(c.tag_group == group)
    named = sorted(token.casefold() for token in tokens or ())
    conditions += [c.id_key.in_(named[first : first + BATCH_SIZE]) for first in range(0, len(named), BATCH_SIZE)]
    # In the order in which other nodes change them, which is Python's and that of the C collation.
    by_key = c.id_key if connection.dialect.name == "sqlite" else sa.collate(c.id_key, "C")
    for condition in conditions:
        wanted = sa.and_(condition, c.status != status)
        connection.execute(sa.select(c.id_key).where(wanted).order_by(by_key).with_for_update()).all()
        changed += connection.execute(sa.update(t.id_tags).where(wanted).values(status=status)).rowcount
    return changed


def enrol(connection: sa.Connection, tag: IdTag, entry: AuditEntry) -> None:
    """Add an id tag that a charge point read, with a row of the audit log."""
    _put(connection, [tag])
    audit_queries.add_entry(connection, entry)


def put_uses(connection: sa.Connection, uses: Mapping[str, tuple[float, str]]) -> None:
    """Store when and where id tags were used, by their case-folded token; those that are not on file are ignored."""
    c = t.id_tags.c
    statement = (
        sa.update(t.id_tags)
        .where(c.id_key == sa.bindparam("b_key"))
        .values(last_used_ts=sa.bindparam("b_ts"), last_used_cp_id=sa.bindparam("b_cp"))
    )
    rows = [{"b_key": key, "b_ts": ts, "b_cp": cp_id} for key, (ts, cp_id) in sorted(uses.items())]
    if rows:
        connection.execute(statement, rows)


def put_id_tag(connection: sa.Connection, tag: IdTag, check: Check | None = None) -> bool:
    """Add an id tag, or replace it. Return True if it is new."""
    lock(connection, of_id_tag(tag.id_token.casefold()))
    before = id_tag(connection, tag.id_token)
    if check is not None:
        check(before)
    _put(connection, [tag])
    return before is None


def put_id_tags(connection: sa.Connection, tags: Sequence[IdTag]) -> int:
    """Add or replace id tags, all or none, and return how many are new. Each token may occur once."""
    key, new = t.id_tags.c.id_key, len(tags)
    tags = sorted(tags, key=lambda tag: tag.id_token.casefold())  # in one order, so that nodes do not block each other
    for first in range(0, len(tags), BATCH_SIZE):
        batch = tags[first : first + BATCH_SIZE]
        known = sa.select(sa.func.count()).where(key.in_([tag.id_token.casefold() for tag in batch]))
        new -= connection.execute(known).scalar_one()
        _put(connection, batch)
    return new


def remove_id_tag(connection: sa.Connection, id_token: str, check: Check | None = None) -> bool:
    """Delete an id tag. Return False if there was none."""
    if check is not None:
        lock(connection, of_id_tag(id_token.casefold()))
        check(id_tag(connection, id_token))
    return connection.execute(sa.delete(t.id_tags).where(t.id_tags.c.id_key == id_token.casefold())).rowcount > 0


def _by_token() -> sa.Select[Any]:
    return sa.select(*_COLUMNS).order_by(t.id_tags.c.id_key)


def _put(connection: sa.Connection, tags: Sequence[IdTag]) -> None:
    rows = [
        {name: getattr(tag, name) for name in _SET}
        | {"evse_ids": to_json(tag.evse_ids), "id_key": tag.id_token.casefold()}
        for tag in tags
    ]
    statement = insert(connection.dialect, t.id_tags)
    changed = {name: statement.excluded[name] for name in _SET}
    connection.execute(statement.on_conflict_do_update(index_elements=["id_key"], set_=changed), rows)


def _to_id_tag(found: Mapping[Any, Any]) -> IdTag:
    return IdTag(**{**found, "evse_ids": tuple(from_json(found["evse_ids"]))})
