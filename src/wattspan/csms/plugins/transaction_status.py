"""Asks an OCPP 2.x station whether it still has its open transactions, and names those that it has lost.

It owns when to ask (GetTransactionStatus, 2.0.1 E14) and what an answer means. The plugin `orphans` owns the closing.
"""

import asyncio
from collections.abc import Callable, Sequence

from ocpp.v201.call import GetTransactionStatus

from wattspan.csms.plugins.base import PluginContext
from wattspan.domain.model import Transaction
from wattspan.errors import CommandError, StoreUnavailable

MAX_ASKED_AT_ONCE = 20
"""Stations asked at the same time, of a fleet that comes back after an outage."""
MAX_ROUNDS = 8
"""How often a station is asked whose messages about a transaction are still in its queue."""

Lost = Callable[[Transaction], None]
"""Called with an open transaction that the station does not have any more, and about which it has no message left."""


class TransactionInquiry:
    """Asks one station at a time once, in a task of its own. `again_s`: seconds until the second time, then doubled.

    A station that refuses the command or does not answer is not asked again until `ask` is called again.
    """

    def __init__(self, context: PluginContext, lost: Lost, *, again_s: float) -> None:
        self._context = context
        self._lost = lost
        self._again_s = again_s
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(MAX_ASKED_AT_ONCE)
        self.interrupted: set[str] = set()
        """Stations whose connection was lost before all was answered."""

    def ask(self, cp_id: str, transactions: Sequence[Transaction], *, after_s: float = 0.0) -> None:
        """Ask a station about transactions, in `after_s` seconds. What it was to be asked before is dropped."""
        self.cancel(cp_id)
        if transactions:
            self._asking[cp_id] = asyncio.create_task(self._run(cp_id, transactions, after_s))

    def cancel(self, cp_id: str) -> None:
        """Ask the station nothing more."""
        self.interrupted.discard(cp_id)
        task = self._asking.pop(cp_id, None)
        if task is not None:
            task.cancel()

    def stop(self) -> None:
        """Ask nobody any more."""
        for cp_id in list(self._asking):
            self.cancel(cp_id)

    async def _run(self, cp_id: str, transactions: Sequence[Transaction], after_s: float) -> None:
        try:
            await asyncio.sleep(after_s)
            await self._context.settled()  # the boot must be answered before a station accepts commands
            await self._ask_until_known(cp_id, transactions)
        except StoreUnavailable:
            self.interrupted.add(cp_id)  # its connection is closed, and it connects again
        except CommandError as exc:
            if exc.error_type in ("ConnectionLost", "NotConnected"):
                self.interrupted.add(cp_id)
        finally:
            if self._asking.get(cp_id) is asyncio.current_task():
                del self._asking[cp_id]

    async def _ask_until_known(self, cp_id: str, transactions: Sequence[Transaction]) -> None:
        for round_number in range(MAX_ROUNDS):
            if round_number:
                await asyncio.sleep(self._again_s * 2 ** (round_number - 1))
            transactions = [each for each in transactions if each.open and await self._is_unknown(cp_id, each)]
            if not transactions:
                return

    async def _is_unknown(self, cp_id: str, transaction: Transaction) -> bool:
        """Ask about one transaction. Return whether to ask again, as its messages are still in the station's queue."""
        async with self._turns:
            command = GetTransactionStatus(transaction_id=transaction.transaction_id)
            answer = (await self._context.call(cp_id, command)).payload
        if answer.get("ongoingIndicator") is not False:
            return False
        if answer.get("messagesInQueue") is True:
            return True
        if transaction.open:
            self._lost(transaction)
        return False
