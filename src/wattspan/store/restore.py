"""Restores a fleet, or some of its charge points, from the database, with live figures. Off the event loop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from wattspan.domain.clock_skew import REPLAY_S
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint, Connector, Transaction
from wattspan.domain.repeats import LastMeterValues, digest_of
from wattspan.domain.transactions.replay import replay_clock, replay_figures, replay_measurement
from wattspan.store.journal.batch import READINGS_THROUGH
from wattspan.store.rows import to_charge_point, to_connector, to_transaction
from wattspan.store.samples import decode
from wattspan.store.schema import tables as t

CLOCK_READINGS = 50_000
"""Readings of the whole fleet, before those that are replayed, in which old timestamps are looked for."""
CLOCK_READINGS_OF_SOME = 5_000
"""The same where only some charge points are restored, which others wait for."""


@dataclass(slots=True)
class Restored:
    """What the database knows about a fleet, not yet part of one."""

    charge_points: dict[str, ChargePoint] = field(default_factory=dict)
    last_number: int = 0
    last_transaction_id: int = 0
    replayed: list[tuple[str, Connector]] = field(default_factory=list)
    """Connectors, with their charge point's id, whose figures are newer than their rows."""
    connected: set[str] = field(default_factory=set)
    """The charge points that were connected when their rows were written."""
    only: list[str] | None = None
    """The charge points to restore; None: all."""

    def put_into(self, fleet: Fleet) -> None:
        """Fill an empty `fleet`. On the fleet's thread."""
        fleet.charge_points.update(self.charge_points)
        fleet.last_number = max(fleet.last_number, self.last_number)
        fleet.last_transaction_id = max(fleet.last_transaction_id, self.last_transaction_id)
        # The next flush marks all readings so far as included in the rows, so it must write these.
        for cp_id, connector in self.replayed:
            fleet.changes.stale_charge_points[cp_id] = self.charge_points[cp_id]
            fleet.changes.stale_connectors[(cp_id, connector.connector_id)] = connector


def read(connection: sa.Connection) -> Restored:
    """Return the stored fleet without the charge points that were removed."""
    marks = dict(connection.execute(sa.select(t.marks.c.name, t.marks.c.value)).tuples().all())
    newest = connection.execute(sa.select(sa.func.max(t.transactions.c.number))).scalar_one() or 0
    restored = Restored(
        last_number=max(newest, marks.get("last_number", 0)),
        last_transaction_id=marks.get("last_transaction_id", 0),
    )
    there = sa.select(t.charge_points).where(t.charge_points.c.removed_ts.is_(None))
    _read_charge_points(connection, restored, there)
    running = _read_transactions(connection, restored)
    through = _read_connectors(connection, restored, running)
    after = marks.get(READINGS_THROUGH, 0)
    _replay_clocks(connection, restored, after, CLOCK_READINGS)
    _replay_readings(connection, restored, running, through, after)
    return restored


def read_some(connection: sa.Connection, cp_ids: Sequence[str], after: int | None) -> Restored:
    """Return these charge points; all their readings up to `after` must be included in rows. None: they have none."""
    restored = Restored(only=list(cp_ids))
    there = sa.select(t.charge_points).where(t.charge_points.c.removed_ts.is_(None))
    _read_charge_points(connection, restored, there)
    running = _read_transactions(connection, restored)
    through = _read_connectors(connection, restored, running)
    if after is not None:
        _replay_clocks(connection, restored, after, CLOCK_READINGS_OF_SOME)
        _replay_readings(connection, restored, running, through, after)
    return restored


def _of(restored: Restored, query: sa.Select[Any], column: sa.Column[str]) -> sa.Select[Any]:
    """Return `query`, limited to the charge points to restore."""
    if restored.only is None:
        return query
    return query.where(column == sa.any_(sa.bindparam("cp_ids", restored.only, type_=sa.ARRAY(sa.Text))))


def _read_charge_points(connection: sa.Connection, restored: Restored, there: sa.Select[Any]) -> None:
    for found in connection.execute(_of(restored, there, t.charge_points.c.cp_id)).mappings():
        cp = to_charge_point(found)
        restored.charge_points[cp.cp_id] = cp
        if found["connected"]:
            restored.connected.add(cp.cp_id)


@dataclass(slots=True)
class _Running:
    """An open transaction, and the id of the newest reading that its figures include."""

    transaction: Transaction
    through: int
    message_ts: float = 0.0
    """When the message of the newest replayed reading was received: a message may have several readings."""


