"""Transactions of OCPP 1.6: starts, meter values and stops, also late, repeated, or without a start.

MeterValues outside a TransactionEvent (2.x), and stops that we record ourselves, are applied here in every version.
"""

from wattspan.domain import events as ev
from wattspan.domain.energy import EnergyMeter
from wattspan.domain.fleet import ORPHANED, PLACEHOLDER_IDS, Fleet, issued_id
from wattspan.domain.model import REPLAY_S, ChargePoint, Connector, ReadingRow, Transaction, credible
from wattspan.domain.transactions.common import begin, close, measure, settle, show, stop_key


def started(fleet: Fleet, e: ev.TransactionStarted) -> None:
    """Apply a start; one whose key is known is a repeat."""
    if fleet.find_start(e.cp_id, e.key) is not None:
        return
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    connector = cp.connector(e.connector_id)
    fleet.last_number += 1
    fleet.last_transaction_id = max(fleet.last_transaction_id, issued_id(e.transaction_id) or 0)
    transaction = Transaction(
        number=fleet.last_number,
        cp_id=cp.cp_id,
        connector_id=connector.connector_id,
        transaction_id=e.transaction_id,
        key=e.key,
        id_token=e.id_token,
        meter=EnergyMeter(e.meter_start_wh),
        started_ts=e.started_ts,
        started_received_ts=e.received_ts,
        reservation_id=e.reservation_id,
    )
    connector.last_meter_values.clear()
    begin(fleet, cp, connector, transaction)


def meter_values(fleet: Fleet, e: ev.MeterValuesReceived) -> None:
    """Apply readings to their connector, and to the transaction they belong to, if any."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    transaction = fleet.session_of(cp.cp_id, e.connector_id, e.transaction_id)
    connector = cp.connector(e.connector_id if transaction is None else transaction.connector_id)
    if connector.last_meter_values.equals(e.readings):
        return
    connector.last_meter_values.replace(e.readings)
    is_late = transaction is None and e.transaction_id is not None and fleet.has_issued(cp.cp_id, e.transaction_id)
    for reading in e.readings:
        measured_ts = _keep(fleet, cp, connector, transaction, reading, e.received_ts, is_late=is_late)
        if not (is_late or reading.begins or connector.clock_skew.is_past(measured_ts, e.received_ts)):
            show(connector, reading, measured_ts)
    fleet.changes.stale_connectors[(cp.cp_id, connector.connector_id)] = connector


def stopped(fleet: Fleet, e: ev.TransactionStopped) -> None:
    """Apply the stop of a transaction that is open, closed already, closed by us, or unknown."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    known = fleet.recalled(cp.cp_id, stop_key(e))
    transaction = cp.transactions.get(e.transaction_id) or (None if known is not None else _only_open(cp, e))
    if transaction is not None:
        _keep_all(fleet, cp, transaction, e)
        close(fleet, cp, transaction, e)
        return
    if known is None:
        known = fleet.recalled(cp.cp_id, e.transaction_id)
    if e.reason == ORPHANED:
        return
    if known is None:
        _add_unmatched(fleet, cp, e)
    elif known.reason == ORPHANED:
        # The late stop of a transaction that we had closed: only the difference is added.
        booked_wh = known.meter.energy_wh
        _keep_all(fleet, cp, known, e)
        settle(fleet, cp, known, e, booked_wh)


def _only_open(cp: ChargePoint, e: ev.TransactionStopped) -> Transaction | None:
    """Return the only open transaction, if the stop names none and may be its own; None otherwise."""
    if e.transaction_id not in PLACEHOLDER_IDS or len(cp.transactions) != 1:
        return None
    (only,) = cp.transactions.values()
    stopped_ts = credible(e.stopped_ts, e.received_ts)
    is_later = stopped_ts is None or stopped_ts >= only.began_ts - REPLAY_S
    return only if is_later and e.id_token in (None, only.id_token) else None


def _add_unmatched(fleet: Fleet, cp: ChargePoint, e: ev.TransactionStopped) -> None:
    """Add a closed transaction for a stop without a start; its energy is that of its own readings."""
    registers = [reading.register_wh for reading in e.readings if reading.register_wh is not None]
    fleet.last_number += 1
    transaction = Transaction(
        number=fleet.last_number,
        cp_id=cp.cp_id,
        connector_id="0",
        transaction_id=e.transaction_id,
        key=stop_key(e),
        id_token=e.id_token or "",
        meter=EnergyMeter(registers[0] if registers else e.meter_stop_wh or 0.0),
        started_ts=e.readings[0].charger_ts if e.readings else e.stopped_ts,
        started_received_ts=e.received_ts,
    )
    meter = transaction.meter
    for reading in e.readings:
        if reading.register_wh is not None:
            meter.read(reading.register_wh)
        row = _row(
            cp.cp_id, "0", transaction.number, reading, e.received_ts, meter.energy_wh, is_history=reading.begins
        )
        fleet.changes.readings.append(row)
    settle(fleet, cp, transaction, e)
    fleet.recall(transaction)
    for listener in fleet.on_stopped:
        listener(transaction)


def _keep_all(fleet: Fleet, cp: ChargePoint, transaction: Transaction, e: ev.TransactionStopped) -> None:
    """Measure and store the readings that came with a stop."""
    connector = cp.connector(transaction.connector_id)
    for reading in e.readings:
        _keep(fleet, cp, connector, transaction, reading, e.received_ts, is_late=False)


def _keep(
    fleet: Fleet,
    cp: ChargePoint,
    connector: Connector,
    transaction: Transaction | None,
    reading: ev.Reading,
    received_ts: float,
    *,
    is_late: bool,
) -> float | None:
    """Measure the reading, and add it to what the store writes. Return the charger's time; None if not credible."""
    measured_ts = credible(reading.charger_ts, received_ts)
    number = energy_wh = None
    if transaction is not None:
        number, energy_wh = transaction.number, measure(fleet, cp, transaction, reading, measured_ts)
    row = _row(
        cp.cp_id,
        connector.connector_id,
        number,
        reading,
        received_ts,
        energy_wh,
        is_history=is_late or reading.begins,
    )
    fleet.changes.readings.append(row)
    return measured_ts


def _row(
    cp_id: str,
    connector_id: str,
    number: int | None,
    reading: ev.Reading,
    received_ts: float,
    energy_wh: float | None,
    *,
    is_history: bool,
) -> ReadingRow:
    return ReadingRow(
        cp_id,
        connector_id,
        number,
        reading.charger_ts,
        received_ts,
        energy_wh,
        reading.register_wh,
        reading.current_a,
        reading.power_w,
        reading.soc_percent,
        reading.samples,
        reading.offered_a,
        is_history,
    )
