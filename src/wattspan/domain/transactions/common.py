"""What transactions of every OCPP version share: how they begin, measure, show their figures and close.

It knows no message; `v16` and `v2x` apply messages by these functions.
"""

from wattspan.domain import events as ev
from wattspan.domain import status as status_words
from wattspan.domain.branches import MAX_CURRENT_A, MAX_POWER_W, possible
from wattspan.domain.fleet import ORPHANED, PLACEHOLDER_IDS, UNMATCHED, Fleet
from wattspan.domain.model import MAX_UNENDED, REPLAY_S, ChargePoint, Connector, ReadingRow, Transaction, credible
from wattspan.domain.readings import DEFAULT_LOCATION
from wattspan.domain.settlement import STOP_MISSING

OWN, UNNAMED, ELSEWHERE = 2, 1, 0
"""Ranks of a register: its message names the transaction and its connector; only the connector; another connector."""


MAX_PERCENT = 100.0


def stop_key(e: ev.TransactionStopped) -> str:
    """Return the key by which a stop of an unknown transaction is recognised when it is repeated."""
    return f"{UNMATCHED}{e.transaction_id} {e.stopped_ts} {e.meter_stop_wh}"


def begin(fleet: Fleet, cp: ChargePoint, connector: Connector, transaction: Transaction) -> None:
    """Open a new transaction at its connector, and count it."""
    fleet.add_timeline_entry(transaction, transaction.began_ts, _first_phase(connector), {}, phase=True)
    cp.transactions[transaction.transaction_id] = transaction
    cp.tx_total += 1
    cp.outage_counted = False  # the next reconnect is an outage during this transaction
    connector.transaction, connector.had_transaction = transaction, True
    fleet.changed(cp, connector)
    _bound(fleet, cp, transaction.started_received_ts)


def _first_phase(connector: Connector) -> str:
    """Return the phase in which a session begins: by the connector's status, unless that is of the session before."""
    phase = status_words.PHASES.get(connector.status or "", "preparing")
    return "preparing" if phase == "finishing" else phase


def _bound(fleet: Fleet, cp: ChargePoint, received_ts: float) -> None:
    if len(cp.transactions) > len(cp.connectors) + MAX_UNENDED:
        cp.count_exceeded("transactions")
        _close_oldest(fleet, cp, received_ts)


def _close_oldest(fleet: Fleet, cp: ChargePoint, received_ts: float) -> None:
    """Close the oldest transaction whose connector has a newer one; a late stop of the charger still corrects it.

    There always is one, because more transactions are open than there are connectors.
    """
    oldest = next(tx for tx in cp.transactions.values() if cp.connector(tx.connector_id).transaction is not tx)
    orphaned = ev.TransactionStopped(
        cp_id=cp.cp_id,
        received_ts=received_ts,
        transaction_id=oldest.transaction_id,
        meter_stop_wh=None,
        stopped_ts=None,
        reason=ORPHANED,
    )
    close(fleet, cp, oldest, orphaned)


def rank_of(transaction: Transaction, connector_id: str | None, transaction_id: str | None) -> int:
    """Return how certain it is that a register is the transaction's: higher is better.

    `connector_id` and `transaction_id` are those that the message names, None: none.
    """
    is_own = connector_id is None or connector_id == transaction.connector_id
    return (OWN if transaction_id is not None else UNNAMED) if is_own else ELSEWHERE


def measure(
    fleet: Fleet,
    cp: ChargePoint,
    transaction: Transaction,
    reading: ev.Reading,
    measured_ts: float | None,
    rank: int = OWN,
) -> float | None:
    """Apply the reading's register to the transaction's meter, and count a jump. Return the energy so far in Wh.

    None: the reading's register is that of another meter than the session's.
    """
    meter = transaction.meter
    if reading.register_wh is None:
        if reading.interval is not None:
            meter.add_interval(*reading.interval)
        return meter.energy_wh
    if reading.begins:
        if meter.begin_at(reading.register_wh, measured_ts):
            fleet.changes.transactions[transaction.number] = transaction
        return meter.energy_wh
    if meter.rank == rank and meter.location == reading.location:
        register_wh: float | None = reading.register_wh
    else:
        register_wh = _register_of(fleet, transaction, reading, rank)
    if register_wh is None:
        return None
    if not meter.start_known and not meter.has_readings:
        fleet.changes.transactions[transaction.number] = transaction
    connector = cp.connectors.get(transaction.connector_id)
    offered_a = most_offered(None if connector is None else connector.offered_a, reading.offered_a)
    if reading.ends:
        transaction.last_reading_ts = None  # it counts, though readings that were made later may have come before it
    if read_register(transaction, register_wh, measured_ts, reading.power_w, offered_a):
        cp.energy_jumps += 1
        fleet.changes.charge_points[cp.cp_id] = cp
    return meter.energy_wh


