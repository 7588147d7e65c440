"""Connections to the database, and the translation of its errors. It knows no table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy import exc

from wattspan.errors import StoreError, StoreUnavailable, StoreUnusable
from wattspan.store import postgresql, sqlite

BUSY_TIMEOUT_S = 1.0
"""Seconds that the database waits for a lock before a write fails (and is retried)."""

BEGINS = {"sqlite": sqlite.BEGIN}
"""The statement that begins a writing transaction, for drivers that do not issue it."""

IN_PIPELINE = {"postgresql": postgresql.in_pipeline}
"""Runs work in a transaction and commits it in as few round trips as possible, for drivers that can."""

_MAKERS = {"sqlite": sqlite.make_engine, "postgresql": postgresql.make_engine}
_DRIVERS = {"sqlite": ("sqlite", "pysqlite"), "postgresql": ("postgresql+psycopg", "psycopg")}
_FAULTS = {"sqlite": sqlite.FAULTS, "postgresql": postgresql.FAULTS}
_ROW_FAULTS = {"sqlite": sqlite.is_row_fault, "postgresql": postgresql.is_row_fault}


def parse(database: str) -> sa.URL:
    """Return a path or a database URL as a URL with its driver. Raises StoreUnusable for an invalid one."""
    if "://" not in database:
        return sa.URL.create("sqlite", database=database)
    try:
        url = sa.make_url(database)
    except (exc.ArgumentError, ValueError) as error:
        raise StoreUnusable(
            "the database URL can't be read: it should look like sqlite:///wattspan.db or postgresql://user@host:5432/name"
        ) from error
    backend, _, driver = url.drivername.partition("+")
    if backend not in _DRIVERS:
        raise StoreUnusable(f"the database URL names {backend}: only sqlite and postgresql can be used")
    name, only = _DRIVERS[backend]
    if driver not in ("", only):
        raise StoreUnusable(f"the database URL names the driver {driver}: write {backend}:// alone")
    return url.set(drivername=name)


def name_of(url: sa.URL) -> str:
    """Return the database's name for messages: the file's path, or the URL without driver, password and options."""
    if url.get_backend_name() == "sqlite":
        return url.database or ":memory:"
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


def make_engine(url: sa.URL, *, writes: bool, busy_timeout_s: float) -> sa.Engine:
    """Return an engine for writing or only for reading. Raises StoreUnusable if its driver is not installed."""
    try:
        return _MAKERS[url.get_backend_name()](url, writes=writes, busy_timeout_s=busy_timeout_s)
    except ImportError as error:
        raise StoreUnusable(f"{name_of(url)}: the Python package for it can't be loaded ({error})") from error


def row_fault(engine: sa.Engine) -> Callable[[Exception], bool]:
    """Return a predicate for errors that are caused by a row and would occur again with the same row."""
    return _ROW_FAULTS[engine.dialect.name]


def terminate(engine: sa.Engine) -> None:
    """Abort pending calls to the database, which raise an error. Calls to SQLite end without this."""
    if engine.dialect.name == "postgresql":
        postgresql.terminate(engine)


@contextmanager
def translate_errors(engine: sa.Engine) -> Iterator[None]:
    """Turn errors of the driver and the disk into StoreUnavailable or StoreUnusable, each with what to do about it."""
    try:
        yield
    except (exc.SQLAlchemyError, engine.dialect.loaded_dbapi.Error, OSError) as error:
        raise translated(error, engine.url) from error


def translated(error: Exception, url: sa.URL) -> StoreError:
    """Return the StoreError for an error of the driver or the disk."""
    origin = getattr(error, "orig", None) or error
    lines = str(origin).strip().splitlines()
    first = lines[0] if lines else type(error).__name__
    # SQLite's driver has no SQLSTATE, and PostgreSQL's has none for a connection that could not be made.
    text = f"[{getattr(origin, 'sqlstate', None)}] {' '.join(lines)}".lower()
    for pattern, kind, meaning in _FAULTS[url.get_backend_name()]:
        if pattern in text:
            return kind(f"database {name_of(url)} {meaning} ({first})")
    return StoreUnavailable(f"database {name_of(url)}: {first}")
