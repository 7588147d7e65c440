"""How a PostgreSQL session is set up, and what its errors mean. It knows no table.

A commit that has returned is in the server's log on disk (`synchronous_commit`), and with every synchronous standby.
Whatever hangs, hangs for a bounded time, on either side of the connection.
"""

import logging
import os
import socket
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import sqlalchemy as sa
from sqlalchemy import event

from wattspan.errors import StoreError, StoreUnavailable, StoreUnusable

log = logging.getLogger(__name__)

STATEMENT_TIMEOUT_S = 10.0
"""How long a statement may take. Migrations and the restore at the start may take any time."""

# libpq's, unless the URL says otherwise. A server that vanished is missed after some 15 s, in silence or amid a query.
_CONNECT: dict[str, Any] = {
    "connect_timeout": 5,
    "fallback_application_name": "wattspan",
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}

_SESSION = {
    "statement_timeout": f"{STATEMENT_TIMEOUT_S * 1000:.0f}",
    "idle_in_transaction_session_timeout": "60000",
    # How soon the server misses us: until then it holds our claim, and nobody can go on in our place.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15000",
}

# What PostgreSQL says, after its SQLSTATE where it told one, what it means, and what to do about it.
FAULTS: tuple[tuple[str, type[StoreError], str], ...] = (
    ("[28", StoreUnusable, "refuses the user or the password; check the URL, or PGPASSFILE"),
    ("password authentication failed", StoreUnusable, "refuses the user or the password; check the URL, or PGPASSFILE"),
    ("no password supplied", StoreUnusable, "asks for a password; put it in the URL, or in a file named by PGPASSFILE"),
    ("pg_hba.conf", StoreUnusable, "lets nobody in from here; see pg_hba.conf on the server"),
    ("[3d000]", StoreUnusable, "does not exist; create it (createdb), or name another one"),
    ('database "', StoreUnusable, "can't be opened; create it (createdb), or name another one"),
    ('role "', StoreUnusable, "refuses the user; check the URL"),
    ("[42501]", StoreUnusable, "keeps this user from what it needs; make it the owner of the database"),
    ("[25006]", StoreUnavailable, "can only be read; a standby? name the primary"),
    ("[53100]", StoreUnavailable, "can't grow: the disk is full; make room"),
    ("[53300]", StoreUnavailable, "has no connection left; end some, or raise max_connections"),
    ("[55p03]", StoreUnavailable, "is locked by another session; end that session or wait for it"),
    ("[57014]", StoreUnavailable, "answers too slowly; see what else it is doing (pg_stat_activity)"),
    ("[57p", StoreUnavailable, "is stopping or starting; wait for it"),
)

_sessions: WeakKeyDictionary[sa.Engine, WeakSet[Any]] = WeakKeyDictionary()
"""The driver's connections that an engine made and that may be open still."""

_ROW_CLASSES = ("21", "22", "23", "54")
"""SQLSTATE classes that speak of values: cardinality, data, constraints, and limits such as an index row's size."""
_ROW_STATES = ("42804", "42846", "42883")
"""A value of a type that does not go with its column. All else of class 42 is the database's own trouble."""


def make_engine(url: sa.URL, *, writes: bool, busy_timeout_s: float) -> sa.Engine:
    """An engine whose connections write or only read; `busy_timeout_s` is how long they wait for a lock."""
    arguments = {name: value for name, value in _CONNECT.items() if name not in url.query}
    engine = sa.create_engine(
        url,
        paramstyle="format",  # rows are tuples
        use_native_hstore=False,  # saves a query a connection
        pool_pre_ping=not writes,
        # What a reader asks in several queries, it sees at one moment.
        isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
        connect_args={**arguments, "client_encoding": "utf8"},
    )
    settings = {
        **_SESSION,
        "lock_timeout": f"{max(1, round(busy_timeout_s * 1000))}",  # 0 would be for ever
        "default_transaction_read_only": "off" if writes else "on",
    }
    set_all = f"SELECT {', '.join(['set_config(%s, %s, false)'] * len(settings))}"
    values = [text for setting in settings.items() for text in setting]
    sessions = _sessions[engine] = WeakSet()

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        sessions.add(connection)
        with connection.cursor() as cursor:
            cursor.execute(set_all, values)
            # Whoever asked for more (remote_apply) keeps it.
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false)"
                " WHERE current_setting('synchronous_commit') <> 'remote_apply'"
            )
        connection.commit()

    return engine


def terminate(engine: sa.Engine) -> None:
    """Cut the sessions of an engine, from any thread: whoever waits for an answer on one meets an error at once.

    For the end of the process: a server that hangs would keep a thread, and so the process, for as long as it likes.
    """
    for session in list(_sessions[engine]):
        if not session.closed:
            with suppress(OSError), socket.socket(fileno=os.dup(session.pgconn.socket)) as line:
                line.shutdown(socket.SHUT_RDWR)


def without_statement_timeout(connection: sa.Connection) -> None:
    """Let this transaction's statements take any time."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def prepare(connection: sa.Connection, name: str) -> None:
    """Before the tables are brought up to date, in the same transaction: one process at a time, and in no hurry.

    Raises StoreUnusable for a database that can't hold every text; one that may forget is warned of.
    """
    without_statement_timeout(connection)
    connection.exec_driver_sql("SET LOCAL lock_timeout = '60s'")
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1464947317, hashtext(current_schema()))")
    asked = "SELECT current_setting('server_encoding'), current_setting('fsync')"
    encoding, fsync = connection.exec_driver_sql(asked).one()
    if encoding != "UTF8":
        raise StoreUnusable(f"database {name} is encoded as {encoding}; create it with encoding UTF8")
    if fsync != "on":
        log.warning("database %s runs with fsync off: a power cut may take what chargers were told is safe", name)


def is_row_fault(error: Exception) -> bool:
    """Whether a row is to blame: the same row will meet this error again.

    A table that is missing or forbidden is not: rows would be set aside by the thousand.
    """
    from psycopg import DataError, Error, ProgrammingError  # noqa: PLC0415 - only who uses PostgreSQL loads its driver

    if not isinstance(error, Error):
        return isinstance(error, OverflowError | TypeError | ValueError)
    state = error.sqlstate
    if state is None:  # the driver's own: NUL in a text, a value it can't tell
        return isinstance(error, DataError | ProgrammingError)
    return state.startswith(_ROW_CLASSES) or state in _ROW_STATES
