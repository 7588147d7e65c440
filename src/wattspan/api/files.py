"""Files on disk: logs that charge points upload, and firmware that they download.

Names on disk are random ids; the name a client gives is kept in the database and is never part of a path. Files are
written and hashed in threads, chunk by chunk, and moved into place when they are complete.
"""

import asyncio
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wattspan.api.problems import Problem
from wattspan.api.searching import contains
from wattspan.domain.erased_token import ErasedToken
from wattspan.private_files import create_private, make_private_folder, restrict
from wattspan.store.queries import files as file_queries
from wattspan.store.records import StoredFile
from wattspan.store.store import Store

DIAGNOSTICS, FIRMWARE = "diagnostics", "firmware"
TICKET_S = 3_600.0
"""How long a charge point may take to begin its upload."""
MAX_TICKETS = 10_000
MAX_NAME_CHARACTERS = 255
NO_LIMIT = 2**31 - 1
_ID = re.compile(r"[0-9a-f]{32}")
_UNPRINTABLE = re.compile(r"[^\w.+() -]")


@dataclass(slots=True)
class Ticket:
    """Permits one charge point to upload until `until_ts`, with some retries."""

    cp_id: str
    until_ts: float
    tries: int = 5


class Files:
    """Keeps files below `folder`, each at most `max_bytes` long."""

    def __init__(self, store: Store, folder: Path, max_bytes: int) -> None:
        self._store = store
        self._folder = folder
        self.max_bytes = max_bytes
        self._tickets: dict[str, Ticket] = {}

    def ticket(self, cp_id: str, now_ts: float) -> str:
        """Return a new ticket for a charge point to upload; it can't be guessed. Tickets do not survive a restart."""
        expired = [name for name, ticket in self._tickets.items() if ticket.until_ts <= now_ts]
        for name in expired or list(self._tickets)[: max(0, len(self._tickets) - MAX_TICKETS + 1)]:
            del self._tickets[name]
        name = secrets.token_hex(16)
        self._tickets[name] = Ticket(cp_id, now_ts + TICKET_S)
        return name

    def holder(self, ticket: str, now_ts: float) -> str | None:
        """Return the charge point of a ticket and use up one try; None if it is unknown, expired or used up."""
        found = self._tickets.get(ticket)
        if found is None or found.until_ts <= now_ts or not found.tries:
            return None
        found.tries -= 1  # a charge point must not fill the disk with one ticket
        return found.cp_id

    async def take(self, kind: str, cp_id: str, name: str, chunks: AsyncIterator[bytes], now_ts: float) -> StoredFile:
        """Write a file and return its record. Raises Problem 413 beyond `max_bytes`, 507 if it can't be written."""
        file_id = secrets.token_hex(16)
        path = self._path(kind, file_id)
        partial = path.with_suffix(".part")
        try:
            size, sha256 = await self._write(partial, chunks)
            await asyncio.to_thread(partial.rename, path)
        except OSError as exc:
            raise Problem(507, "the file can't be written", kind="disk") from exc
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
        """Return a file's record and path; None if there is none, or it is not on disk any more."""
        if _ID.fullmatch(file_id) is None:
            return None
        file = await self._store.read(file_queries.file, kind, file_id)
        path = self._path(kind, file_id)
        return (file, path) if file is not None and await asyncio.to_thread(path.is_file) else None

    async def remove(self, kind: str, file_id: str) -> bool:
        """Delete a file. Returns False if there was none."""
        if _ID.fullmatch(file_id) is None or not await self._store.do(file_queries.remove_file, kind, file_id):
            return False
        await asyncio.to_thread(self._path(kind, file_id).unlink, missing_ok=True)
        return True

    async def erase(self, token: ErasedToken) -> int:
        """Delete the logs that contain an id token, also in gzip and zip, and return how many there were."""
        erased = 0
        for file in await self._store.read(file_queries.list_files, DIAGNOSTICS, None, NO_LIMIT):
            if await asyncio.to_thread(contains, self._path(DIAGNOSTICS, file.file_id), token):
                erased += await self.remove(DIAGNOSTICS, file.file_id)
        return erased

    async def _write(self, path: Path, chunks: AsyncIterator[bytes]) -> tuple[int, str]:
        size, digest = 0, hashlib.sha256()
        out = await asyncio.to_thread(_open, path)
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > self.max_bytes:
                    raise Problem(413, f"a file may have at most {self.max_bytes} bytes", kind="too-large")
                if chunk:
                    await asyncio.to_thread(_append, out, digest, chunk)
        finally:
            await asyncio.to_thread(out.close)
        return size, digest.hexdigest()

    def _path(self, kind: str, file_id: str) -> Path:
        return self._folder / kind / file_id


def plain_name(name: str) -> str:
    """Return a client's file name as it is shown: its last part, with unusual characters replaced."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return _UNPRINTABLE.sub("_", last).strip(". ")[:MAX_NAME_CHARACTERS] or "file"


def _open(path: Path) -> BinaryIO:
    make_private_folder(path.parent.parent)
    make_private_folder(path.parent)
    restrict(path.parent)  # an earlier version created it with the rights of `umask`
    return os.fdopen(create_private(path), "wb")


def _append(out: BinaryIO, digest: "hashlib._Hash", chunk: bytes) -> None:
    out.write(chunk)
    digest.update(chunk)
