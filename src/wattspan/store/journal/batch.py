"""What one commit writes: snapshots taken from the fleet on its own thread. `write_batch` writes them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from wattspan.domain.changes import Note
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint, Connector, ReadingRow
from wattspan.store.rows import Row, charge_point_row, connector_row, meter_row, transaction_row

log = logging.getLogger(__name__)


RELEASED = 1_024
"""Readings freed without a break."""
MAX_STALE = 64
"""Stale charge points, and stale connectors, in one batch. Each takes the event loop about 20 µs, so thousands that all
sent a message within a second would block it for a fifth of a second."""


NEVER_OWNED = -1
"""The epoch of rows of a charge point that this node does not own: it was lost while something was in progress."""
READINGS_THROUGH = "readings_through"
"""The mark up to which readings are included in stored rows; of a node's charge points, see `readings_mark`."""


def readings_mark(node: str | None) -> str:
    """Return the name of the mark for the readings of the charge points that a node owns; None: without a cluster."""
    return READINGS_THROUGH if node is None else f"{READINGS_THROUGH}:{node}"


@dataclass(slots=True)
class Flush:
    """Figures whose writing is not urgent: each batch takes a part of them."""

    charge_points: list[ChargePoint] = field(default_factory=list)
    connectors: list[tuple[str, Connector]] = field(default_factory=list)
    through: int = 0
    """The newest reading when the flush began, set by the writer. All rows of the flush include it."""
    waiters: list[Callable[[], None]] = field(default_factory=list)
    """Called when all of the flush is written."""

    @property
    def done(self) -> bool:
        return not (self.charge_points or self.connectors)


@dataclass(slots=True, kw_only=True)
class Batch:
    """Snapshots of changed objects, independent of later changes to the fleet."""

    readings: list[ReadingRow] = field(default_factory=list)
    charge_points: list[Row] = field(default_factory=list)
    connectors: list[Row] = field(default_factory=list)
    transactions: list[Row] = field(default_factory=list)
    meters: list[Row] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    decommissioned: list[str] = field(default_factory=list)
    marks: list[Row] = field(default_factory=list)
    begins: Flush | None = None
    ends: Flush | None = None
    """The flush that this batch completes: all readings from before it began are then included in stored rows."""
    meter_owners: list[str] = field(default_factory=list)
    """The charge points of `meters`, whose rows do not name them."""
    epochs: dict[str, int] | None = None
    """In a cluster, the owner epoch under which the rows of each charge point were made; None: no cluster."""
    lost: dict[str, int] = field(default_factory=dict)
    """Charge points whose rows were left out because another node owns them, with their epochs. See `fence`."""
    through_mark: str = READINGS_THROUGH
    """The name of the mark that `ends` moves."""
    moves_mark: bool = True
    """False: `ends` moves no mark; see `Journal.moves_mark`."""


def release(readings: list[ReadingRow]) -> None:
    """Empty a long list of written readings in parts: freed at once, they would hold the interpreter's lock."""
    while readings:
        del readings[-RELEASED:]


def begin_flush(fleet: Fleet) -> Flush:
    """Move all figures that are not urgent from the fleet to a new flush. On the fleet's thread."""
    changes = fleet.changes
    flush = Flush(
        list(changes.stale_charge_points.values()),
        [(cp_id, connector) for (cp_id, _), connector in changes.stale_connectors.items()],
    )
    changes.stale_charge_points.clear()
    changes.stale_connectors.clear()
    return flush


def take(fleet: Fleet, flush: Flush | None = None, *, max_stale: int = MAX_STALE) -> Batch:
    """Return a batch of the fleet's changes and up to `max_stale` objects of each kind from `flush`.

    On the fleet's thread.
    """
    changes = fleet.changes
    batch = Batch(readings=changes.readings)
    changes.readings = []
    if flush is not None:
        _take_stale(fleet, batch, flush, max_stale)
    if changes.charge_points or changes.connectors or changes.transactions:
        _take_due(fleet, batch)
    if changes.notes:
        batch.notes, changes.notes = changes.notes, []
    if changes.decommissioned:
        batch.decommissioned, changes.decommissioned = changes.decommissioned, []
    if fleet.epochs is not None:
        _add_epochs(batch, fleet.epochs)
    return batch


def _add_epochs(batch: Batch, epochs: dict[str, int]) -> None:
    """Add the epochs of all charge points in the batch. The numbers that were assigned last are no one node's mark."""
    named = {row[0] for rows in (batch.readings, batch.charge_points, batch.connectors) for row in rows}
    named.update(row[1] for row in batch.transactions)
    named.update(batch.meter_owners, (note.cp_id for note in batch.notes), batch.decommissioned)
    batch.epochs = {cp_id: epochs.get(cp_id, NEVER_OWNED) for cp_id in named}
    batch.marks = []


def _take_due(fleet: Fleet, batch: Batch) -> None:
    changes = fleet.changes
    for cp in changes.charge_points.values():
        if _is_current(fleet, cp):
            _add(batch.charge_points, charge_point_row, cp)
    for (cp_id, _), connector in changes.connectors.items():
        if _has_connector(fleet, cp_id, connector):
            _add(batch.connectors, connector_row, cp_id, connector)
    if changes.transactions:
        for transaction in changes.transactions.values():
            _add(batch.transactions, transaction_row, transaction)
        batch.marks = [("last_number", fleet.last_number), ("last_transaction_id", fleet.last_transaction_id)]
    changes.charge_points.clear()
    changes.connectors.clear()
    changes.transactions.clear()


def _take_stale(fleet: Fleet, batch: Batch, flush: Flush, limit: int) -> None:
    """Take what `_take_due` does not. A connector takes the meters of its open transactions, usually one, with it."""
    changes = fleet.changes
    charge_points, flush.charge_points = flush.charge_points[:limit], flush.charge_points[limit:]
    connectors, flush.connectors = flush.connectors[:limit], flush.connectors[limit:]
    for cp in charge_points:
        if cp.cp_id not in changes.charge_points and _is_current(fleet, cp):
            _add(batch.charge_points, charge_point_row, cp)
    for cp_id, connector in connectors:
        if not _has_connector(fleet, cp_id, connector):
            continue
        connector_id = connector.connector_id
        if (cp_id, connector_id) not in changes.connectors:
            _add(batch.connectors, connector_row, cp_id, connector)
        for transaction in fleet.charge_points[cp_id].transactions.values():
            is_here = transaction.connector_id == connector_id and transaction.number not in changes.transactions
            if is_here and _add(batch.meters, meter_row, transaction):
                batch.meter_owners.append(cp_id)


def _add(rows: list[Row], snapshot: Callable[..., Row], *of: object) -> bool:
    """Append a snapshot, and return True; log and skip one that fails, so that it does not block the others."""
    try:
        rows.append(snapshot(*of))
    except Exception:
        log.exception("a change can't be converted to a row and is skipped")
        return False
    return True


def _is_current(fleet: Fleet, cp: ChargePoint) -> bool:
    return fleet.charge_points.get(cp.cp_id) is cp


def _has_connector(fleet: Fleet, cp_id: str, connector: Connector) -> bool:
    """Return False for a connector whose charge point has been decommissioned since."""
    cp = fleet.charge_points.get(cp_id)
    return cp is not None and cp.connectors.get(connector.connector_id) is connector
