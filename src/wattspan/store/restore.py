"""From the tables back to the fleet as it was, running figures included. On a reader's connection, off the loop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from wattspan.domain.clock_skew import is_older
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint, Connector, Transaction, credible
from wattspan.domain.repeats import LastMeterValues, digest_of
from wattspan.store.rows import to_charge_point, to_connector, to_transaction
from wattspan.store.samples import decode
from wattspan.store.schema import tables as t


@dataclass(slots=True)
class Restored:
    """What the database tells of a fleet, not yet part of one."""

    charge_points: dict[str, ChargePoint] = field(default_factory=dict)
    last_number: int = 0
    last_transaction_id: int = 0
    told_again: list[tuple[str, Connector]] = field(default_factory=list)
    """Connectors, with their charge point's id, whose figures are ahead of their rows."""

    def put_into(self, fleet: Fleet) -> None:
        """Fill an empty `fleet`. On the fleet's thread."""
        fleet.charge_points.update(self.charge_points)
        fleet.last_number = max(fleet.last_number, self.last_number)
        fleet.last_transaction_id = max(fleet.last_transaction_id, self.last_transaction_id)
        # The next flush says that all readings so far are included in the rows; so it must write these.
        for cp_id, connector in self.told_again:
            fleet.changes.stale_charge_points[cp_id] = self.charge_points[cp_id]
            fleet.changes.stale_connectors[(cp_id, connector.connector_id)] = connector


def read(connection: sa.Connection) -> Restored:
    """Everything but what belongs to charge points that were removed."""
    marks = dict(connection.execute(sa.select(t.marks.c.name, t.marks.c.value)).tuples().all())
    newest = connection.execute(sa.select(sa.func.max(t.transactions.c.number))).scalar_one() or 0
    restored = Restored(
        last_number=max(newest, marks.get("last_number", 0)),
        last_transaction_id=marks.get("last_transaction_id", 0),
    )
    there = sa.select(t.charge_points).where(t.charge_points.c.removed_ts.is_(None))
    for found in connection.execute(there).mappings():
        cp = to_charge_point(found)
        restored.charge_points[cp.cp_id] = cp
    running = _read_transactions(connection, restored)
    through = _read_connectors(connection, restored, running)
    _tell_again(connection, restored, running, through, marks.get("readings_through", 0))
    return restored


@dataclass(slots=True)
class _Running:
    """An open transaction, and the newest reading its figures include."""

    transaction: Transaction
    through: int


def _read_transactions(connection: sa.Connection, restored: Restored) -> dict[int, _Running]:
    running: dict[int, _Running] = {}
    still_open = (
        sa.select(t.transactions)
        .where(t.transactions.c.stopped_received_ts.is_(None))
        .order_by(t.transactions.c.number)
    )
    for found in connection.execute(still_open).mappings():
        cp = restored.charge_points.get(found["cp_id"])
        if cp is not None:
            transaction = to_transaction(found)
            cp.transactions[transaction.transaction_id] = transaction
            running[transaction.number] = _Running(transaction, found["readings_through"])
    return running


def _read_connectors(
    connection: sa.Connection, restored: Restored, running: Mapping[int, _Running]
) -> dict[tuple[str, str], int]:
    """Fill in the connectors; the newest reading that each one's figures include."""
    through: dict[tuple[str, str], int] = {}
    for found in connection.execute(sa.select(t.connectors)).mappings():
        cp = restored.charge_points.get(found["cp_id"])
        if cp is None:
            continue
        connector = cp.connectors[found["connector_id"]] = to_connector(found)
        through[(cp.cp_id, connector.connector_id)] = found["readings_through"]
        if found["transaction_number"] in running:
            connector.transaction = running[found["transaction_number"]].transaction
    return through


def _tell_again(
    connection: sa.Connection,
    restored: Restored,
    running: Mapping[int, _Running],
    through: Mapping[tuple[str, str], int],
    after: int,
) -> None:
    """The readings since the figures were last written, in order: what the fleet made of each is made of it again."""
    last: dict[tuple[str, str], list[Any]] = {}
    told: dict[tuple[str, str], Connector] = {}
    r = t.meter_readings
    with_shape = r.outerjoin(t.sample_shapes, t.sample_shapes.c.id == r.c.shape)
    rows = sa.select(r, t.sample_shapes.c.template).select_from(with_shape).where(r.c.id > after).order_by(r.c.id)
    for row in connection.execute(rows):
        cp = restored.charge_points.get(row.cp_id)
        if cp is None:
            continue
        cp.last_msg_ts = max(cp.last_msg_ts or 0.0, row.received_ts)
        of_transaction = running.get(row.transaction_number)
        if of_transaction is not None and row.id > of_transaction.through:
            _measure(of_transaction.transaction, row)
        place = (row.cp_id, row.connector_id)
        told[place] = cp.connector(row.connector_id)
        is_over = row.transaction_number is not None and of_transaction is None
        if is_over or row.id <= through.get(place, 0):
            continue
        if not row.is_history:
            _show(told[place], row)
        if row.seq_no is not None:
            continue  # its repeat is recognised by that
        of_message = last.setdefault(place, [])
        if of_message and of_message[0].received_ts != row.received_ts:
            of_message.clear()
        of_message.append(row)
    for place, of_message in last.items():
        content = [(row.charger_ts, decode(row.template, row.samples)) for row in of_message]
        told[place].last_meter_values = LastMeterValues(digest_of(content))
    restored.told_again = [(cp_id, connector) for (cp_id, _), connector in told.items()]


def _measure(transaction: Transaction, row: Any) -> None:
    """As `Fleet` does with a reading, but that the jumps are counted already."""
    if row.seq_no is not None:
        transaction.seq_nos.add(row.seq_no)
        transaction.told_ts = max(transaction.told_ts or 0.0, row.charger_ts or 0.0) or None
    told, last = credible(row.charger_ts, row.received_ts), transaction.last_reading_ts
    if row.register_wh is not None and not row.is_history and (last is None or told is None or told >= last):
        transaction.last_reading_ts = told if told is not None else last
        transaction.meter.read(row.register_wh)


def _show(connector: Connector, row: Any) -> None:
    """As `Fleet` does: what is no replay of the past moves the figures of now, and what was not measured stays."""
    told = credible(row.charger_ts, row.received_ts)
    if row.seq_no is not None:
        is_past = is_older(connector.reading_ts, told, row.received_ts)
    else:
        is_past = connector.pace.is_past(told, row.received_ts)
    if is_past:
        return
    if told is not None:
        connector.reading_ts = told
    for name in ("current_a", "power_w", "offered_a", "soc_percent"):
        if (figure := getattr(row, name)) is not None:
            setattr(connector, name, figure)
