"""Transactions of OCPP 2.x: the charger assigns the id and numbers its messages, which may arrive in any order.

The first message to arrive begins the transaction, later ones complete it. A message counts once, by its seqNo.
"""

from typing import Final

from wattspan.domain import events as ev
from wattspan.domain import evses
from wattspan.domain import status as status_words
from wattspan.domain.clock_skew import is_older
from wattspan.domain.energy import EnergyMeter
from wattspan.domain.fleet import CHARGER_ID, ORPHANED, Fleet
from wattspan.domain.model import REPLAY_S, ChargePoint, Transaction, credible, distinguishes, when
from wattspan.domain.transactions.common import (
    begin,
    can_reopen,
    close,
    measure,
    prefer_outlet,
    reading_row,
    reopen,
    show,
)

NO_EVSE = "0"
"""The connector of a transaction whose charger has not named an EVSE yet."""

MAX_MISSING = 1_000
"""Missing messages counted per transaction."""
_DETAILS = ("reservation_id", "remote_start_id", "phases_used", "cable_max_a")

REPEAT: Final = "repeat"
LATE: Final = "late"
IN_ORDER: Final = "in order"


def key_of(transaction_id: str) -> str:
    """Return the key of a transaction whose id the charger assigned."""
    return CHARGER_ID + transaction_id


def transaction_event(fleet: Fleet, e: ev.TransactionEventReceived) -> None:
    """Apply a TransactionEvent: its start, details, readings, charging state and end, in this order.

    A message with a known number still ends an open transaction: nothing can be counted twice.
    """
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    transaction = _known(fleet, cp, e) or _begin(fleet, cp, e)
    arrival = register(transaction, e.ref)
    if not transaction.open and _shows_that_it_goes_on(cp, transaction, e, arrival):
        reopen(fleet, cp, transaction, e.received_ts)
    if arrival is not REPEAT:
        if e.started is not None:
            _apply_start(fleet, cp, transaction, e.started)
        if e.details is not None:
            _apply_details(fleet, cp, transaction, e.details)
        if e.readings:
            _apply_readings(fleet, cp, transaction, e, is_late=arrival is LATE)
        elif transaction.open:
            # No reading takes the message's number to the store, and it must not count as missing after a restart.
            fleet.changes.transactions[transaction.number] = transaction
        if e.charging_state and transaction.open:
            _apply_state(fleet, cp, transaction, e, is_late=arrival is LATE)
    if e.stopped is not None:
        _apply_end(fleet, cp, transaction, e.stopped, e.ref, is_repeat=arrival is REPEAT)


def register(transaction: Transaction, ref: ev.EventRef) -> str:
    """Record that a message about the transaction arrived. Return REPEAT, LATE or IN_ORDER.

    A known number is a repeat, unless its time is later than all times before: then the charger has restarted its
    numbering (after a boot), or does not number at all, and dropping the message would lose data.
    """
    newest_ts, seq_no, charger_ts = transaction.newest_charger_ts, ref.seq_no, ref.charger_ts
    is_later = charger_ts is not None and (newest_ts is None or charger_ts > newest_ts)
    if seq_no is not None:
        highest = transaction.seq_nos.highest
        if not transaction.seq_nos.add(seq_no) and (newest_ts is None or not is_later):
            return REPEAT
        is_late = seq_no < highest and not is_later
    else:
        is_late = newest_ts is not None and charger_ts is not None and charger_ts < newest_ts
    if is_later:
        transaction.newest_charger_ts = charger_ts
    return LATE if is_late else IN_ORDER


def _shows_that_it_goes_on(
    cp: ChargePoint, transaction: Transaction, e: ev.TransactionEventReceived, arrival: str
) -> bool:
    """Return whether the message shows that a transaction that we closed goes on: it is current, and no end."""
    is_current = arrival is IN_ORDER and e.stopped is None and not _is_replay(e.ref, e.received_ts)
    return is_current and can_reopen(cp, transaction)


