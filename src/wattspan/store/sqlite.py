"""Settings of SQLite connections, and the meaning of SQLite's errors. It knows no table.

It runs with a write-ahead log and `synchronous=FULL`: a commit that has returned survives a power failure.
"""

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event

from wattspan.errors import StoreError, StoreUnavailable, StoreUnusable
from wattspan.private_files import create_private, restrict

log = logging.getLogger(__name__)

BEGIN = "BEGIN IMMEDIATE"
"""Begins a writing transaction; the driver would begin one of the wrong kind.

IMMEDIATE takes the write lock now, with SQLite's busy time-out, which does not apply to a later upgrade of a read lock.
"""

PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",
    # On macOS, fsync alone leaves data in the drive's cache. Elsewhere these two have no effect.
    "fullfsync": "1",
    "checkpoint_fullfsync": "1",
    # With 16 MiB of log, a page that changes with every batch is written once for each checkpoint.
    "wal_autocheckpoint": "4000",
    "journal_size_limit": "67108864",
    "cache_size": "-32768",
    "temp_store": "memory",
}

CHECKPOINT_TRIES = 10
"""How often the log's truncation is tried; each waits for readers as long as the busy time-out."""

WRITER = {"query_only": "0"}
READER = {"query_only": "1"}

# Text in SQLite's error, our error, and its meaning with what to do.
FAULTS: tuple[tuple[str, type[StoreError], str], ...] = (
    ("locked", StoreUnavailable, "is locked by another process; end that process or wait for it"),
    ("disk is full", StoreUnavailable, "can't grow: the disk is full; make room"),
    ("readonly", StoreUnusable, "can't be written; give this user write permission on the file and its folder"),
    ("unable to open", StoreUnusable, "can't be opened; check the permissions of the file and its folder"),
    (
        "not a database",
        StoreUnusable,
        "is not a database, or is corrupt; restore it from a backup, or name another file",
    ),
    ("malformed", StoreUnusable, "is corrupt; restore it from a backup, or name another file"),
    (
        "disk i/o error",
        StoreUnavailable,
        "can't be read or written: the disk is full or failing; make room, or check it",
    ),
)

_ROW_FAULTS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    TypeError,
    ValueError,  # UnicodeError is one
)


def make_engine(url: sa.URL, *, writes: bool, busy_timeout_s: float) -> sa.Engine:
    """Return an engine for writing or only for reading. Raises StoreUnusable for a path that can't be a database."""
    _check_path(url)
    engine = sa.create_engine(url, connect_args={"timeout": busy_timeout_s, "check_same_thread": False})

    @event.listens_for(engine, "do_connect")
    def create(_dialect: object, _record: object, _arguments: object, _parameters: object) -> None:
        if writes:
            with contextlib.suppress(OSError):  # it exists, or else SQLite has the better error
                os.close(create_private(Path(url.database or "")))

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions; `begin` below does
        for name, value in (PRAGMAS | (WRITER if writes else READER)).items():
            connection.execute(f"PRAGMA {name}={value}")

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(BEGIN if writes else "BEGIN")

    return engine


def compact(connection: sqlite3.Connection, max_bytes: int | None) -> bool:
    """Rewrite the database and empty its log. Return False if it has more than `max_bytes` and only that was done."""
    (pages,), (page_size,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    is_small = max_bytes is None or pages * page_size <= max_bytes
    if is_small:
        connection.execute("PRAGMA temp_store = file")  # the copy may be larger than memory
        try:
            connection.execute("VACUUM")
        finally:
            connection.execute(f"PRAGMA temp_store = {PRAGMAS['temp_store']}")
    for _ in range(CHECKPOINT_TRIES):
        (is_busy, _log, _moved) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not is_busy:
            return is_small
    return False  # a reader still needs the log, which is overwritten later


def is_row_fault(error: Exception) -> bool:
    """Return whether the row caused the error, so that it would occur again with the same row."""
    return isinstance(error, _ROW_FAULTS)


def keep_private(database: Path) -> None:
    """Take the rights of other users away from a database. SQLite gives its other files the rights of the first."""
    restricted = [restrict(database.with_name(database.name + suffix)) for suffix in ("", "-wal", "-shm")]
    if any(restricted):
        log.warning("database %s could be read by other users of this machine, and can't any more", database)


def _check_path(url: sa.URL) -> None:
    if not url.database or url.database == ":memory:":
        raise StoreUnusable("a database in memory would lose acknowledged messages: name a file")
    path = Path(url.database)
    if not path.parent.is_dir():
        raise StoreUnusable(f"{path}: its folder does not exist; create it, or name another database")
    if path.is_dir():
        raise StoreUnusable(f"{path} is a folder: name a file in it")
