"""The claim on a PostgreSQL database: an advisory lock of the writer's session, and a number incremented by each batch.

The lock ends with the session and is taken again with each connection. The number makes that safe: a batch increments
it from the value this server left. If the value differs, either the batch was committed before the connection broke,
or another server has written since. The commit of an older session that is still in progress holds the number's row,
so the increment waits for it.
"""

import secrets

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wattspan.errors import StoreUnavailable, StoreUnusable
from wattspan.store.journal.prepared import Cursor
from wattspan.store.schema import tables as t

TAKE_S = 5.0
"""Seconds to wait for the lock at start: the session of a killed server ends with the statement it runs."""

MARK = "batch"

# The schema is part of the key: servers may share a database, each in its own schema.
_LOCK = "SELECT pg_advisory_lock(1464947316, hashtext(current_schema()))"
_LOCKED = "55P03"
_MOVE = "UPDATE marks SET value = value + 1 WHERE name = %s AND value = %s"
_READ = "SELECT value FROM marks WHERE name = %s"
_FIRST_BITS = 62


class AdvisoryLockClaim:
    """A `Claim` by advisory lock. It guards nothing before `take`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._settled: int | None = None
        """The number after the last batch known to be committed; None before `take`."""

    def check(self) -> None:
        pass

    def connected(self, connection: sa.Connection) -> None:
        if self._settled is None:
            return
        with connection.begin():
            if not _lock(connection):
                raise StoreUnavailable(
                    f"database {self._name} is in use by another Wattspan server, or is still ending a lost session"
                )

    def take(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {TAKE_S * 1000:.0f}")
        if not _lock(connection):
            raise StoreUnusable(
                f"{self._name} is in use by another Wattspan server; stop that one, or name another --database"
            )
        # Random, so that it differs from what any former server expects.
        first = secrets.randbits(_FIRST_BITS)
        statement = insert(t.marks).values(name=MARK, value=first)
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": first}))
        self._settled = first

    def admits(self, cursor: Cursor) -> bool:
        if self._settled is None:
            return True
        cursor.execute(_MOVE, (MARK, self._settled))
        if cursor.rowcount == 1:
            return True
        cursor.execute(_READ, (MARK,))
        found = cursor.fetchone()
        if found is not None and found[0] == self._settled + 1:
            return False
        raise StoreUnusable(f"database {self._name} was written by another Wattspan server; start this one again")

    def settle(self, *, written: bool) -> None:
        if written and self._settled is not None:
            self._settled += 1

    def release(self) -> None:
        pass  # the lock ended with the session


def _lock(connection: sa.Connection) -> bool:
    """Take the lock for the session's lifetime. Return False, with the transaction aborted, if another one has it."""
    try:
        connection.exec_driver_sql(_LOCK)
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCKED:
            raise
        return False
    return True
