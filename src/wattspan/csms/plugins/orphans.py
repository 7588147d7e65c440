"""Closes transactions whose stop was lost, see `domain.orphans`.

One that the charger names again is opened again (see `domain.transactions.common.reopen`). OCPP 2.x stations continue
their transactions after a boot: there a boot, or a reconnection after a long gap, only has them asked for, and those
that the station does not have any more are closed.
"""

from wattspan.csms.plugins.base import Plugin, PluginContext
from wattspan.csms.plugins.transaction_status import TransactionInquiry
from wattspan.domain.events import (
    ChargePointBooted,
    ChargePointConnected,
    ChargePointDisconnected,
    Event,
    TransactionStarted,
)
from wattspan.domain.fleet import CHARGER_ID
from wattspan.domain.model import ChargePoint, Transaction
from wattspan.domain.orphans import stop_of_orphan, stops_of_orphans

ASK_AGAIN_S = 30.0
LONG_GAP_S = 900.0
"""Seconds without a connection after which a station is asked even without a boot."""
RECONNECT_WAIT_S = 60.0
"""Seconds that a station has after a reconnection to boot and to send what it has stored, before it is asked."""


class CloseOrphans(Plugin):
    """On by default."""

    name = "orphans"
    events = (ChargePointBooted, TransactionStarted, ChargePointConnected, ChargePointDisconnected)

    def __init__(
        self,
        *,
        ask_again_s: float = ASK_AGAIN_S,
        long_gap_s: float = LONG_GAP_S,
        reconnect_wait_s: float = RECONNECT_WAIT_S,
    ) -> None:
        self._ask_again_s = ask_again_s
        self._long_gap_s = long_gap_s
        self._reconnect_wait_s = reconnect_wait_s
        self._gone_since: dict[str, float] = {}
        """When a station with open transactions was last there, while it has no connection."""

    async def start(self, context: PluginContext) -> None:
        self._context = context
        self._inquiry = TransactionInquiry(context, self._lost, again_s=self._ask_again_s)
        for cp in context.fleet.charge_points.values():
            self._note_absence(cp, cp.last_msg_ts or 0.0)

    async def on_event(self, event: Event) -> None:
        cp = self._context.fleet.charge_points.get(event.cp_id)
        if cp is None:
            self._gone_since.pop(event.cp_id, None)
            self._inquiry.cancel(event.cp_id)
            return
        self._context.record(stops_of_orphans(self._context.fleet, event))
        of_2x = [tx for tx in cp.transactions.values() if _is_2x(tx)]
        if isinstance(event, ChargePointBooted):
            self._inquiry.ask(cp.cp_id, [tx for tx in of_2x if tx.started_received_ts <= event.received_ts])
        elif isinstance(event, ChargePointDisconnected):
            if not event.replaced:
                self._note_absence(cp, event.received_ts)
        elif isinstance(event, ChargePointConnected):
            gone_since = self._gone_since.pop(cp.cp_id, event.received_ts)
            if cp.cp_id in self._inquiry.interrupted or event.received_ts - gone_since >= self._long_gap_s:
                self._inquiry.ask(cp.cp_id, of_2x, after_s=self._reconnect_wait_s)

    async def stop(self) -> None:
        self._inquiry.stop()

    def _note_absence(self, cp: ChargePoint, since_ts: float) -> None:
        if any(_is_2x(tx) for tx in cp.transactions.values()):
            self._gone_since[cp.cp_id] = since_ts

    def _lost(self, transaction: Transaction) -> None:
        """Close a transaction that its station does not have any more."""
        self._context.record([stop_of_orphan(transaction, self._context.clock())])


def _is_2x(transaction: Transaction) -> bool:
    return transaction.key.startswith(CHARGER_ID)
