"""Closes transactions whose stop was lost: open ones when their charge point boots or the connector starts another.

One that the charger names again is opened again (see `domain.transactions.common.reopen`). OCPP 2.x stations continue
their transactions after a boot, so there a boot closes none.
"""

from wattspan.csms.plugins.base import Plugin, PluginContext
from wattspan.domain.events import ChargePointBooted, Event, TransactionStarted, TransactionStopped
from wattspan.domain.fleet import CHARGER_ID, ORPHANED
from wattspan.domain.model import Transaction, when
from wattspan.domain.transactions.v2x import NO_EVSE


class CloseOrphans(Plugin):
    """On by default."""

    name = "orphans"
    events = (ChargePointBooted, TransactionStarted)

    async def start(self, context: PluginContext) -> None:
        self._context = context

    async def on_event(self, event: Event) -> None:
        cp = self._context.fleet.charge_points.get(event.cp_id)
        if cp is None:
            return
        open_transactions = list(cp.transactions.values())
        if isinstance(event, ChargePointBooted):
            of_16 = [tx for tx in open_transactions if not tx.key.startswith(CHARGER_ID)]
            self._close(event, [tx for tx in of_16 if tx.started_received_ts <= event.received_ts])
        elif isinstance(event, TransactionStarted):
            self._close(event, [tx for tx in open_transactions if self._is_older(tx, event)])

    @staticmethod
    def _is_older(transaction: Transaction, event: TransactionStarted) -> bool:
        if transaction.connector_id != event.connector_id or transaction.transaction_id == event.transaction_id:
            return False
        if event.ref is None:
            return transaction.started_received_ts < event.received_ts
        # "0": no EVSE was named yet. A start from before the other one arrived late.
        return event.connector_id != NO_EVSE and transaction.began_ts < when(event.started_ts, event.received_ts)

    def _close(self, event: Event, orphans: list[Transaction]) -> None:
        self._context.record(
            TransactionStopped(
                cp_id=orphan.cp_id,
                received_ts=event.received_ts,
                transaction_id=orphan.transaction_id,
                meter_stop_wh=None,
                stopped_ts=None,
                reason=ORPHANED,
            )
            for orphan in orphans
        )
