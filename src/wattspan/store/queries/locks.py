"""Locks for changes that depend on what they read first: two nodes of a cluster may make such changes at once."""

import sqlalchemy as sa

_LOCK = "SELECT pg_advisory_xact_lock(1464947319, hashtext(current_schema() || '/' || %s))"
USERS = "users"


def lock(connection: sa.Connection, *names: str) -> None:
    """Wait for every other transaction that locked one of these names, and lock them until this one ends.

    Later statements see what those transactions committed. Call it before anything else is read or locked. SQLite has
    one writing transaction at a time.
    """
    if connection.dialect.name != "postgresql":
        return
    for name in sorted(set(names)):  # in one order, so that two transactions do not block each other
        connection.exec_driver_sql(_LOCK, (name,))


def of_identity(identity: str) -> str:
    """Return the name to lock before something becomes an identity or a registered serial number."""
    return f"identity {identity.lower()}"


def of_id_tag(id_key: str) -> str:
    """Return the name to lock before an id tag is changed after a look at it."""
    return f"id tag {id_key}"
