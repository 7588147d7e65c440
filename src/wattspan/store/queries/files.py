"""Records of files on disk: diagnostics that charge points upload, firmware that they download."""

import sqlalchemy as sa

from wattspan.store.records import StoredFile
from wattspan.store.schema import tables as t

_FILE = t.stored_files.c


def add_file(connection: sa.Connection, file: StoredFile) -> None:
    """Add the record of a file that is on disk."""
    connection.execute(sa.insert(t.stored_files).values({c.name: getattr(file, c.name) for c in _FILE}))


def file(connection: sa.Connection, kind: str, file_id: str) -> StoredFile | None:
    """Return the record of a file of that kind, or None."""
    query = sa.select(t.stored_files).where(_FILE.kind == kind, _FILE.file_id == file_id)
    found = connection.execute(query).mappings().first()
    return None if found is None else StoredFile(**found)


def list_files(connection: sa.Connection, kind: str, cp_id: str | None, limit: int) -> list[StoredFile]:
    """Return up to `limit` files of that kind, newest first; `cp_id` None: of all charge points."""
    query = sa.select(t.stored_files).where(_FILE.kind == kind)
    if cp_id is not None:
        query = query.where(_FILE.cp_id == cp_id)
    query = query.order_by(_FILE.created_ts.desc(), _FILE.file_id).limit(limit)
    return [StoredFile(**found) for found in connection.execute(query).mappings()]


def remove_file(connection: sa.Connection, kind: str, file_id: str) -> bool:
    """Delete the record of a file. Return False if there was none."""
    mine = sa.and_(_FILE.kind == kind, _FILE.file_id == file_id)
    return connection.execute(sa.delete(t.stored_files).where(mine)).rowcount > 0
