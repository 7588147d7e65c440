"""Files that only their owner may read: they contain digests of secrets, and who charged where.

It knows modes only, and nothing about contents. A file or folder of another user is left as it is.
"""

import os
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def create_private(path: Path) -> int:
    """Create a file that must not exist yet and return its descriptor for writing. Raises OSError."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)


def private_opener(path: str, flags: int) -> int:
    """Open a file, and create it for its owner alone: the `opener` of `open`."""
    return os.open(path, flags | os.O_CLOEXEC, FILE_MODE)


def write_private(path: Path, text: str) -> None:
    """Write a new file, in place of one that has this name, and create its folder if there is none. Raises OSError."""
    make_private_folder(path.parent)
    path.unlink(missing_ok=True)
    with os.fdopen(create_private(path), "w", encoding="utf-8") as file:
        file.write(text)


def make_private_folder(path: Path) -> None:
    """Create a folder, unless it exists, that only its owner may enter. Raises OSError."""
    if not path.is_dir():
        path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def restrict(path: Path) -> bool:
    """Take the rights of all other users away from a file or folder, and return whether they had any.

    Nothing happens if it does not exist or belongs to somebody else.
    """
    try:
        found = path.stat()
        if not found.st_mode & 0o077 or found.st_uid != os.geteuid():
            return False
        path.chmod(found.st_mode & 0o700)
    except OSError:
        return False
    return True
