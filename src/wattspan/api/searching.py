"""Searches an uploaded file for an id token, within compression too. In a thread: it may take seconds."""

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from wattspan.domain.erased_token import ErasedToken

CHUNK_BYTES = 1_048_576
MAX_UNPACKED_BYTES = 2**30
"""Of a compressed file no more is searched: a small one can unpack to any size."""
_GZIP = b"\x1f\x8b"


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""


def contains(path: Path, token: ErasedToken) -> bool:
    """Return whether the token stands in the file. False for one that is not on disk any more."""
    overlap = 4 * len(token.id_token.encode()) + 2
    try:
        for stream in _streams(path):
            tail, left = b"", MAX_UNPACKED_BYTES
            while left > 0 and (chunk := stream.read(CHUNK_BYTES)):
                left -= len(chunk)
                if token.found_in(tail + chunk):
                    return True
                tail = chunk[-overlap:]
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return False  # damaged or encrypted; the file itself was searched before
    return False


def _streams(path: Path) -> Iterator[_Stream]:
    """Yield the file itself, then its unpacked content if it is a gzip or zip file."""
    with path.open("rb") as file:
        begins = file.read(2)
        file.seek(0)
        yield file
    if begins == _GZIP:
        with gzip.open(path, "rb") as unpacked:
            yield unpacked
    elif zipfile.is_zipfile(path):
        with ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(path))
            for member in archive.infolist():
                with archive.open(member) as unpacked:
                    yield unpacked