def _read_transactions(connection: sa.Connection, restored: Restored) -> dict[int, _Running]:
    """Add the open transactions. Return them by number."""
    running: dict[int, _Running] = {}
    still_open = (
        sa.select(t.transactions)
        .where(t.transactions.c.stopped_received_ts.is_(None))
        .order_by(t.transactions.c.number)
    )
    for found in connection.execute(_of(restored, still_open, t.transactions.c.cp_id)).mappings():
        cp = restored.charge_points.get(found["cp_id"])
        if cp is not None:
            transaction = to_transaction(found)
            cp.transactions[transaction.transaction_id] = transaction
            running[transaction.number] = _Running(transaction, found["readings_through"])
    return running


def _read_connectors(
    connection: sa.Connection, restored: Restored, running: Mapping[int, _Running]
) -> dict[tuple[str, str], int]:
    """Add the connectors. Return for each the id of the newest reading that its figures include."""
    through: dict[tuple[str, str], int] = {}
    for found in connection.execute(_of(restored, sa.select(t.connectors), t.connectors.c.cp_id)).mappings():
        cp = restored.charge_points.get(found["cp_id"])
        if cp is None:
            continue
        connector = cp.connectors[found["connector_id"]] = to_connector(found)
        through[(cp.cp_id, connector.connector_id)] = found["readings_through"]
        if found["transaction_number"] in running:
            connector.transaction = running[found["transaction_number"]].transaction
    return through


def _replay_readings(
    connection: sa.Connection,
    restored: Restored,
    running: Mapping[int, _Running],
    through: Mapping[tuple[str, str], int],
    after: int,
) -> None:
    """Apply the readings since the figures were last written, in order, by the domain's own functions."""
    last: dict[tuple[str, str], list[Any]] = {}
    replayed: dict[tuple[str, str], Connector] = {}
    r = t.meter_readings
    with_shape = r.outerjoin(t.sample_shapes, t.sample_shapes.c.id == r.c.shape)
    rows = sa.select(r, t.sample_shapes.c.template).select_from(with_shape).where(r.c.id > after).order_by(r.c.id)
    row: Any  # the columns are those of ReadingRow
    for row in connection.execute(_of(restored, rows, r.c.cp_id)):
        cp = restored.charge_points.get(row.cp_id)
        if cp is None:
            continue
        cp.last_msg_ts = max(cp.last_msg_ts or 0.0, row.received_ts)
        of_transaction = running.get(row.transaction_number)
        if of_transaction is not None and row.id > of_transaction.through:
            running_at = cp.connectors.get(of_transaction.transaction.connector_id)
            offered_a = None if running_at is None else running_at.offered_a
            replay_measurement(of_transaction.transaction, row, offered_a)
            if row.received_ts != of_transaction.message_ts:
                of_transaction.message_ts = row.received_ts
                of_transaction.transaction.messages += 1
        place = (row.cp_id, row.connector_id)
        connector = replayed[place] = cp.connector(row.connector_id)
        is_over = row.transaction_number is not None and of_transaction is None
        if is_over or row.id <= through.get(place, 0):
            replay_clock(connector, row)
            continue
        replay_figures(connector, row)
        if row.seq_no is not None:
            continue  # a repeat of the message is recognised by its number
        of_message = last.setdefault(place, [])
        if of_message and of_message[0].received_ts != row.received_ts:
            of_message.clear()
        of_message.append(row)
    for place, of_message in last.items():
        content = [(row.charger_ts, decode(row.template, row.samples)) for row in of_message]
        replayed[place].last_meter_values = LastMeterValues(digest_of(content))
    restored.replayed = [(cp_id, connector) for (cp_id, _), connector in replayed.items()]


def _replay_clocks(connection: sa.Connection, restored: Restored, after: int, limit: int) -> None:
    """Let each connector's clock skew see the readings with old timestamps that its figures include already.

    Without them the first reading of a charger whose clock is behind would be taken for a replay of the past.
    """
    r = t.meter_readings
    old = (
        sa.select(r.c.cp_id, r.c.connector_id, r.c.charger_ts, r.c.received_ts, r.c.is_history, r.c.seq_no)
        .where(r.c.id > after - limit, r.c.id <= after, r.c.charger_ts < r.c.received_ts - REPLAY_S)
        .order_by(r.c.id)
    )
    row: Any
    for row in connection.execute(_of(restored, old, r.c.cp_id)):
        cp = restored.charge_points.get(row.cp_id)
        connector = None if cp is None else cp.connectors.get(row.connector_id)
        if connector is not None:
            replay_clock(connector, row)
