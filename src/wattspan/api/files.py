"""Files on disk: diagnostics that charge points send, firmware that they fetch. Names on disk are ours alone.

What a client calls a file is kept in the books and never becomes part of a path. Writing and hashing are done in
threads, piece by piece, and a file is in its place only once it is whole.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wattspan.api.problems import Problem
from wattspan.store.queries import files as file_queries
from wattspan.store.records import StoredFile
from wattspan.store.store import Store

DIAGNOSTICS, FIRMWARE = "diagnostics", "firmware"
TICKET_S = 3_600.0
"""How long a charge point may take to begin its upload."""
TICKETS = 10_000
LONGEST_NAME = 255
PIECE = 65_536
_ID = re.compile(r"[0-9a-f]{32}")
_UNPRINTABLE = re.compile(r"[^\w.+() -]")


@dataclass(slots=True)
class Ticket:
    """Leave for one charge point to upload, until `until_ts`, and to try that again."""

    cp_id: str
    until_ts: float
    tries: int = 5


class Files:
    """Keeps files below `folder`, each at most `most_bytes` long."""

    def __init__(self, store: Store, folder: Path, most_bytes: int) -> None:
        self._store = store
        self._folder = folder
        self.most_bytes = most_bytes
        self._tickets: dict[str, Ticket] = {}

    def ticket(self, cp_id: str, now_ts: float) -> str:
        """Leave for a charge point to upload; what it is named by can't be guessed. Forgotten at a restart."""
        over = [name for name, ticket in self._tickets.items() if ticket.until_ts <= now_ts]
        for name in over or list(self._tickets)[: max(0, len(self._tickets) - TICKETS + 1)]:
            del self._tickets[name]
        name = secrets.token_hex(16)
        self._tickets[name] = Ticket(cp_id, now_ts + TICKET_S)
        return name

    def holder(self, ticket: str, now_ts: float) -> str | None:
        """Whose ticket that is, who begins to upload; None: nobody's, or it is over, or was tried too often."""
        found = self._tickets.get(ticket)
        if found is None or found.until_ts <= now_ts or not found.tries:
            return None
        found.tries -= 1  # a charger must not fill the disk with what it was asked for once
        return found.cp_id

    async def take(self, kind: str, cp_id: str, name: str, pieces: AsyncIterator[bytes], now_ts: float) -> StoredFile:
        """Write a file as it comes. Raises Problem 413 beyond `most_bytes`, 507 when the disk is full."""
        file_id = secrets.token_hex(16)
        path = self._path(kind, file_id)
        partial = path.with_suffix(".part")
        try:
            size, sha256 = await self._write(partial, pieces)
            await asyncio.to_thread(partial.rename, path)
        except OSError as exc:
            raise Problem(507, "the file can't be written here", kind="disk") from exc
        finally:
            await asyncio.to_thread(partial.unlink, missing_ok=True)
        file = StoredFile(
            file_id=file_id,
            kind=kind,
            cp_id=cp_id,
            name=plain_name(name),
            size_bytes=size,
            sha256=sha256,
            created_ts=now_ts,
        )
        try:
            await self._store.do(file_queries.add_file, file)
        except BaseException:
            await asyncio.to_thread(path.unlink, missing_ok=True)
            raise
        return file

    async def find(self, kind: str, file_id: str) -> tuple[StoredFile, Path] | None:
        """A file and where it is; None: there is none, or it is gone from disk."""
        if _ID.fullmatch(file_id) is None:
            return None
        file = await self._store.read(file_queries.file, kind, file_id)
        path = self._path(kind, file_id)
        return (file, path) if file is not None and await asyncio.to_thread(path.is_file) else None

    async def remove(self, kind: str, file_id: str) -> bool:
        """Delete a file. False: there was none."""
        if _ID.fullmatch(file_id) is None or not await self._store.do(file_queries.remove_file, kind, file_id):
            return False
        await asyncio.to_thread(self._path(kind, file_id).unlink, missing_ok=True)
        return True

    async def _write(self, path: Path, pieces: AsyncIterator[bytes]) -> tuple[int, str]:
        size, digest = 0, hashlib.sha256()
        out = await asyncio.to_thread(_open, path)
        try:
            async for piece in pieces:
                size += len(piece)
                if size > self.most_bytes:
                    raise Problem(413, f"a file has at most {self.most_bytes} bytes", kind="too-large")
                if piece:
                    await asyncio.to_thread(_append, out, digest, piece)
        finally:
            await asyncio.to_thread(out.close)
        return size, digest.hexdigest()

    def _path(self, kind: str, file_id: str) -> Path:
        return self._folder / kind / file_id


def plain_name(name: str) -> str:
    """A client's name of a file as it is shown: its last part, of letters, digits and a few signs."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return _UNPRINTABLE.sub("_", last).strip(". ")[:LONGEST_NAME] or "file"


def _open(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path.open("xb")


def _append(out: BinaryIO, digest: "hashlib._Hash", piece: bytes) -> None:
    out.write(piece)
    digest.update(piece)