def _measured_register(reading: ev.Reading, transaction: Transaction | None) -> float | None:
    """Return the register of the location that the session uses; None: none was measured."""
    if reading.registers and transaction is not None:
        location = transaction.meter.location
        return next((found for name, found in reading.registers if name == location), reading.register_wh)
    return reading.register_wh


def _register_of(fleet: Fleet, transaction: Transaction, reading: ev.Reading, rank: int) -> float | None:
    """Return the reading's register of the meter that the session uses; None if it has none.

    That is the meter whose messages name the transaction and its connector, and there the one that continues the start,
    else the one at the outlet.
    """
    meter = transaction.meter
    registers = reading.registers or ((reading.location, reading.register_wh or 0.0),)
    if rank < meter.rank:
        return None
    if rank == meter.rank:
        found = next((register_wh for location, register_wh in registers if location == meter.location), None)
        continues_start = meter.start_known and meter.is_main
        if found is not None or continues_start or registers[0][0] != DEFAULT_LOCATION:
            return found
    location, register_wh = next((each for each in registers if meter.continues_start(each[1])), registers[0])
    if meter.rank >= 0:
        meter.restart(credible(transaction.started_ts, transaction.started_received_ts))
        transaction.last_reading_ts = None
    meter.rank, meter.location = rank, location
    fleet.changes.transactions[transaction.number] = transaction
    return register_wh


def most_offered(before_a: float | None, offered_a: float | None) -> float | None:
    """Return the higher Current.Offered of the last reading and of this one: either held between them."""
    offered_a = possible(offered_a, MAX_CURRENT_A)
    return offered_a if before_a is None or (offered_a is not None and offered_a > before_a) else before_a


def read_register(
    transaction: Transaction,
    register_wh: float,
    measured_ts: float | None,
    power_w: float | None = None,
    offered_a: float | None = None,
) -> bool:
    """Apply a register to the transaction's meter. Return whether it jumped.

    A reading older than the last one changes nothing, unless its register is higher: then the clock was set back.
    `measured_ts`: the charger's time, None if it is not credible.
    """
    if measured_ts is not None:
        last_ts = transaction.last_reading_ts
        if last_ts is not None and measured_ts < last_ts and not transaction.meter.rises_to(register_wh):
            return False
        transaction.last_reading_ts = measured_ts
    return transaction.meter.read(register_wh, measured_ts, power_w, offered_a)


def prefer_outlet(connector: Connector, reading: ev.Reading) -> ev.Reading:
    """Return the reading without current and power of the inlet, if those of the outlet come in other messages."""
    if reading.inlet:
        return reading._replace(current_a=None, power_w=None) if connector.has_outlet else reading
    if not connector.has_outlet and (reading.current_a is not None or reading.power_w is not None):
        connector.has_outlet = True
    return reading


def reading_row(
    place: tuple[str, str],
    transaction: Transaction | None,
    reading: ev.Reading,
    received_ts: float,
    energy_wh: float | None,
    *,
    is_history: bool,
    seq_no: int | None = None,
) -> ReadingRow:
    """Return the row of a reading with its effect. `place`: the ids of charge point and connector."""
    charger_ts, register_wh, current_a, power_w, offered_a, soc_percent, _, samples, _, _, registers, _, _ = reading
    if registers:
        register_wh = _measured_register(reading, transaction)
    cp_id, connector_id = place
    number = None if transaction is None else transaction.number
    found = (
        cp_id,
        connector_id,
        number,
        charger_ts,
        received_ts,
        energy_wh,
        register_wh,
        current_a,
        power_w,
        soc_percent,
        samples,
        offered_a,
        is_history,
        seq_no,
    )
    return tuple.__new__(ReadingRow, found)  # takes half the time of `ReadingRow`, which is Python code


def show(connector: Connector, reading: ev.Reading | ReadingRow, measured_ts: float | None) -> None:
    """Update the connector's live figures by the reading.

    Quantities that it did not measure, and those that are impossible, are unchanged.
    """
    if measured_ts is not None:
        connector.reading_ts = measured_ts
    current_a, power_w, soc_percent = reading.current_a, reading.power_w, reading.soc_percent
    if current_a is not None and (current_a := possible(current_a, MAX_CURRENT_A)) is not None:
        connector.current_a = current_a
    if power_w is not None:
        transaction = connector.transaction
        if transaction is not None and (factor := transaction.meter.units.power_factor) != 1.0:
            power_w *= factor
        if (power_w := possible(power_w, MAX_POWER_W)) is not None:
            connector.power_w = power_w
    if reading.offered_a is not None and (offered_a := possible(reading.offered_a, MAX_CURRENT_A)) is not None:
        connector.offered_a = offered_a
    if soc_percent is not None and 0.0 <= soc_percent <= MAX_PERCENT:
        connector.soc_percent = soc_percent


