"""The claim that makes one process the only server of a database.

Two would assign the same transaction ids and overwrite each other's counters. Administration by the command line takes
no claim and works beside a running server. `FileClaim` is for SQLite; PostgreSQL's is in `advisory_lock`.
"""

import fcntl
import os
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from wattspan.errors import StoreUnavailable, StoreUnusable
from wattspan.store.journal.prepared import Cursor
from wattspan.store.sqlite import keep_private


class Claim(Protocol):
    """Guards the writer's connection to one database. Called on the writer's thread, except for `release`."""

    def check(self) -> None:
        """Raise StoreUnavailable if the connection no longer writes to the database."""

    def connected(self, connection: sa.Connection) -> None:
        """Renew the claim on a new connection, if it was taken. Raises StoreUnavailable if another server holds it."""

    def take(self, connection: sa.Connection) -> None:
        """Take the claim. Raises StoreUnusable if another server holds it."""

    def admits(self, cursor: Cursor) -> bool:
        """Return whether the batch must be written: False if its commit succeeded although the confirmation was lost.

        Called within the batch's transaction. Raises StoreUnusable if another server has written since.
        """

    def require(self, cursor: Cursor) -> None:
        """Make the batch's transaction fail unless `admits` would be True; `admits` then has the reason.

        Needs no round trip of its own.
        """

    def settle(self, *, written: bool) -> None:
        """Record whether the batch that was admitted last is committed."""

    def release(self) -> None:
        """Release the claim. Idempotent."""


class FileClaim:
    """A lock on a file beside the database, which the kernel releases when the process ends.

    "Beside" is where the database file itself lies, whatever symbolic links lead to it. The lock is not on the database
    file: closing it would release the locks that SQLite holds on it in this process.

    `check` notices that the database file was removed or replaced: SQLite would go on writing to the unlinked file.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._inode: int | None = None
        self._descriptor: int | None = None

    def check(self) -> None:
        if self._inode is None:
            return
        try:
            inode = os.stat(self._database).st_ino  # noqa: PTH116 - runs with each batch, and Path.stat takes twice as long
        except FileNotFoundError as error:
            raise StoreUnavailable(f"database {self._database} is gone; put the file back, or start again") from error
        if inode != self._inode:
            raise StoreUnavailable(f"database {self._database} was replaced by another file; start again to use it")

    def connected(self, connection: sa.Connection) -> None:
        if self._inode is None:
            self._inode = self._database.stat().st_ino

    def take(self, connection: sa.Connection) -> None:
        database = self._database.resolve()
        names = database.stat().st_nlink
        if names > 1:  # SQLite finds its journal by the name, so that each name would have a journal of its own
            raise StoreUnusable(f"{self._database} is one file under {names} names (hard links); remove the others")
        path = database.with_name(f"{database.name}.serving")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StoreUnusable(
                f"{path} can't be created ({exc.strerror}); give this user write permission on the folder"
            ) from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(descriptor)
            raise StoreUnusable(
                f"{self._database} is in use by another Wattspan server; stop that one, or name another --database"
            ) from exc
        self._descriptor = descriptor
        keep_private(database)

    def admits(self, cursor: Cursor) -> bool:
        return True

    def require(self, cursor: Cursor) -> None:
        pass

    def settle(self, *, written: bool) -> None:
        pass

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
