"""Transactions as events tell them: begun, measured, closed, and closed late, twice or without a beginning."""

from wattspan.domain import events as ev
from wattspan.domain import status as status_words
from wattspan.domain.energy import EnergyMeter
from wattspan.domain.fleet import NEVER_LEARNT, ORPHANED, UNMATCHED, Fleet, own_id
from wattspan.domain.model import (
    MAX_UNENDED,
    REPLAY_S,
    ChargePoint,
    Connector,
    ReadingRow,
    Transaction,
    credible,
)


def stop_key(e: ev.TransactionStopped) -> str:
    """What makes a stop of an unknown transaction the same stop when it is repeated."""
    return f"{UNMATCHED}{e.transaction_id} {e.stopped_ts} {e.meter_stop_wh}"


def started(fleet: Fleet, e: ev.TransactionStarted) -> None:
    """A transaction begins; a start that is known by its key has begun already."""
    if fleet.find_start(e.cp_id, e.key) is not None:
        return
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    connector = cp.connector(e.connector_id)
    fleet.last_number += 1
    fleet.last_transaction_id = max(fleet.last_transaction_id, own_id(e.transaction_id) or 0)
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
    connector.last_meter_values.forget()
    fleet.tell(transaction, transaction.began_ts, first_phase(connector), {}, phase=True)
    begin(fleet, cp, connector, transaction)


def begin(fleet: Fleet, cp: ChargePoint, connector: Connector, transaction: Transaction) -> None:
    """A transaction is new: it is open, counted, and at its connector."""
    cp.transactions[transaction.transaction_id] = transaction
    cp.tx_total += 1
    cp.outage_counted = False  # what comes back from now on was away during this transaction
    connector.transaction, connector.had_transaction = transaction, True
    fleet.changed(cp, connector)
    if len(cp.transactions) > len(cp.connectors) + MAX_UNENDED:
        cp.exceeded("transactions")
        _give_up_oldest(fleet, cp, transaction.started_received_ts)


def _give_up_oldest(fleet: Fleet, cp: ChargePoint, received_ts: float) -> None:
    """Close what was open longest where something else runs by now; its charger's late word corrects it still.

    There is one: more are open than there are connectors.
    """
    oldest = next(tx for tx in cp.transactions.values() if cp.connector(tx.connector_id).transaction is not tx)
    given_up = ev.TransactionStopped(
        cp_id=cp.cp_id,
        received_ts=received_ts,
        transaction_id=oldest.transaction_id,
        meter_stop_wh=None,
        stopped_ts=None,
        reason=ORPHANED,
    )
    close(fleet, cp, oldest, given_up)


def meter_values(fleet: Fleet, e: ev.MeterValuesReceived) -> None:
    """Readings of a connector, and of the transaction they belong to, if any."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    transaction = fleet.session_of(cp.cp_id, e.connector_id, e.transaction_id)
    connector = cp.connector(e.connector_id if transaction is None else transaction.connector_id)
    if connector.last_meter_values.are(e.readings):
        return
    connector.last_meter_values.become(e.readings)
    is_late = transaction is None and e.transaction_id is not None and fleet.gave_out(e.transaction_id)
    for reading in e.readings:
        told_ts = keep(fleet, cp, connector, transaction, reading, e.received_ts, is_late=is_late)
        if not (is_late or reading.begins or connector.pace.is_past(told_ts, e.received_ts)):
            show(connector, reading, told_ts)
    fleet.changes.stale_connectors[(cp.cp_id, connector.connector_id)] = connector


def keep(
    fleet: Fleet,
    cp: ChargePoint,
    connector: Connector,
    transaction: Transaction | None,
    reading: ev.Reading,
    at_ts: float,
    *,
    is_late: bool = False,
) -> float | None:
    """Have the transaction measure the reading, and the store keep it. Returns the charger's time, if credible."""
    told_ts = credible(reading.charger_ts, at_ts)
    number = energy_wh = None
    if transaction is not None:
        number, energy_wh = transaction.number, measure(fleet, cp, transaction, reading, told_ts)
    row = _row(cp.cp_id, connector.connector_id, number, reading, at_ts, energy_wh, is_late=is_late)
    fleet.changes.readings.append(row)
    return told_ts


def measure(
    fleet: Fleet, cp: ChargePoint, transaction: Transaction, reading: ev.Reading, told_ts: float | None
) -> float:
    """The transaction's energy after `reading`; a reading that is older than one already met moves nothing."""
    if reading.register_wh is not None and not transaction.meter.start_told:
        fleet.changes.transactions[transaction.number] = transaction
        if reading.begins:
            transaction.meter.begin_at(reading.register_wh)
    if reading.register_wh is not None and not reading.begins:
        last_ts = transaction.last_reading_ts
        if last_ts is None or told_ts is None or told_ts >= last_ts:
            transaction.last_reading_ts = told_ts if told_ts is not None else last_ts
            if transaction.meter.read(reading.register_wh):
                cp.energy_jumps += 1
                fleet.changes.charge_points[cp.cp_id] = cp
    return transaction.meter.energy_wh


