"""Removes an id token, which is personal data, from everything that this server keeps.

It owns the order. A running server's memory comes first, so that it writes nothing back; then the database, the files
that charge points uploaded, and what is left in the database's free space.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
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


class RecentHistory(Protocol):
    """What a running server has recorded and not stored yet."""

    async def erase(self, token: ErasedToken) -> None:
        """Remove an id token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedFromNode:
    """What was found and removed outside the database: open transactions, which are written, and uploaded files."""

    transactions: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What was found and removed: rows by table, files, and the pseudonym in the rows that are kept.

    `compacted` False: the token may still be in parts of the database file that are free, until they are used again.
    """

    pseudonym: str
    rows: Mapping[str, int]
    files: int
    compacted: bool


class NodeErasure:
    """Removes id tokens from the memory of a running server and from the files on its disk.

    Each of `caches` forgets what it has of a token.
    """

    def __init__(
        self,
        core: Core,
        files: UploadedFiles,
        history: RecentHistory,
        caches: Sequence[Callable[[ErasedToken], None]],
    ) -> None:
        self._core = core
        self._files = files
        self._history = history
        self._caches = caches

    async def erase(self, token: ErasedToken) -> ErasedFromNode:
        """Remove an id token; changes of open transactions are stored when it returns. Raises StoreError."""
        await self._core.settled()  # a batch that is retried later would write the token again
        transactions = self._core.fleet.erase(token)
        for forget in self._caches:
            forget(token)
        await self._history.erase(token)
        await self._core.settled()
        return ErasedFromNode(transactions=transactions, files=await self._files.erase(token))


class Erasure:
    """Removes id tokens from the database, and first from where a server keeps them outside it.

    `node` is the running server; None: there is none, and `files` are searched. `elsewhere` does the same on the other
    nodes of a cluster.
    """

    def __init__(
        self,
        store: Store,
        files: UploadedFiles,
        *,
        node: NodeErasure | None = None,
        elsewhere: Callable[[ErasedToken], Awaitable[ErasedFromNode]] | None = None,
    ) -> None:
        self._store = store
        self._files = files
        self._node = node
        self._elsewhere = elsewhere

    async def erase(self, id_token: str) -> Erased:
        """Remove an id token; rows that are kept get a random pseudonym.

        Raises StoreError, or in a cluster RedisUnavailable or NodeSilent; then call it again.
        """
        token = ErasedToken(id_token, PSEUDONYM + secrets.token_hex(6))
        here = await self._erase_here(token)
        others = ErasedFromNode() if self._elsewhere is None else await self._elsewhere(token)
        rows = dict(await self._store.erase(token))
        rows["transactions"] += here.transactions + others.transactions
        compacted = await self._store.compact(None if self._node is None else MAX_COMPACTED_BYTES)
        files = here.files + others.files
        return Erased(pseudonym=token.pseudonym, rows=rows, files=files, compacted=compacted)

    async def _erase_here(self, token: ErasedToken) -> ErasedFromNode:
        if self._node is None:
            return ErasedFromNode(files=await self._files.erase(token))
        return await self._node.erase(token)
