"""What a test process does once instead of once a server, so that servers start in half of the time.

It changes how long something takes, never what is computed.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from sqlalchemy import event
from sqlalchemy.util import LRUCache

from wattspan.csms.security import hashing, passwords
from wattspan.store import engine
from wattspan.store.schema import migrate

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import Dialect

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""The least that argon2 allows. tests/unit/csms/test_hashing.py checks the cost that the product uses."""

MAX_STATEMENTS = 5_000

_dialects: dict[tuple[str, bool], Dialect] = {}
_compiled: LRUCache[Any, Any] = LRUCache(MAX_STATEMENTS)


def share_compiled_statements() -> None:
    """Let all engines of one kind share a dialect, and with it the compiled statements.

    SQLAlchemy keeps both for each engine. A server has two, and to compile the statements of its start takes a third of
    the start's time.
    """
    for backend, make in list(engine._MAKERS.items()):

        def make_shared(
            url: sa.URL,
            *,
            writes: bool,
            busy_timeout_s: float,
            make: Callable[..., sa.Engine] = make,
            kind: str = backend,
        ) -> sa.Engine:
            made = make(url, writes=writes, busy_timeout_s=busy_timeout_s)
            made._compiled_cache = _compiled
            key = kind, writes
            if (known := _dialects.get(key)) is not None:
                made.dialect = known
            else:  # a dialect learns the server's version when it first connects
                event.listen(made, "connect", lambda *_: _dialects.setdefault(key, made.dialect), once=True)
            return made

        engine._MAKERS[backend] = make_shared


def remember_migrated_schema() -> None:
    """Make a new SQLite database what the migrations made of the first one of this process, without running them again.

    A database that has tables is migrated by the migrations, as any on PostgreSQL is.
    """
    upgrade = migrate._upgrade
    script: list[str] = []

    def upgrade_or_copy(connection: sa.Connection, name: str, present: set[str]) -> None:
        is_new = not present and connection.dialect.name == "sqlite"
        if not (is_new and script):
            upgrade(connection, name, present)
        if not is_new:
            return
        driver: sqlite3.Connection = connection.connection.dbapi_connection  # type: ignore[assignment]
        if script:
            for statement in script:
                driver.execute(statement)
        else:
            script.extend(line for line in driver.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;"))

    migrate._upgrade = upgrade_or_copy


def remember_missing_sniffio() -> None:
    """Make httpcore's look for `sniffio`, which is not installed, fail at once.

    Python remembers no failed import: each client's first connection would search every folder of the path three times.
    """
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]


def hash_passwords_cheaply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash and verify the passwords of people at the least cost: 20 ms less for each login."""
    monkeypatch.setattr(hashing, "_ARGON2", CHEAP)
    monkeypatch.setattr(passwords, "UNMATCHED", CHEAP.hash("no password"))
