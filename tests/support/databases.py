"""Either database seen from outside, by plain SQL: what is in it, and somebody else who locks it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg

BACKENDS = ("sqlite", "postgresql")


def query(database: str, sql: str) -> list[Any]:
    """Rows of a statement on a connection of its own, committed; `database` is a file's path or a URL."""
    if "://" in database:
        with psycopg.connect(database, autocommit=True) as session:
            found = session.execute(sql.encode())
            return found.fetchall() if found.description else []
    with closing(sqlite3.connect(database)) as connection, connection:
        return connection.execute(sql).fetchall()


def lock(database: str) -> Callable[[], None]:
    """Another process keeps everybody from writing, though not from reading; what is returned ends it."""
    if "://" in database:
        session = psycopg.connect(database)
        session.execute("LOCK TABLE charge_points, connectors, transactions, meter_readings, marks IN EXCLUSIVE MODE")
        return session.close
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection.close
