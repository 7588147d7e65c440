"""Settings of PostgreSQL sessions, and the meaning of PostgreSQL's errors. It knows no table.

A commit that has returned is in the server's log on disk (`synchronous_commit`), and on every synchronous standby.
Time-outs on both sides of the connection bound every wait.
"""

import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import sqlalchemy as sa
from sqlalchemy import event

from wattspan.errors import StoreError, StoreUnavailable, StoreUnusable

log = logging.getLogger(__name__)

STATEMENT_TIMEOUT_S = 10.0
"""Seconds that a statement may take. Migrations and the restore at start are not limited."""

# libpq parameters that the URL may override. The loss of the server is noticed after about 15 s, idle or in a query.
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
    # How soon the server notices that this process is gone. Until then it holds the lock, and no other can take over.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15000",
}

# Text in PostgreSQL's error or its [SQLSTATE], our error, and its meaning with what to do.
FAULTS: tuple[tuple[str, type[StoreError], str], ...] = (
    ("[28", StoreUnusable, "refuses the user or the password; check the URL, or PGPASSFILE"),
    ("authentication failed", StoreUnusable, "refuses the user or the password; check the URL, or PGPASSFILE"),
    ("no password supplied", StoreUnusable, "asks for a password; put it in the URL, or in a file named by PGPASSFILE"),
    ("pg_hba.conf", StoreUnusable, "refuses connections from this host; see pg_hba.conf on the server"),
    ("[3d000]", StoreUnusable, "does not exist; create it (createdb), or name another one"),
    ('database "', StoreUnusable, "can't be opened; create it (createdb), or name another one"),
    ('role "', StoreUnusable, "refuses the user; check the URL"),
    ("[42501]", StoreUnusable, "denies this user what it needs; make it the owner of the database"),
    ("[25006]", StoreUnavailable, "is read-only, perhaps a standby; name the primary"),
    ("[53100]", StoreUnavailable, "can't grow: the disk is full; make room"),
    ("[53300]", StoreUnavailable, "has no connection left; end some, or raise max_connections"),
    ("[55p03]", StoreUnavailable, "is locked by another session; end that session or wait for it"),
    ("[57014]", StoreUnavailable, "is too slow; see what else it is doing (pg_stat_activity)"),
    ("[57p", StoreUnavailable, "is stopping or starting; wait for it"),
)

_sessions: WeakKeyDictionary[sa.Engine, WeakSet[Any]] = WeakKeyDictionary()
"""The driver's connections that each engine made and that may still be open."""
_terminated: WeakSet[sa.Engine] = WeakSet()
"""Engines that make no connection any more."""

_ROW_CLASSES = ("21", "22", "23", "54")
"""SQLSTATE classes about values: cardinality, data, constraints, and limits such as the size of an index row."""
_ROW_STATES = ("42804", "42846", "42883")
"""A value whose type does not match its column. The rest of class 42 is about the database, not the row."""


def make_engine(url: sa.URL, *, writes: bool, busy_timeout_s: float) -> sa.Engine:
    """Return an engine for writing or only for reading. `busy_timeout_s`: seconds to wait for a lock."""
    arguments = {name: value for name, value in _CONNECT.items() if name not in url.query}
    engine = sa.create_engine(
        url,
        paramstyle="format",  # rows are tuples
        use_native_hstore=False,  # saves a query for each connection
        pool_pre_ping=not writes,
        # Readers see one snapshot over all queries of a transaction.
        isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
        connect_args={**arguments, "client_encoding": "utf8"},
    )
    settings = {
        **_SESSION,
        "lock_timeout": f"{max(1, round(busy_timeout_s * 1000))}",  # 0 would mean no limit
        "default_transaction_read_only": "off" if writes else "on",
    }
    set_all = f"SELECT {', '.join(['set_config(%s, %s, false)'] * len(settings))}"
    values = [text for setting in settings.items() for text in setting]
    sessions = _sessions[engine] = WeakSet()

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        sessions.add(connection)
        if engine in _terminated:  # a pool replaces a session that was shut down
            connection.close()
        with connection.cursor() as cursor:
            cursor.execute(set_all, values)
            # A stronger setting (remote_apply) is kept.
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false)"
                " WHERE current_setting('synchronous_commit') <> 'remote_apply'"
            )
        connection.commit()

    return engine


def terminate(engine: sa.Engine) -> None:
    """Shut down the sockets of an engine's sessions, from any thread, so that pending queries fail at once.

    For shutdown: otherwise a server that hangs would keep a thread, and so the process, alive. New sessions fail, too:
    a PgBouncer accepts them although the server behind it hangs.
    """
    _terminated.add(engine)
    for session in list(_sessions[engine]):
        if not session.closed:
            with suppress(OSError), socket.socket(fileno=os.dup(session.pgconn.socket)) as line:
                line.shutdown(socket.SHUT_RDWR)


def without_statement_timeout(connection: sa.Connection) -> None:
    """Disable the statement time-out for this transaction."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def in_pipeline(connection: Any, work: Callable[[Any], None]) -> None:
    """Run `work` with a cursor in a transaction, and commit it; see `pipeline.in_pipeline`."""
    from wattspan.store import pipeline  # noqa: PLC0415 - the driver is loaded only for PostgreSQL

    pipeline.in_pipeline(connection, work)


def prepare(connection: sa.Connection, name: str) -> None:
    """Prepare the transaction that migrates the tables: one process at a time, without a statement time-out.

    Raises StoreUnusable for a database that is not encoded as UTF-8; logs a warning if fsync is off.
    """
    without_statement_timeout(connection)
    connection.exec_driver_sql("SET LOCAL lock_timeout = '60s'")
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1464947317, hashtext(current_schema()))")
    query = "SELECT current_setting('server_encoding'), current_setting('fsync')"
    encoding, fsync = connection.exec_driver_sql(query).one()
    if encoding != "UTF8":
        raise StoreUnusable(f"database {name} is encoded as {encoding}; create it with encoding UTF8")
    if fsync != "on":
        log.warning("database %s runs with fsync off: a power failure may lose acknowledged messages", name)


def is_row_fault(error: Exception) -> bool:
    """Return whether the row caused the error, so that it would occur again with the same row.

    A missing or forbidden table is not the row's fault: otherwise thousands of rows would be set aside.
    """
    from psycopg import DataError, Error, ProgrammingError  # noqa: PLC0415 - the driver is loaded only for PostgreSQL

    if not isinstance(error, Error):
        return isinstance(error, OverflowError | TypeError | ValueError)
    state = error.sqlstate
    if state is None:  # raised by the driver: NUL in a text, a value it can't convert
        return isinstance(error, DataError | ProgrammingError)
    return state.startswith(_ROW_CLASSES) or state in _ROW_STATES
