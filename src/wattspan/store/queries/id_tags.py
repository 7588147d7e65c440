"""Id tags: who may charge."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from wattspan.store.codec import from_json, to_json
from wattspan.store.queries import Check
from wattspan.store.records import IdTag
from wattspan.store.schema import tables as t
from wattspan.store.upsert import insert

BATCH_SIZE = 500
"""Id tags in one query or transaction: databases limit a query's parameters, and 500 rows take about 10 ms."""

_COLUMNS = [column for column in t.id_tags.c if column.name != "id_key"]
_ID_TAG = sa.select(*_COLUMNS).where(t.id_tags.c.id_key == sa.bindparam("id_key"))


def id_tag(connection: sa.Connection, id_token: str) -> IdTag | None:
    """Return the id tag, ignoring letter case, or None."""
    found = connection.execute(_ID_TAG, {"id_key": id_token.casefold()}).mappings().first()
    return None if found is None else _to_id_tag(found)


def all_id_tags(connection: sa.Connection) -> list[IdTag]:
    """Return all id tags, by token."""
    return [_to_id_tag(found) for found in connection.execute(_by_token()).mappings()]


def list_id_tags(connection: sa.Connection, after: str, limit: int, prefix: str, status: str | None) -> list[IdTag]:
    """Return up to `limit` id tags after the token `after`, by `prefix` (ignoring case) and `status` (None: any)."""
    c = t.id_tags.c
    query = _by_token().where(c.id_key > after.casefold()).limit(limit)
    if prefix:
        query = query.where(c.id_key.startswith(prefix.casefold(), autoescape=True))
    if status is not None:
        query = query.where(c.status == status)
    return [_to_id_tag(found) for found in connection.execute(query).mappings()]


def put_id_tag(connection: sa.Connection, tag: IdTag, check: Check | None = None) -> bool:
    """Add an id tag, or replace it. Return True if it is new."""
    before = id_tag(connection, tag.id_token)
    if check is not None:
        check(before)
    _put(connection, [tag])
    return before is None


def put_id_tags(connection: sa.Connection, tags: Sequence[IdTag]) -> int:
    """Add or replace id tags, all or none, and return how many are new. Each token may occur once."""
    key, new = t.id_tags.c.id_key, len(tags)
    for first in range(0, len(tags), BATCH_SIZE):
        batch = tags[first : first + BATCH_SIZE]
        known = sa.select(sa.func.count()).where(key.in_([tag.id_token.casefold() for tag in batch]))
        new -= connection.execute(known).scalar_one()
        _put(connection, batch)
    return new


def remove_id_tag(connection: sa.Connection, id_token: str, check: Check | None = None) -> bool:
    """Delete an id tag. Return False if there was none."""
    if check is not None:
        check(id_tag(connection, id_token))
    return connection.execute(sa.delete(t.id_tags).where(t.id_tags.c.id_key == id_token.casefold())).rowcount > 0


def _by_token() -> sa.Select[Any]:
    return sa.select(*_COLUMNS).order_by(t.id_tags.c.id_key)


def _put(connection: sa.Connection, tags: Sequence[IdTag]) -> None:
    rows = [
        {column.name: getattr(tag, column.name) for column in _COLUMNS}
        | {"evse_ids": to_json(tag.evse_ids), "id_key": tag.id_token.casefold()}
        for tag in tags
    ]
    statement = insert(connection.dialect, t.id_tags)
    changed = {column.name: statement.excluded[column.name] for column in _COLUMNS}
    connection.execute(statement.on_conflict_do_update(index_elements=["id_key"], set_=changed), rows)


def _to_id_tag(found: Mapping[Any, Any]) -> IdTag:
    return IdTag(**{**found, "evse_ids": tuple(from_json(found["evse_ids"]))})
