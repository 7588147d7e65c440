"""Supplies the node with numbers for new transactions: blocks of them from PostgreSQL, ahead of their use."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from wattspan.domain.id_blocks import IdBlock, IdBlocks
from wattspan.errors import StoreError
from wattspan.store.store import Store
from wattspan.store.takeover import next_block

log = logging.getLogger(__name__)

RETRY_S = 0.5
"""Seconds between attempts while the database gives no numbers."""


@dataclass(frozen=True, slots=True)
class _Kind:
    mark: str
    block: int
    """Numbers in a block: few of ours, so that those of all nodes grow together and lists are nearly in order."""
    spare: int
    """Numbers for bursts and for outages of the database. transactionIds have 31 bits, so a start uses up few."""


_NUMBERS = _Kind("last_number", 128, 65_536)
_TRANSACTION_IDS = _Kind("last_transaction_id", 1_024, 8_192)


class IdSupply:
    """Keeps `blocks` filled. `spawn` starts a task that the server owns."""

    def __init__(self, store: Store, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        self._store = store
        self._spawn = spawn
        self._running: set[str] = set()
        self.blocks = IdBlocks(self._block(_NUMBERS), self._block(_TRANSACTION_IDS))

    async def fill(self) -> None:
        """Get the first numbers. Raises StoreError."""
        await self._refill(_NUMBERS, self.blocks.numbers)
        await self._refill(_TRANSACTION_IDS, self.blocks.transaction_ids)

    def _block(self, kind: _Kind) -> IdBlock:
        block = IdBlock(kind.block // 2)
        block.on_low = lambda: self._low(kind, block)
        return block

    def _low(self, kind: _Kind, block: IdBlock) -> None:
        if kind.mark not in self._running:
            self._running.add(kind.mark)
            self._spawn(self._refill_until_done(kind, block))

    async def _refill_until_done(self, kind: _Kind, block: IdBlock) -> None:
        try:
            while block.left <= block.low or not block.has_spare:
                try:
                    await self._refill(kind, block)
                except StoreError as exc:
                    log.debug("no numbers for new transactions now: %s", exc)
                    await asyncio.sleep(RETRY_S)
        finally:
            self._running.discard(kind.mark)

    async def _refill(self, kind: _Kind, block: IdBlock) -> None:
        block.add(await self._store.do(next_block, kind.mark, kind.block), kind.block)
        if not block.has_spare:
            block.add(await self._store.do(next_block, kind.mark, kind.spare), kind.spare, spare=True)
