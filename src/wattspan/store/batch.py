"""What one commit writes, taken from the fleet on its own thread. How it is written is `apply`'s."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from wattspan.domain.changes import Note
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint, Connector, ReadingRow
from wattspan.store.rows import Row, charge_point_row, connector_row, meter_row, transaction_row

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Batch:
    """Snapshots of everything that changed; the fleet may go on changing."""

    readings: list[ReadingRow] = field(default_factory=list)
    charge_points: list[Row] = field(default_factory=list)
    connectors: list[Row] = field(default_factory=list)
    transactions: list[Row] = field(default_factory=list)
    meters: list[Row] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    decommissioned: list[str] = field(default_factory=list)
    marks: list[Row] = field(default_factory=list)
    whole: bool = False
    """Everything that waited is in it, stale figures too: what was read so far is included in the rows."""


def take(fleet: Fleet, *, stale: bool) -> Batch:
    """Move what changed out of the fleet; `stale`: what may wait as well. On the fleet's thread."""
    changes = fleet.changes
    batch = Batch(readings=changes.readings, whole=stale)
    changes.readings = []
    if stale:
        _take_stale(fleet, batch)
    if changes.charge_points or changes.connectors or changes.transactions:
        _take_due(fleet, batch)
    if changes.notes:
        batch.notes, changes.notes = changes.notes, []
    if changes.decommissioned:
        batch.decommissioned, changes.decommissioned = changes.decommissioned, []
    return batch


def _take_due(fleet: Fleet, batch: Batch) -> None:
    changes = fleet.changes
    for cp in changes.charge_points.values():
        if _is_there(fleet, cp):
            _add(batch.charge_points, charge_point_row, cp)
    for (cp_id, _), connector in changes.connectors.items():
        if _is_part(fleet, cp_id, connector):
            _add(batch.connectors, connector_row, cp_id, connector)
    if changes.transactions:
        for transaction in changes.transactions.values():
            _add(batch.transactions, transaction_row, transaction)
        batch.marks = [("last_number", fleet.last_number), ("last_transaction_id", fleet.last_transaction_id)]
    changes.charge_points.clear()
    changes.connectors.clear()
    changes.transactions.clear()


def _take_stale(fleet: Fleet, batch: Batch) -> None:
    """What is due is left to `_take_due`. The meters of a connector's open transactions, mostly one, go with it."""
    changes = fleet.changes
    for cp_id, cp in changes.stale_charge_points.items():
        if cp_id not in changes.charge_points and _is_there(fleet, cp):
            _add(batch.charge_points, charge_point_row, cp)
    for (cp_id, connector_id), connector in changes.stale_connectors.items():
        if not _is_part(fleet, cp_id, connector):
            continue
        if (cp_id, connector_id) not in changes.connectors:
            _add(batch.connectors, connector_row, cp_id, connector)
        for transaction in fleet.charge_points[cp_id].transactions.values():
            if transaction.connector_id == connector_id and transaction.number not in changes.transactions:
                _add(batch.meters, meter_row, transaction)
    changes.stale_charge_points.clear()
    changes.stale_connectors.clear()


def _add(rows: list[Row], snapshot: Callable[..., Row], *of: object) -> None:
    """One thing that can't be told as a row must not keep the others, and whoever waits for them, from going on."""
    try:
        rows.append(snapshot(*of))
    except Exception:
        log.exception("a change can't be written and is left out")


def _is_there(fleet: Fleet, cp: ChargePoint) -> bool:
    return fleet.charge_points.get(cp.cp_id) is cp


def _is_part(fleet: Fleet, cp_id: str, connector: Connector) -> bool:
    """Not of a charge point that was decommissioned since."""
    cp = fleet.charge_points.get(cp_id)
    return cp is not None and cp.connectors.get(connector.connector_id) is connector
