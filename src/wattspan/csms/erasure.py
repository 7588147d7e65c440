"""Removes an id token, which is personal data, from everything that this server keeps.

It owns the order. A running server's memory comes first, so that it writes nothing back; then the database, the files
that charge points uploaded, and what is left in the database's free space.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from wattspan.csms.core import Core
from wattspan.domain.erased_token import ErasedToken
from wattspan.store.store import Store

PSEUDONYM = "erased-"
"""Prefix of a pseudonym. With 12 random digits it fits into idTag of OCPP 1.6, which has up to 20 characters."""
MAX_COMPACTED_BYTES = 134_217_728
"""The largest database that a running server rewrites: messages wait meanwhile."""


class UploadedFiles(Protocol):
    """The files that charge points uploaded."""

    async def erase(self, token: ErasedToken) -> int:
        """Delete the files that contain an id token, and return how many there were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What was found and removed: rows by table, files, and the pseudonym in the rows that are kept.

    `compacted` False: the token may still be in parts of the database file that are free, until they are used again.
    """

    pseudonym: str
    rows: Mapping[str, int]
    files: int
    compacted: bool


class Erasure:
    """Removes id tokens. `core` None: no server is running. Each of `caches` forgets what it has of a token."""

    def __init__(
        self,
        store: Store,
        files: UploadedFiles,
        *,
        core: Core | None = None,
        caches: Sequence[Callable[[ErasedToken], None]] = (),
    ) -> None:
        self._store = store
        self._files = files
        self._core = core
        self._caches = caches

    async def erase(self, id_token: str) -> Erased:
        """Remove an id token; rows that are kept get a random pseudonym. Raises StoreError; then call it again."""
        token = ErasedToken(id_token, PSEUDONYM + secrets.token_hex(6))
        running = 0 if self._core is None else await self._erase_from_memory(self._core, token)
        rows = dict(await self._store.erase(token))
        rows["transactions"] += running
        files = await self._files.erase(token)
        compacted = await self._store.compact(None if self._core is None else MAX_COMPACTED_BYTES)
        return Erased(pseudonym=token.pseudonym, rows=rows, files=files, compacted=compacted)

    async def _erase_from_memory(self, core: Core, token: ErasedToken) -> int:
        """Return the number of open transactions in which the token was replaced, once they are written."""
        await core.settled()  # a batch that is retried later would write the token again
        running = core.fleet.erase(token)
        for forget in self._caches:
            forget(token)
        await core.settled()
        return running
