"""The claim on a PostgreSQL database: an advisory lock of the writer's session, and a mark that moves with each batch.

The lock ends with the session, however that ends, and is taken anew with each connection. The mark makes it safe:
a batch moves it from where this server left it. If it does not stand there, either the batch itself was committed
before the connection broke, or another server wrote meanwhile. An older session's commit that is still under way
holds the mark's row, and is waited for.
"""

import secrets

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wattspan.errors import StoreUnavailable, StoreUnusable
from wattspan.store.journal.prepared import Cursor
from wattspan.store.schema import tables as t

TAKE_S = 5.0
"""How long a claim waits at the start: the session of a server that was killed ends with the statement it is at."""

MARK = "batch"

# The schema is part of it: two servers may share a database, each in its own.
_LOCK = "SELECT pg_advisory_lock(1464947316, hashtext(current_schema()))"
_LOCKED = "55P03"
_MOVE = "UPDATE marks SET value = value + 1 WHERE name = %s AND value = %s"
_READ = "SELECT value FROM marks WHERE name = %s"
_FIRST_BITS = 62


class AdvisoryLockClaim:
    """A `Claim`. Until `take`, it watches nothing."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._settled: int | None = None
        """Where the mark stood after the last batch known to be committed; None: not claimed."""

    def check(self) -> None:
        pass

    def connected(self, connection: sa.Connection) -> None:
        if self._settled is None:
            return
        with connection.begin():
            if not _lock(connection):
                raise StoreUnavailable(
                    f"database {self._name} is in use by another Wattspan server, or ends a lost session"
                )

    def take(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {TAKE_S * 1000:.0f}")
        if not _lock(connection):
            raise StoreUnusable(
                f"{self._name} is in use by another Wattspan server; stop that one, or name another --database"
            )
        # Unlike anything that a server before could still expect there.
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
        pass  # the session ended, and the lock with it


def _lock(connection: sa.Connection) -> bool:
    """Take the lock for as long as the session lasts. False, and the transaction is of no use: another has it."""
    try:
        connection.exec_driver_sql(_LOCK)
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCKED:
            raise
        return False
    return True
