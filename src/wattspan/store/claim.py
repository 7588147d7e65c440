"""One server a database file. Two would give out the same transaction ids, and each overwrite the other's counters.

The claim is a file lock beside the database, so that it ends with the process however that ends, and command-line
administration, which claims nothing, goes on beside a running server.
"""

import fcntl
import os
from pathlib import Path

from wattspan.errors import StoreUnusable


class Claim:
    """A held claim. Made by `claim`; `release` is idempotent."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let another server have the database."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def claim(database: Path) -> Claim:
    """Claim a database file for this server.

    Raises:
        StoreUnusable: another server runs on it, or the lock file can't be made.
    """
    path = database.with_name(f"{database.name}.serving")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise StoreUnusable(f"{path} can't be made ({exc.strerror}); let this user write beside the database") from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        raise StoreUnusable(
            f"{database} is in use by another Wattspan server; stop that one, or name another --database"
        ) from exc
    return Claim(descriptor)
