"""Finds transactions whose stop was lost: open ones when their charge point boots or the connector starts another.

OCPP 2.x stations continue their transactions after a boot, so there a boot closes none. Pure: it changes nothing.
"""

from collections.abc import Iterable, Sequence

from wattspan.domain.events import ChargePointBooted, Event, TransactionEventReceived, TransactionStarted
from wattspan.domain.events import TransactionStopped as Stopped
from wattspan.domain.fleet import CHARGER_ID, ORPHANED, Fleet
from wattspan.domain.model import Transaction, when
from wattspan.domain.transactions.v2x import NO_EVSE

ENDS_OTHERS = frozenset({ChargePointBooted, TransactionEventReceived, TransactionStarted})
"""The events that may show other transactions to be over. For all others `stops_of_orphans` is empty."""


def stops_of_orphans(fleet: Fleet, event: Event) -> Sequence[Stopped]:
    """Return the stops of the transactions that `event`, which was applied, shows to be over.

    A stop of the charger that comes later still corrects them (see `domain.fleet`).
    """
    if type(event) is TransactionEventReceived:
        return () if event.started is None else stops_of_orphans(fleet, event.started)
    if type(event) is not ChargePointBooted and type(event) is not TransactionStarted:
        return ()
    cp = fleet.charge_points.get(event.cp_id)
    if cp is None:
        return ()
    if type(event) is TransactionStarted:
        return _stops(event, (tx for tx in cp.transactions.values() if _is_older(tx, event)))
    of_16 = (tx for tx in cp.transactions.values() if not tx.key.startswith(CHARGER_ID))
    return _stops(event, (tx for tx in of_16 if tx.started_received_ts <= event.received_ts))


def _is_older(transaction: Transaction, event: TransactionStarted) -> bool:
    if transaction.connector_id != event.connector_id or transaction.transaction_id == event.transaction_id:
        return False
    if event.ref is None:
        return transaction.started_received_ts < event.received_ts
    # "0": no EVSE was named yet. A start from before the other one arrived late.
    return event.connector_id != NO_EVSE and transaction.began_ts < when(event.started_ts, event.received_ts)


def stop_of_orphan(orphan: Transaction, received_ts: float) -> Stopped:
    """Return the stop that closes a transaction without a message of its charger."""
    return Stopped(
        cp_id=orphan.cp_id,
        received_ts=received_ts,
        transaction_id=orphan.transaction_id,
        meter_stop_wh=None,
        stopped_ts=None,
        reason=ORPHANED,
    )


def _stops(event: Event, orphans: Iterable[Transaction]) -> list[Stopped]:
    return [stop_of_orphan(orphan, event.received_ts) for orphan in orphans]
