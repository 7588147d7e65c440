"""One server a database. Two would give out the same transaction ids, and each overwrite the other's counters.

Command-line administration claims nothing, and goes on beside a running server. What follows is SQLite's way; that of
PostgreSQL is in `session_claim`.
"""

import fcntl
import os
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from wattspan.errors import StoreUnavailable, StoreUnusable
from wattspan.store.journal.prepared import Cursor


class Claim(Protocol):
    """Watches over the writer's connection to one database. On the writer's thread, but for `release`."""

    def check(self) -> None:
        """Raise StoreUnavailable if what the connection writes to is not the database any more."""

    def connected(self, connection: sa.Connection) -> None:
        """The writer connected, perhaps anew; what was claimed is claimed again, or StoreUnavailable raised."""

    def take(self, connection: sa.Connection) -> None:
        """Be the only server from now on. Raises StoreUnusable when there is one already."""

    def admits(self, cursor: Cursor) -> bool:
        """Whether a batch must still be written: not one whose commit went through, though its answer was lost.

        Within the batch's transaction. Raises StoreUnusable when another server wrote since.
        """

    def settle(self, *, written: bool) -> None:
        """What became of the batch that was let in last."""

    def release(self) -> None:
        """Let another server have the database. Idempotent."""


class FileClaim:
    """A file lock beside the database: it ends with the process, however that ends.

    Were the database removed or replaced, SQLite would go on writing into what nobody finds again.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._inode: int | None = None
        self._descriptor: int | None = None

    def check(self) -> None:
        if self._inode is None:
            return
        try:
            inode = os.stat(self._database).st_ino  # noqa: PTH116 - once a batch, and half the price of Path.stat
        except FileNotFoundError as error:
            raise StoreUnavailable(f"database {self._database} is gone; put the file back, or start again") from error
        if inode != self._inode:
            raise StoreUnavailable(f"database {self._database} was replaced by another file; start again to use it")

    def connected(self, connection: sa.Connection) -> None:
        if self._inode is None:
            self._inode = self._database.stat().st_ino

    def take(self, connection: sa.Connection) -> None:
        path = self._database.with_name(f"{self._database.name}.serving")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StoreUnusable(
                f"{path} can't be made ({exc.strerror}); let this user write beside the database"
            ) from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(descriptor)
            raise StoreUnusable(
                f"{self._database} is in use by another Wattspan server; stop that one, or name another --database"
            ) from exc
        self._descriptor = descriptor

    def admits(self, cursor: Cursor) -> bool:
        return True

    def settle(self, *, written: bool) -> None:
        pass

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
