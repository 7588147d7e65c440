"""What one commit writes, taken from the fleet on its own thread. How it is written is `write_batch`'s."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from wattspan.domain.changes import Note
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint, Connector, ReadingRow
from wattspan.store.rows import Row, charge_point_row, connector_row, meter_row, transaction_row

log = logging.getLogger(__name__)


AT_ONCE = 64
"""Stale charge points, and stale connectors, that one batch takes along: each costs the loop some 20 µs, and a fleet of
thousands that was all heard within a second would stop it for a fifth of one."""


@dataclass(slots=True)
class Flush:
    """Figures that may wait, on their way to their rows: a part of them with each batch."""

    charge_points: list[ChargePoint] = field(default_factory=list)
    connectors: list[tuple[str, Connector]] = field(default_factory=list)
    through: int = 0
    """The newest reading when it began, found by the writer: what is left then includes it."""

    @property
    def done(self) -> bool:
        return not (self.charge_points or self.connectors)


@dataclass(slots=True, kw_only=True)
class Batch:
    """Snapshots of what changed; the fleet may go on changing."""

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
    """With this batch all that the flush had is written: what was read before it began is included in the rows."""


def begin_flush(fleet: Fleet) -> Flush:
    """Move all figures that may wait out of the fleet. On the fleet's thread."""
    changes = fleet.changes
    flush = Flush(
        list(changes.stale_charge_points.values()),
        [(cp_id, connector) for (cp_id, _), connector in changes.stale_connectors.items()],
    )
    changes.stale_charge_points.clear()
    changes.stale_connectors.clear()
    return flush


def take(fleet: Fleet, flush: Flush | None = None, *, most: int = AT_ONCE) -> Batch:
    """Move what changed out of the fleet, and `most` things of each kind out of `flush`. On the fleet's thread."""
    changes = fleet.changes
    batch = Batch(readings=changes.readings)
    changes.readings = []
    if flush is not None:
        _take_stale(fleet, batch, flush, most)
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


def _take_stale(fleet: Fleet, batch: Batch, flush: Flush, most: int) -> None:
    """What is due is left to `_take_due`. The meters of a connector's open transactions, mostly one, go with it."""
    changes = fleet.changes
    charge_points, flush.charge_points = flush.charge_points[:most], flush.charge_points[most:]
    connectors, flush.connectors = flush.connectors[:most], flush.connectors[most:]
    for cp in charge_points:
        if cp.cp_id not in changes.charge_points and _is_there(fleet, cp):
            _add(batch.charge_points, charge_point_row, cp)
    for cp_id, connector in connectors:
        if not _is_part(fleet, cp_id, connector):
            continue
        connector_id = connector.connector_id
        if (cp_id, connector_id) not in changes.connectors:
            _add(batch.connectors, connector_row, cp_id, connector)
        for transaction in fleet.charge_points[cp_id].transactions.values():
            if transaction.connector_id == connector_id and transaction.number not in changes.transactions:
                _add(batch.meters, meter_row, transaction)


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
