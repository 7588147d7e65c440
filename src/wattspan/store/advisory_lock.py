"""The claim on a PostgreSQL database: advisory locks of the writer's session, and a number incremented by each batch.

The locks end with the session and are taken again with each connection. The number makes that safe: a batch increments
it from the value this server left. If the value differs, either the batch was committed before the connection broke,
or another server has written since. The commit of an older session that is still in progress holds the number's row,
so the increment waits for it.

A server alone holds the database's lock exclusively. The nodes of a cluster share it, so that they and such a server
refuse each other; each has a lock and a number of its own, so that two nodes of one name do, too.
"""

import secrets

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wattspan.errors import StoreUnavailable, StoreUnusable
from wattspan.store.journal.prepared import Cursor
from wattspan.store.schema import tables as t

TAKE_S = 5.0
"""Seconds to wait for the lock at start: the session of a killed server ends with the statement it runs."""
IDLE_S = 5.0
"""Seconds after which PostgreSQL ends the session of a node that was stopped in the middle of a batch: its charge
points' rows are locked, so that no other node can take them."""

MARK = "batch"

# The schema is part of the key: servers may share a database, each in its own schema.
_LOCK = "SELECT pg_advisory_lock(1464947316, hashtext(current_schema()))"
_SHARE = "SELECT pg_advisory_lock_shared(1464947316, hashtext(current_schema()))"
_LOCK_NAME = "SELECT pg_advisory_lock(1464947318, hashtext(current_schema() || '/' || %s))"
_LOCKED = "55P03"
_MOVE = "UPDATE marks SET value = value + 1 WHERE name = %s AND value = %s RETURNING value"
# Divides by zero, an error like a bad row's, unless it moves the mark.
_MOVE_OR_FAIL = f"WITH moved AS ({_MOVE}) SELECT 1 / count(*) FROM moved"  # noqa: S608
_READ = "SELECT value FROM marks WHERE name = %s"
_FIRST_BITS = 62


def batch_mark(node: str | None) -> str:
    """Return the name of the mark that a server's batches increment; None: without a cluster."""
    return MARK if node is None else f"{MARK}:{node}"


class AdvisoryLockClaim:
    """A `Claim` by advisory lock, of the node of that name if there is one. It guards nothing before `take`."""

    def __init__(self, name: str, node: str | None = None) -> None:
        self._name = name
        self._node = node
        self._mark = batch_mark(node)
        self._settled: int | None = None
        """The number after the last batch known to be committed; None before `take`."""

    def check(self) -> None:
        pass

    def connected(self, connection: sa.Connection) -> None:
        if self._settled is None:
            return
        with connection.begin():
            refusal = self._lock(connection)
            if refusal is not None:
                raise StoreUnavailable(f"{refusal}, or is still ending a lost session")

    def take(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {TAKE_S * 1000:.0f}")
        refusal = self._lock(connection)
        if refusal is not None:
            raise StoreUnusable(f"{refusal}; stop that one, or name another {self._other_name}")
        # Random, so that it differs from what any former server expects.
        first = secrets.randbits(_FIRST_BITS)
        statement = insert(t.marks).values(name=self._mark, value=first)
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": first}))
        self._settled = first

    @property
    def _other_name(self) -> str:
        return "--database" if self._node is None else "--database or --node-name"

    def _lock(self, connection: sa.Connection) -> str | None:
        """Take the locks for the session's lifetime. Return who has one, with the transaction aborted; None: we do."""
        if self._node is None:
            return None if _locked(connection, _LOCK) else f"database {self._name} is in use by another Wattspan server"
        connection.exec_driver_sql(f"SET SESSION idle_in_transaction_session_timeout = {IDLE_S * 1000:.0f}")
        if not _locked(connection, _SHARE):
            return f"database {self._name} is in use by a Wattspan server that is no node of a cluster"
        if not _locked(connection, _LOCK_NAME, self._node):
            return f"database {self._name} is in use by another node of the name {self._node}"
        return None

    def admits(self, cursor: Cursor) -> bool:
        if self._settled is None:
            return True
        cursor.execute(_MOVE, (self._mark, self._settled))
        if cursor.fetchone() is not None:
            return True
        cursor.execute(_READ, (self._mark,))
        found = cursor.fetchone()
        if found is not None and found[0] == self._settled + 1:
            return False
        raise StoreUnusable(f"database {self._name} was written by another Wattspan server; start this one again")

    def require(self, cursor: Cursor) -> None:
        if self._settled is not None:
            cursor.execute(_MOVE_OR_FAIL, (self._mark, self._settled))

    def settle(self, *, written: bool) -> None:
        if written and self._settled is not None:
            self._settled += 1

    def release(self) -> None:
        pass  # the locks ended with the session


def _locked(connection: sa.Connection, lock: str, *parameters: str) -> bool:
    """Take a lock for the session's lifetime. Return False, with the transaction aborted, if another one has it."""
    try:
        connection.exec_driver_sql(lock, parameters)
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCKED:
            raise
        return False
    return True