def _known(fleet: Fleet, cp: ChargePoint, e: ev.TransactionEventReceived) -> Transaction | None:
    """Return the transaction that the message is about, open or closed; None if it begins another one."""
    running = cp.transactions.get(e.transaction_id)
    if running is not None:
        return running
    closed = fleet.recalled(cp.cp_id, key_of(e.transaction_id))
    if closed is not None and _reuses_id(closed, e):
        fleet.release_key(closed)
        return None
    return closed


def _reuses_id(transaction: Transaction, e: ev.TransactionEventReceived) -> bool:
    """Return whether the message begins another transaction under the id of one that has ended.

    Some chargers number their transactions from 1 again after a boot. Only Started shows it, dated after the end.
    """
    charger_ts, stopped_ts = e.ref.charger_ts, transaction.stopped_ts
    if e.started is None or charger_ts is None or stopped_ts is None or transaction.stopped_received_ts is None:
        return False
    are_credible = distinguishes(charger_ts, e.received_ts) and distinguishes(
        stopped_ts, transaction.stopped_received_ts
    )
    return are_credible and charger_ts > stopped_ts and charger_ts != transaction.started_ts


def _begin(fleet: Fleet, cp: ChargePoint, e: ev.TransactionEventReceived) -> Transaction:
    """Return a new open transaction, known by the message."""
    connector = cp.connector(e.connector_id)
    transaction = Transaction(
        number=fleet.next_number(),
        cp_id=cp.cp_id,
        connector_id=connector.connector_id,
        transaction_id=e.transaction_id,
        key=key_of(e.transaction_id),
        id_token="",
        meter=EnergyMeter(None, ends_labelled=True),
        started_ts=_earliest_ts(e),
        started_received_ts=e.received_ts,
    )
    other = connector.transaction
    begin(fleet, cp, connector, transaction)
    if other is not None and other.open and other.began_ts > transaction.began_ts:
        connector.transaction = other  # the message is a replay; the EVSE has a newer transaction
    return transaction


def _earliest_ts(e: ev.TransactionEventReceived) -> float | None:
    """Return the charger's time at which the transaction is first known to exist; None where it sent none."""
    if e.started is not None or e.details is not None:
        return e.ref.charger_ts
    if e.stopped is not None:
        times = [reading.charger_ts for reading in e.stopped.readings if reading.charger_ts is not None]
        return min(times, default=e.stopped.stopped_ts)
    return e.readings[0].charger_ts if e.readings else e.ref.charger_ts


def _apply_start(fleet: Fleet, cp: ChargePoint, transaction: Transaction, e: ev.TransactionStarted) -> None:
    """Apply Started (E02), to a transaction that may be known by later messages."""
    _identify(transaction, e.id_token, e.id_token_type)
    if transaction.reservation_id is None:
        transaction.reservation_id = e.reservation_id
    if e.started_ts is not None:
        transaction.started_ts = e.started_ts
    _assign_evse(fleet, cp, transaction, e.connector_id)
    if e.meter_start_wh is not None:
        start_ts = credible(e.started_ts, e.received_ts)
        _set_start(fleet, cp, transaction, e.meter_start_wh, start_ts, is_start=True)
    fleet.changes.transactions[transaction.number] = transaction


def _apply_details(fleet: Fleet, cp: ChargePoint, transaction: Transaction, e: ev.TransactionDetailed) -> None:
    """Apply everything that is not known yet."""
    _identify(transaction, e.id_token, e.id_token_type)
    for name in _DETAILS:
        if getattr(transaction, name) is None:
            setattr(transaction, name, getattr(e, name))
    _assign_evse(fleet, cp, transaction, e.connector_id)
    fleet.changes.transactions[transaction.number] = transaction


