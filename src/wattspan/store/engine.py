"""Connections to the database, and the border where its errors become ours. It knows no table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy import exc

from wattspan.errors import StoreError, StoreUnavailable, StoreUnusable
from wattspan.store import postgresql, sqlite

BUSY_TIMEOUT_S = 1.0
"""How long the database itself waits for another's lock before a write counts as failed (and is tried again)."""

BEGINS = {"sqlite": sqlite.BEGIN}
"""How a transaction that writes is begun, where the driver does not do it by itself."""

_MAKERS = {"sqlite": sqlite.make_engine, "postgresql": postgresql.make_engine}
_DRIVERS = {"sqlite": ("sqlite", "pysqlite"), "postgresql": ("postgresql+psycopg", "psycopg")}
_FAULTS = {"sqlite": sqlite.FAULTS, "postgresql": postgresql.FAULTS}
_ROW_FAULTS = {"sqlite": sqlite.is_row_fault, "postgresql": postgresql.is_row_fault}


def parse(database: str) -> sa.URL:
    """A path or a database URL as URL, the driver named. Raises StoreUnusable for one that can't be."""
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
    """The database as a person knows it: the file's path, or the URL without driver, password and options."""
    if url.get_backend_name() == "sqlite":
        return url.database or ":memory:"
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


def make_engine(url: sa.URL, *, writes: bool, busy_timeout_s: float) -> sa.Engine:
    """An engine whose connections are set up to write or only to read. Raises StoreUnusable without its driver."""
    try:
        return _MAKERS[url.get_backend_name()](url, writes=writes, busy_timeout_s=busy_timeout_s)
    except ImportError as error:
        raise StoreUnusable(f"{name_of(url)}: the Python package for it can't be loaded ({error})") from error


def row_fault(engine: sa.Engine) -> Callable[[Exception], bool]:
    """Tells the driver's errors that are a row's own: the same row will meet them again."""
    return _ROW_FAULTS[engine.dialect.name]


def terminate(engine: sa.Engine) -> None:
    """Have whoever waits for the database meet an error. A file's waits end by themselves."""
    if engine.dialect.name == "postgresql":
        postgresql.terminate(engine)


@contextmanager
def translate_errors(engine: sa.Engine) -> Iterator[None]:
    """Turn the errors of driver and disk into StoreUnavailable and StoreUnusable, in one line that says what to do."""
    try:
        yield
    except (exc.SQLAlchemyError, engine.dialect.loaded_dbapi.Error, OSError) as error:
        raise translated(error, engine.url) from error


def translated(error: Exception, url: sa.URL) -> StoreError:
    """The error of ours that says the same."""
    origin = getattr(error, "orig", None) or error
    told = str(origin).strip().splitlines()
    text = told[0] if told else type(error).__name__
    # SQLite's driver has no SQLSTATE, and PostgreSQL's tells none of a connection that could not be made.
    signs = f"[{getattr(origin, 'sqlstate', None)}] {' '.join(told)}".lower()
    for sign, kind, meaning in _FAULTS[url.get_backend_name()]:
        if sign in signs:
            return kind(f"database {name_of(url)} {meaning} ({text})")
    return StoreUnavailable(f"database {name_of(url)}: {text}")
