"""Connections to the database, and the border where its errors become ours. It knows no table.

SQLite runs as a write-ahead log with `synchronous=FULL`: a commit that has returned survives a power cut.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event, exc

from wattspan.errors import StoreError, StoreUnavailable, StoreUnusable

BUSY_TIMEOUT_S = 1.0
"""How long SQLite itself waits for another process's lock before a write counts as failed (and is tried again)."""

PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",
    # macOS: fsync alone leaves data in the drive's cache. Elsewhere these two mean nothing.
    "fullfsync": "1",
    "checkpoint_fullfsync": "1",
    # Bigger checkpoints write a page that changes with every batch once instead of many times; 16 MiB of log.
    "wal_autocheckpoint": "4000",
    "journal_size_limit": "67108864",
    "cache_size": "-32768",
    "temp_store": "memory",
}

BEGINS = {"sqlite": "BEGIN IMMEDIATE"}
"""How a transaction that writes is begun, where the driver does not do it by itself.

IMMEDIATE takes the write lock now, with SQLite's own waiting; a lock that is asked for later can't be waited for.
"""

WRITER = {"query_only": "0"}
READER = {"query_only": "1"}

_DIALECTS = ("sqlite", "postgresql")


def parse(database: str) -> sa.URL:
    """A path or a database URL as URL. Raises StoreUnusable for one that can't be."""
    if "://" not in database:
        return sa.URL.create("sqlite", database=database)
    try:
        url = sa.make_url(database)
        backend = url.get_backend_name()
    except (exc.ArgumentError, ValueError) as error:
        raise StoreUnusable(
            "the database URL can't be read: it should look like sqlite:///wattspan.db or postgresql://user@host:5432/name"
        ) from error
    if backend not in _DIALECTS:
        raise StoreUnusable(f"the database URL names {backend}: only sqlite and postgresql can be used")
    return url


def name_of(url: sa.URL) -> str:
    """The database as a person knows it: the file's path, or the URL without its password."""
    if url.get_backend_name() == "sqlite":
        return url.database or ":memory:"
    return url.render_as_string(hide_password=True)


def make_engine(url: sa.URL, *, writes: bool, busy_timeout_s: float) -> sa.Engine:
    """An engine whose connections are set up to write or only to read. Raises StoreUnusable without its driver."""
    if url.get_backend_name() != "sqlite":
        try:
            return sa.create_engine(url, pool_pre_ping=True)
        except (ImportError, exc.NoSuchModuleError) as error:
            raise StoreUnusable(f"{name_of(url)}: the Python package for it is not installed ({error})") from error
    _check_path(url)
    engine = sa.create_engine(url, connect_args={"timeout": busy_timeout_s, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = (
            None  # the driver would begin a transaction of the wrong kind; `begin` below does it
        )
        for name, value in (PRAGMAS | (WRITER if writes else READER)).items():
            connection.execute(f"PRAGMA {name}={value}")

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(BEGINS["sqlite"] if writes else "BEGIN")

    return engine


def _check_path(url: sa.URL) -> None:
    if not url.database or url.database == ":memory:":
        raise StoreUnusable("a database in memory would forget what chargers were told is safe: name a file")
    path = Path(url.database)
    if not path.parent.is_dir():
        raise StoreUnusable(f"{path}: its folder does not exist; create it, or name another database")
    if path.is_dir():
        raise StoreUnusable(f"{path} is a folder: name a file in it")


def row_faults(engine: sa.Engine) -> tuple[type[Exception], ...]:
    """The driver's errors that are a row's own: the same row will meet them again. UnicodeError is a ValueError."""
    driver = engine.dialect.loaded_dbapi
    return (
        driver.IntegrityError,
        driver.DataError,
        driver.InterfaceError,
        driver.ProgrammingError,
        OverflowError,
        TypeError,
        ValueError,
    )


@contextmanager
def border(engine: sa.Engine) -> Iterator[None]:
    """Turn the errors of driver and disk into StoreUnavailable and StoreUnusable, in one line that says what to do."""
    try:
        yield
    except (exc.SQLAlchemyError, engine.dialect.loaded_dbapi.Error, OSError) as error:
        raise translated(error, engine.url) from error


# What SQLite says, what it means, and what to do about it.
_FAULTS: tuple[tuple[str, type[StoreError], str], ...] = (
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


def translated(error: Exception, url: sa.URL) -> StoreError:
    """The error of ours that says the same."""
    told = str(getattr(error, "orig", None) or error).strip().splitlines()
    text = told[0] if told else type(error).__name__
    for sign, kind, meaning in _FAULTS:
        if sign in text.lower():
            return kind(f"database {name_of(url)} {meaning} ({text})")
    return StoreUnavailable(f"database {name_of(url)}: {text}")
