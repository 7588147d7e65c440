"""The audit log: who did what."""

import sqlalchemy as sa

from wattspan.store.records import AuditEntry
from wattspan.store.schema import tables as t

_FIELDS = {column: {"by_means_of": "auth_method"}.get(column.name, column.name) for column in t.audit.c}
"""The field of `AuditEntry` that each column holds."""


def add_entry(connection: sa.Connection, entry: AuditEntry) -> None:
    """Add a row to the audit log."""
    values = {column.name: getattr(entry, field) for column, field in _FIELDS.items() if field != "id"}
    connection.execute(sa.insert(t.audit).values(values))


def list_entries(
    connection: sa.Connection, who: str | None, target: str | None, before: int | None, limit: int
) -> list[AuditEntry]:
    """Return up to `limit` rows with ids below `before`, newest first. None for a filter matches all."""
    c = t.audit.c
    query = sa.select(*(column.label(field) for column, field in _FIELDS.items())).order_by(c.id.desc()).limit(limit)
    if who is not None:
        query = query.where(c.who == who)
    if target is not None:
        query = query.where(c.target.contains(target, autoescape=True))
    if before is not None:
        query = query.where(c.id < before)
    return [AuditEntry(**found) for found in connection.execute(query).mappings()]


def entries_between(
    connection: sa.Connection, after: int, from_ts: float, until_ts: float, limit: int
) -> list[AuditEntry]:
    """Return up to `limit` rows in the range, after an id, oldest first."""
    c = t.audit.c
    query = sa.select(*(column.label(field) for column, field in _FIELDS.items()))
    query = query.where(c.id > after, c.at_ts >= from_ts, c.at_ts < until_ts).order_by(c.id).limit(limit)
    return [AuditEntry(**found) for found in connection.execute(query).mappings()]


def expire_entries(connection: sa.Connection, before_ts: float, limit: int) -> int:
    """Delete rows older than `before_ts` among the oldest `limit`; return how many. The newest row always stays."""
    c = t.audit.c
    oldest = list(connection.execute(sa.select(c.id).order_by(c.id).limit(limit + 1)).scalars())[:-1]
    if not oldest:
        return 0
    return connection.execute(sa.delete(t.audit).where(c.id <= oldest[-1], c.at_ts < before_ts)).rowcount
