"""Backup of a SQLite database that is in use. For PostgreSQL there is `pg_dump`."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from wattspan.errors import StoreUnusable
from wattspan.store.engine import make_engine, name_of, parse, translate_errors

WAIT_S = 30.0


def backup(database: str, target: Path) -> int:
    """Write a consistent copy of `database` to `target`, check and sync it, and return its size in bytes.

    Other processes may write meanwhile without waiting (VACUUM INTO reads a snapshot). After a failure nothing is left
    at `target`. Raises StoreError.
    """
    url = parse(database)
    if url.get_backend_name() != "sqlite":
        raise StoreUnusable(f"{name_of(url)} is not a SQLite file; back it up with pg_dump")
    source = Path(name_of(url))
    if not source.is_file():
        raise StoreUnusable(f"there is no database {source}")
    if target.exists():
        raise StoreUnusable(f"{target} exists; name another file")
    part = target.with_name(f".{target.name}.{os.getpid()}")
    engine = make_engine(url, writes=False, busy_timeout_s=WAIT_S)
    try:
        with translate_errors(engine):
            # Readable only by its owner: it has digests of secrets, and who charged where.
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            _copy(source, part)
            os.link(part, target)  # unlike a rename, a link never replaces an existing file
    finally:
        part.unlink(missing_ok=True)
        engine.dispose()
    return target.stat().st_size


def _copy(source: Path, part: Path) -> None:
    with closing(sqlite3.connect(source, timeout=WAIT_S, isolation_level=None)) as connection:
        connection.execute("VACUUM INTO ?", (str(part),))
    with closing(sqlite3.connect(part, isolation_level=None)) as copy:
        faults = [row for (row,) in copy.execute("PRAGMA quick_check(3)") if row != "ok"]
    if faults:
        raise StoreUnusable(f"{source} is corrupt ({faults[0]}); restore it from an older backup")
    with part.open("rb") as file:
        os.fsync(file.fileno())