def stopped(fleet: Fleet, e: ev.TransactionStopped) -> None:
    """A transaction ends, whether it is open, closed already, closed by us, or was never heard of."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    known = fleet.recalled(cp.cp_id, stop_key(e))
    transaction = cp.transactions.get(e.transaction_id) or (None if known is not None else _only_open(cp, e))
    if transaction is not None:
        for reading in e.readings:
            keep(fleet, cp, cp.connector(transaction.connector_id), transaction, reading, e.received_ts)
        close(fleet, cp, transaction, e)
        return
    if known is None:
        known = fleet.recalled(cp.cp_id, e.transaction_id)
    if e.reason == ORPHANED:
        return
    if known is None:
        _keep_unmatched(fleet, cp, e)
    elif known.reason == ORPHANED:
        correct(fleet, cp, known, e)


def _only_open(cp: ChargePoint, e: ev.TransactionStopped) -> Transaction | None:
    """The only one open, when the charger never learnt its id and nothing speaks against it being meant."""
    if e.transaction_id not in NEVER_LEARNT or len(cp.transactions) != 1:
        return None
    (only,) = cp.transactions.values()
    told_ts = credible(e.stopped_ts, e.received_ts)
    is_later = told_ts is None or told_ts >= only.began_ts - REPLAY_S
    return only if is_later and e.id_token in (None, only.id_token) else None


def close(fleet: Fleet, cp: ChargePoint, transaction: Transaction, e: ev.TransactionStopped) -> None:
    """An open transaction, all of it measured, ends: its energy is booked, its connector free."""
    connector = cp.connector(transaction.connector_id)
    settle(fleet, cp, transaction, e)
    cp.transactions.pop(transaction.transaction_id, None)
    if connector.transaction is transaction:
        connector.transaction = None
        connector.current_a = connector.power_w = 0.0
        # OCPP 1.6 §3.13.1: a TxProfile ends with its transaction.
        connector.profiles = [
            profile for profile in connector.profiles if profile.get("chargingProfilePurpose") != "TxProfile"
        ]
    fleet.recall(transaction)
    if e.transaction_id in NEVER_LEARNT:
        fleet.remember(transaction, stop_key(e))
    fleet.changed(cp, connector)
    for told in fleet.on_stopped:
        told(transaction)


def settle(
    fleet: Fleet, cp: ChargePoint, transaction: Transaction, e: ev.TransactionStopped, booked_wh: float = 0.0
) -> None:
    """Book the transaction's energy, and only what was not booked before (a stop that corrects an orphan)."""
    if e.meter_stop_wh is not None and transaction.meter.read(e.meter_stop_wh):
        cp.energy_jumps += 1
    transaction.stopped_ts, transaction.stopped_received_ts = e.stopped_ts, e.received_ts
    transaction.meter_stop_wh, transaction.reason = e.meter_stop_wh, e.reason
    if _is_odd_time(transaction, e):
        fleet.tell(transaction, e.received_ts, "implausible stop time", {"ocpp.timestamp": e.stopped_ts})
    cp.last_tx_ts = max(cp.last_tx_ts or 0.0, transaction.ended_ts or 0.0)
    cp.energy_total_wh += max(0.0, transaction.meter.energy_wh - booked_wh)
    fleet.changes.transactions[transaction.number] = transaction
    fleet.changes.charge_points[cp.cp_id] = cp


def _is_odd_time(transaction: Transaction, e: ev.TransactionStopped) -> bool:
    """A stop in the future, or before its start by the same clock."""
    if e.stopped_ts is None:
        return False
    return e.stopped_ts > e.received_ts + REPLAY_S or e.stopped_ts < (transaction.started_ts or e.stopped_ts)


def correct(fleet: Fleet, cp: ChargePoint, transaction: Transaction, e: ev.TransactionStopped) -> None:
    """The late word on a transaction that we had closed: only the difference is added."""
    booked_wh = transaction.meter.energy_wh
    for reading in e.readings:
        keep(fleet, cp, cp.connector(transaction.connector_id), transaction, reading, e.received_ts)
    settle(fleet, cp, transaction, e, booked_wh)


def _keep_unmatched(fleet: Fleet, cp: ChargePoint, e: ev.TransactionStopped) -> None:
    """A stop of a transaction nobody started: its energy is what its own readings tell, and it is kept."""
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
    for reading in e.readings:
        if reading.register_wh is not None:
            transaction.meter.read(reading.register_wh)
        energy_wh = transaction.meter.energy_wh
        fleet.changes.readings.append(_row(cp.cp_id, "0", transaction.number, reading, e.received_ts, energy_wh))
    settle(fleet, cp, transaction, e)
    fleet.recall(transaction)
    for told in fleet.on_stopped:
        told(transaction)


def first_phase(connector: Connector) -> str:
    """The phase a session begins in: what its connector said last, unless that was about the session before."""
    phase = status_words.PHASES.get(connector.status or "", "preparing")
    return "preparing" if phase == "finishing" else phase


def show(connector: Connector, reading: ev.Reading, told_ts: float | None) -> None:
    """Let the figures of now follow the reading; what it did not measure stays."""
    if told_ts is not None:
        connector.reading_ts = told_ts
    if reading.current_a is not None:
        connector.current_a = reading.current_a
    if reading.power_w is not None:
        connector.power_w = reading.power_w
    if reading.offered_a is not None:
        connector.offered_a = reading.offered_a
    if reading.soc_percent is not None:
        connector.soc_percent = reading.soc_percent


def _row(
    cp_id: str,
    connector_id: str,
    number: int | None,
    reading: ev.Reading,
    at_ts: float,
    energy_wh: float | None,
    *,
    is_late: bool = False,
) -> ReadingRow:
    return ReadingRow(
        cp_id,
        connector_id,
        number,
        reading.charger_ts,
        at_ts,
        energy_wh,
        reading.register_wh,
        reading.current_a,
        reading.power_w,
        reading.soc_percent,
        reading.samples,
        reading.offered_a,
        is_late or reading.begins,
    )