def _apply_readings(
    fleet: Fleet, cp: ChargePoint, transaction: Transaction, e: ev.TransactionEventReceived, *, is_late: bool
) -> None:
    """Apply the meterValue of the message. If it is late, or the transaction is closed, only the store gets it."""
    ref, received_ts = e.ref, e.received_ts
    if transaction.connector_id == NO_EVSE:
        _assign_evse(fleet, cp, transaction, e.connector_id)
    place = (cp.cp_id, transaction.connector_id)
    connector = cp.connector(transaction.connector_id)
    effect = fleet.effect
    if ref.seq_no is None:
        digest = "" if effect is None else effect.digest
        if connector.last_meter_values.equals(e.readings, digest):
            return
        connector.last_meter_values.replace(e.readings, digest)
    is_late = is_late or transaction.stopped_received_ts is not None
    is_replay = is_late or _is_replay(ref, received_ts)
    if effect is None or not effect.take_over(fleet.changes, cp, connector, transaction, is_late):
        for sent in e.readings:
            reading = prefer_outlet(connector, sent)
            measured_ts = _keep(fleet, cp, transaction, reading, received_ts, ref, is_late=is_late)
            if not (is_replay or reading.begins or is_older(connector.reading_ts, measured_ts, received_ts)):
                show(connector, reading, measured_ts)
        if effect is not None:
            effect.record(fleet.changes, cp, connector, transaction)
    if is_replay:
        # Written together with the readings: after a crash none of them may change the live figures.
        fleet.changes.connectors[place] = connector
        fleet.changes.transactions[transaction.number] = transaction
    fleet.changes.stale_connectors[place] = connector


def _apply_state(
    fleet: Fleet, cp: ChargePoint, transaction: Transaction, e: ev.TransactionEventReceived, *, is_late: bool
) -> None:
    """Apply the chargingState: it begins a phase of the session, and determines the status for Occupied."""
    if transaction.connector_id == NO_EVSE:
        _assign_evse(fleet, cp, transaction, e.connector_id)
    if is_late:
        _add_phase(fleet, transaction, e, is_late=True)
    elif transaction.charging_state != e.charging_state:
        _add_phase(fleet, transaction, e, is_late=False)
        transaction.charging_state = e.charging_state
        _refine_status(fleet, cp, transaction, e)


def _apply_end(
    fleet: Fleet,
    cp: ChargePoint,
    transaction: Transaction,
    e: ev.TransactionStopped,
    ref: ev.EventRef,
    *,
    is_repeat: bool,
) -> None:
    """Apply Ended (E06) of a transaction that is open, that we closed ourselves, or that this message began."""
    if not transaction.open and (transaction.reason != ORPHANED or is_repeat):
        return
    if not transaction.open:
        reopen(fleet, cp, transaction, e.received_ts)
    _assign_evse(fleet, cp, transaction, e.connector_id)
    effect, connector = fleet.effect, cp.connector(transaction.connector_id)
    if effect is None or not effect.take_over(fleet.changes, cp, connector, transaction):
        for reading in e.readings:
            _keep(fleet, cp, transaction, reading, e.received_ts, ref, is_late=False)
        if effect is not None:
            effect.record(fleet.changes, cp, connector, transaction)
    if connector.transaction is transaction:
        status = evses.status_after_end(connector, is_past=_is_replay(ref, e.received_ts))
        if status is not None:
            cp.status = status
            connector.change_status(status, when(e.stopped_ts, e.received_ts))
    _count_missing(fleet, cp, transaction, e.received_ts)
    close(fleet, cp, transaction, e)


def _count_missing(fleet: Fleet, cp: ChargePoint, transaction: Transaction, received_ts: float) -> None:
    """Count the messages whose numbers were skipped: their data is lost, unless they still arrive."""
    missing = min(transaction.seq_nos.missing, MAX_MISSING)
    if missing:
        cp.missed["TransactionEvent"] = cp.missed.get("TransactionEvent", 0) + missing
        fleet.add_timeline_entry(transaction, received_ts, "messages missing", {"ocpp.messages_missing": missing})


def _identify(transaction: Transaction, id_token: str, id_token_type: str) -> None:
    """Set the id token if there is none yet; a later one belongs to the driver who stopped it or took it over."""
    if id_token and not transaction.id_token:
        transaction.id_token, transaction.id_token_type = id_token, id_token_type


