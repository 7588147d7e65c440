"""Closes a transaction whose stop was lost, on an operator's behalf."""

from wattspan.csms.core import Core
from wattspan.domain.events import TransactionStopped
from wattspan.domain.fleet import ORPHANED
from wattspan.domain.model import Transaction
from wattspan.errors import TransactionNotIdentified


async def close_transaction(
    core: Core, cp_id: str, transaction_id: str, number: int, meter_stop_wh: float | None
) -> Transaction:
    """Close an open transaction of this node, and return it once that is durable.

    Raises:
        TransactionNotIdentified: it is not open.
        StoreUnavailable: it is closed and will be stored later.
    """
    cp = core.fleet.charge_points.get(cp_id)
    running = None if cp is None else cp.transactions.get(transaction_id)
    if running is None or running.number != number:
        raise TransactionNotIdentified(cp_id, "close", "the transaction is closed already")
    stopped = TransactionStopped(
        cp_id=cp_id,
        received_ts=core.clock(),
        transaction_id=transaction_id,
        meter_stop_wh=meter_stop_wh,
        stopped_ts=None,
        reason=ORPHANED,
    )
    core.record([stopped])
    await core.settled()
    return running