def close(fleet: Fleet, cp: ChargePoint, transaction: Transaction, e: ev.TransactionStopped) -> None:
    """Close an open transaction whose readings are all measured: add its energy to the total and free its connector."""
    connector = cp.connector(transaction.connector_id)
    settle(fleet, cp, transaction, e)
    cp.transactions.pop(transaction.transaction_id, None)
    if connector.transaction is transaction:
        connector.transaction = None
        connector.current_a = connector.power_w = 0.0
        connector.has_outlet = False
        # OCPP 1.6 §3.13.1: a TxProfile ends with its transaction.
        connector.profiles = [
            profile for profile in connector.profiles if profile.get("chargingProfilePurpose") != "TxProfile"
        ]
    fleet.recall(transaction)
    if e.transaction_id in PLACEHOLDER_IDS:
        fleet.remember(transaction, stop_key(e))
    fleet.changed(cp, connector)
    for listener in fleet.on_stopped:
        listener(transaction)


def reopen(fleet: Fleet, cp: ChargePoint, transaction: Transaction, received_ts: float) -> None:
    """Open a transaction again that we closed and that the charger still has. It is not counted as another one."""
    transaction.reopen()
    fleet.forget_closed(transaction)
    cp.transactions[transaction.transaction_id] = transaction
    connector = cp.connector(transaction.connector_id)
    if connector.transaction is None:
        connector.transaction = transaction
    fleet.add_timeline_entry(transaction, received_ts, "reopened", {})
    phase = status_words.PHASES.get(connector.status or "")
    if phase is not None and connector.status_ts is not None:
        fleet.add_timeline_entry(transaction, connector.status_ts, phase, {}, phase=True)
    fleet.changed(cp, connector)
    _bound(fleet, cp, received_ts)


def can_reopen(cp: ChargePoint, transaction: Transaction) -> bool:
    """Return whether a closed transaction is one that we closed, and nothing began at its connector since."""
    return transaction.reason == ORPHANED and cp.connector(transaction.connector_id).transaction is None


def settle(fleet: Fleet, cp: ChargePoint, transaction: Transaction, e: ev.TransactionStopped) -> None:
    """Record the stop, and add to the charge point's total what is not in it yet of the transaction's energy."""
    reason = _settle_meter(cp, transaction, e)
    if reason and not transaction.energy_correction:  # once, though a late stop may change the reason
        cp.energy_corrections[reason] = cp.energy_corrections.get(reason, 0) + 1
    transaction.energy_correction = reason
    transaction.stopped_ts, transaction.stopped_received_ts = e.stopped_ts, e.received_ts
    transaction.meter_stop_wh, transaction.reason = e.meter_stop_wh, e.reason
    if _is_implausible(transaction, e):
        fleet.add_timeline_entry(transaction, e.received_ts, "implausible stop time", {"ocpp.timestamp": e.stopped_ts})
    cp.last_tx_ts = max(cp.last_tx_ts or 0.0, transaction.ended_ts or 0.0)
    cp.book_energy(transaction.meter.energy_wh - transaction.booked_wh)
    fleet.changes.transactions[transaction.number] = transaction
    fleet.changes.charge_points[cp.cp_id] = cp


def _settle_meter(cp: ChargePoint, transaction: Transaction, e: ev.TransactionStopped) -> str:
    """Set the final energy. Return why it is not the difference of the charger's registers, or "" if it is.

    A stop without a register has that of the Transaction.End sample, else of the last sample that came with it.
    """
    meter, stop_wh = transaction.meter, e.meter_stop_wh
    if stop_wh is None:
        sent = [reading for reading in e.readings if reading.register_wh is not None and not reading.begins]
        stop_wh = next((each.register_wh for each in sent if each.ends), sent[-1].register_wh if sent else None)
    jumps = stop_wh is not None and meter.jumps_to(stop_wh)
    stop_ts = credible(e.stopped_ts, e.received_ts)
    # What the stop brings counts, though some chargers date it a moment later than the stop.
    sent_ts = [credible(each.charger_ts, e.received_ts) for each in e.readings] if stop_ts is not None else []
    reason = meter.settle(
        stop_wh,
        start_ts=credible(transaction.started_ts, transaction.started_received_ts),
        stop_ts=stop_ts,
        read_until_ts=max((ts for ts in (stop_ts, *sent_ts) if ts is not None), default=None),
    )
    if jumps and not reason:
        cp.energy_jumps += 1
    if reason == STOP_MISSING and meter.ends_labelled and e.reason != ORPHANED and meter.has_readings:
        return ""  # OCPP 2.x requires no register in Ended: the last one before it is the stop's
    return reason


def _is_implausible(transaction: Transaction, e: ev.TransactionStopped) -> bool:
    """Return whether the stop is in the future, or before its start by the same clock."""
    if e.stopped_ts is None:
        return False
    return e.stopped_ts > e.received_ts + REPLAY_S or e.stopped_ts < (transaction.started_ts or e.stopped_ts)