def _set_start(
    fleet: Fleet,
    cp: ChargePoint,
    transaction: Transaction,
    start_wh: float,
    start_ts: float | None,
    *,
    is_start: bool,
) -> None:
    """Set a register from before the first measured one. Energy that a closed transaction gains goes to the total."""
    before_wh = transaction.meter.energy_wh
    transaction.meter.begin_at(start_wh, start_ts, is_start=is_start)
    fleet.changes.transactions[transaction.number] = transaction
    if not transaction.open and transaction.meter.energy_wh != before_wh:
        cp.book_energy(transaction.meter.energy_wh - before_wh)
        fleet.changes.charge_points[cp.cp_id] = cp


def _assign_evse(fleet: Fleet, cp: ChargePoint, transaction: Transaction, connector_id: str) -> None:
    """Move a transaction without an EVSE to the one that the message names, if any."""
    if transaction.connector_id != NO_EVSE or connector_id == NO_EVSE:
        return
    before, connector = cp.connector(NO_EVSE), cp.connector(connector_id)
    if before.transaction is transaction:
        before.transaction, before.had_transaction = None, False
        before.current_a = before.power_w = before.offered_a = before.soc_percent = None
        fleet.changed(cp, before)
    transaction.connector_id, connector.had_transaction = connector.connector_id, True
    if transaction.open:
        connector.transaction = transaction
    fleet.changed(cp, connector)


def _keep(
    fleet: Fleet,
    cp: ChargePoint,
    transaction: Transaction,
    reading: ev.Reading,
    received_ts: float,
    ref: ev.EventRef,
    *,
    is_late: bool,
) -> float | None:
    """Measure the reading, and add it to what the store writes. Return the charger's time; None if not credible."""
    measured_ts = credible(reading.charger_ts, received_ts)
    energy_wh: float | None = transaction.meter.energy_wh
    if not is_late:
        energy_wh = measure(fleet, cp, transaction, reading, measured_ts)
    elif reading.register_wh is not None and not transaction.meter.start_known:
        _set_start(fleet, cp, transaction, reading.register_wh, measured_ts, is_start=reading.begins)
    if fleet.keeps_readings:
        place, is_history = (cp.cp_id, transaction.connector_id), is_late or reading.begins
        row = reading_row(place, transaction, reading, received_ts, energy_wh, is_history=is_history, seq_no=ref.seq_no)
        fleet.changes.readings.append(row)
    return measured_ts


def _add_phase(fleet: Fleet, transaction: Transaction, e: ev.TransactionEventReceived, *, is_late: bool) -> None:
    """Add the phase that a charging state begins. Idle as the first state ends nothing: no vehicle is there yet."""
    phase = status_words.PHASES.get(status_words.CHARGING_STATES.get(e.charging_state, ""))
    if phase is None or (e.charging_state == "Idle" and not transaction.charging_state):
        return
    at_ts = when(e.ref.charger_ts, e.received_ts)
    if is_late:
        at_ts = credible(e.ref.charger_ts, e.received_ts) or at_ts
    fleet.add_timeline_entry(transaction, at_ts, phase, {}, phase=True)


def _refine_status(fleet: Fleet, cp: ChargePoint, transaction: Transaction, e: ev.TransactionEventReceived) -> None:
    """Set the EVSE's status that follows from the charging state, if the transaction is the EVSE's current one."""
    connector = cp.connector(transaction.connector_id)
    fleet.changes.transactions[transaction.number] = transaction
    if connector.transaction is not transaction:
        return
    status = evses.status_for_state(connector, e.charging_state, is_past=_is_replay(e.ref, e.received_ts))
    if status is not None:
        cp.status = status
        connector.change_status(status, when(e.ref.charger_ts, e.received_ts))
        fleet.changed(cp, connector)


def _is_replay(ref: ev.EventRef, received_ts: float) -> bool:
    """Return whether the message was stored while there was no connection, and is old."""
    return ref.offline and ref.charger_ts is not None and ref.charger_ts < received_ts - REPLAY_S
