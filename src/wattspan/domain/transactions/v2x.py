"""Transactions as OCPP 2.x tells them: the charger gives the id and numbers its messages, and they come in any order.

Whatever comes first makes the transaction known; what comes late completes it. A message counts once, by its seqNo.
"""

from wattspan.domain import events as ev
from wattspan.domain import evses
from wattspan.domain import status as status_words
from wattspan.domain.clock_skew import is_older
from wattspan.domain.energy import EnergyMeter
from wattspan.domain.fleet import ORPHANED, TOLD, Fleet
from wattspan.domain.model import REPLAY_S, ChargePoint, ReadingRow, Transaction, credible, when
from wattspan.domain.transactions.common import begin, close, first_phase, measure, settle, show

NOWHERE = "0"
"""The connector of a transaction whose charger named no EVSE yet."""

MAX_MISSED = 1_000
"""Counted a transaction."""
_DETAILS = ("reservation_id", "remote_start_id", "phases_used", "cable_max_a")


def key_of(transaction_id: str) -> str:
    """What identifies a transaction whose id is the charger's own."""
    return TOLD + transaction_id


def started(fleet: Fleet, e: ev.TransactionStarted) -> None:
    """Started (E02): it begins, or what came before it learns how it began."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    transaction = _known(fleet, cp, e, e.started_ts)
    if not _is_news(transaction, e.ref):
        return
    _identify(transaction, e.id_token, e.id_token_type)
    if transaction.reservation_id is None:
        transaction.reservation_id = e.reservation_id
    if e.started_ts is not None:
        transaction.started_ts = e.started_ts
    _place(fleet, cp, transaction, e.connector_id)
    if e.meter_start_wh is not None:
        _learn_start(fleet, cp, transaction, e.meter_start_wh, told=True)
    fleet.changes.transactions[transaction.number] = transaction


def meter_values(fleet: Fleet, e: ev.MeterValuesReceived) -> None:
    """The meterValue of a TransactionEvent. What is late, or about a closed transaction, goes to the store alone."""
    cp, ref, received_ts = fleet.charge_point(e.cp_id, e.received_ts), e.ref, e.received_ts
    transaction = cp.transactions.get(e.transaction_id or "") or _known(fleet, cp, e, e.readings[0].charger_ts)
    if not _is_news(transaction, ref):
        return
    if transaction.connector_id == NOWHERE:
        _place(fleet, cp, transaction, e.connector_id)
    place = (cp.cp_id, transaction.connector_id)
    connector = cp.connector(transaction.connector_id)
    if ref.seq_no is None:  # type: ignore[union-attr]
        if connector.last_meter_values.are(e.readings):
            return
        connector.last_meter_values.become(e.readings)
    is_late = transaction.telling_late or transaction.stopped_received_ts is not None
    is_replay = is_late or _is_replay(ref, received_ts)
    for reading in e.readings:
        told_ts = _keep(fleet, cp, transaction, reading, e, is_late=is_late)
        if not (is_replay or reading.begins or is_older(connector.reading_ts, told_ts, received_ts)):
            show(connector, reading, told_ts)
    if is_replay:
        # Written with the readings: after a crash none of them must move the figures of now.
        fleet.changes.connectors[place] = connector
        fleet.changes.transactions[transaction.number] = transaction
    fleet.changes.stale_connectors[place] = connector


def charging_state(fleet: Fleet, e: ev.ChargingStateChanged) -> None:
    """The chargingState: a phase of the session, and what Occupied means."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    transaction = cp.transactions.get(e.transaction_id) or _known(fleet, cp, e, e.ref.charger_ts)
    tells_more = transaction.telling is e.ref
    if not _is_news(transaction, e.ref) or not transaction.open:
        return
    if not tells_more:  # no reading goes to the store with the message's number, which must not look skipped later
        fleet.changes.transactions[transaction.number] = transaction
    if transaction.connector_id == NOWHERE:
        _place(fleet, cp, transaction, e.connector_id)
    if transaction.telling_late:
        _tell_phase(fleet, transaction, e)
    elif transaction.charging_state != e.state:
        _tell_phase(fleet, transaction, e)
        transaction.charging_state = e.state
        _refine_status(fleet, cp, transaction, e)


def detailed(fleet: Fleet, e: ev.TransactionDetailed) -> None:
    """What else it told; what is known already stays."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    transaction = _known(fleet, cp, e, e.ref.charger_ts)
    if not _is_news(transaction, e.ref):
        return
    _identify(transaction, e.id_token, e.id_token_type)
    for name in _DETAILS:
        if getattr(transaction, name) is None:
            setattr(transaction, name, getattr(e, name))
    _place(fleet, cp, transaction, e.connector_id)
    fleet.changes.transactions[transaction.number] = transaction


def stopped(fleet: Fleet, e: ev.TransactionStopped) -> None:
    """Ended (E06): of an open transaction, of one we closed ourselves, or the first and last word of one.

    An open transaction ends whatever the number of the message: there is nothing that could count twice.
    """
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    first_ts = min((r.charger_ts for r in e.readings if r.charger_ts is not None), default=e.stopped_ts)
    transaction = _known(fleet, cp, e, first_ts)
    is_news = _is_news(transaction, e.ref)
    if not transaction.open and (transaction.reason != ORPHANED or not is_news):
        return
    _place(fleet, cp, transaction, e.connector_id)
    booked_wh = transaction.meter.energy_wh
    for reading in e.readings:
        _keep(fleet, cp, transaction, reading, e, is_late=False)
    if not transaction.open:
        settle(fleet, cp, transaction, e, booked_wh)
        return
    connector = cp.connector(transaction.connector_id)
    if connector.transaction is transaction:
        status = evses.ended(connector, is_past=_is_replay(e.ref, e.received_ts))
        if status is not None:
            cp.status = connector.status = status
            connector.status_ts = when(e.stopped_ts, e.received_ts)
    _miss(fleet, cp, transaction, e.received_ts)
    close(fleet, cp, transaction, e)


def _miss(fleet: Fleet, cp: ChargePoint, transaction: Transaction, at_ts: float) -> None:
    """Numbers that were skipped: what those messages told is lost, unless they still come. Bounded: some draw them."""
    missing = min(transaction.seq_nos.missing, MAX_MISSED)
    if missing:
        cp.missed["TransactionEvent"] = cp.missed.get("TransactionEvent", 0) + missing
        fleet.tell(transaction, at_ts, "messages missing", {"ocpp.messages_missing": missing})


def _known(
    fleet: Fleet,
    cp: ChargePoint,
    e: ev.TransactionStarted
    | ev.MeterValuesReceived
    | ev.ChargingStateChanged
    | ev.TransactionDetailed
    | ev.TransactionStopped,
    began_ts: float | None,
) -> Transaction:
    """The transaction a message is about, open or closed; begun by it when nobody heard of it."""
    transaction_id = e.transaction_id or ""
    known = cp.transactions.get(transaction_id) or fleet.recalled(cp.cp_id, key_of(transaction_id))
    return known or _begin(fleet, cp, transaction_id, e.connector_id, began_ts, e.received_ts)


def _begin(
    fleet: Fleet,
    cp: ChargePoint,
    transaction_id: str,
    connector_id: str,
    started_ts: float | None,
    received_ts: float,
) -> Transaction:
    connector = cp.connector(connector_id)
    fleet.last_number += 1
    transaction = Transaction(
        number=fleet.last_number,
        cp_id=cp.cp_id,
        connector_id=connector.connector_id,
        transaction_id=transaction_id,
        key=key_of(transaction_id),
        id_token="",
        meter=EnergyMeter(None),
        started_ts=started_ts,
        started_received_ts=received_ts,
    )
    fleet.tell(transaction, transaction.began_ts, first_phase(connector), {}, phase=True)
    other = connector.transaction
    begin(fleet, cp, connector, transaction)
    if other is not None and other.open and other.began_ts > transaction.began_ts:
        connector.transaction = other  # the past is being told; the EVSE is busy with something newer
    return transaction


def _is_news(transaction: Transaction, ref: ev.EventRef | None) -> bool:
    """Whether the message was not met before; all its events are news, then.

    A number met before is a repeat, unless its time is later than all told so far: then the charger has begun to
    count anew (after a boot), or does not count at all, and to drop it would lose a fact.
    """
    if transaction.telling is ref or ref is None:
        return True
    newest_ts, seq_no, at_ts = transaction.told_ts, ref.seq_no, ref.charger_ts
    is_later = at_ts is not None and (newest_ts is None or at_ts > newest_ts)
    if seq_no is not None:
        highest = transaction.seq_nos.highest
        is_known = not transaction.seq_nos.add(seq_no)
        if is_known and (newest_ts is None or not is_later):
            return False
        transaction.telling_late = seq_no < highest and not is_later
    else:
        transaction.telling_late = newest_ts is not None and not is_later and at_ts is not None and at_ts < newest_ts
    if is_later:
        transaction.told_ts = at_ts
    transaction.telling = ref
    return True


def _identify(transaction: Transaction, id_token: str, id_token_type: str) -> None:
    """The first token is the transaction's; a later one is of who stopped it or took it over."""
    if id_token and not transaction.id_token:
        transaction.id_token, transaction.id_token_type = id_token, id_token_type


def _learn_start(fleet: Fleet, cp: ChargePoint, transaction: Transaction, start_wh: float, *, told: bool) -> None:
    """A register from before what was measured so far; what it adds to a closed transaction is booked now."""
    before_wh = transaction.meter.energy_wh
    transaction.meter.begin_at(start_wh, told=told)
    fleet.changes.transactions[transaction.number] = transaction
    if not transaction.open and transaction.meter.energy_wh != before_wh:
        cp.energy_total_wh += transaction.meter.energy_wh - before_wh
        fleet.changes.charge_points[cp.cp_id] = cp


def _place(fleet: Fleet, cp: ChargePoint, transaction: Transaction, connector_id: str) -> None:
    """An EVSE was named at last: the transaction goes there."""
    if transaction.connector_id != NOWHERE or connector_id == NOWHERE:
        return
    before, connector = cp.connector(NOWHERE), cp.connector(connector_id)
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
    e: ev.MeterValuesReceived | ev.TransactionStopped,
    *,
    is_late: bool,
) -> float | None:
    """Have the transaction measure the reading, and the store keep it. Returns the charger's time, if credible."""
    told_ts = credible(reading.charger_ts, e.received_ts)
    if not is_late:
        measure(fleet, cp, transaction, reading, told_ts)
    elif reading.register_wh is not None and not transaction.meter.start_told:
        _learn_start(fleet, cp, transaction, reading.register_wh, told=reading.begins)
    fleet.changes.readings.append(
        ReadingRow(
            cp.cp_id,
            transaction.connector_id,
            transaction.number,
            reading.charger_ts,
            e.received_ts,
            transaction.meter.energy_wh,
            reading.register_wh,
            reading.current_a,
            reading.power_w,
            reading.soc_percent,
            reading.samples,
            reading.offered_a,
            is_late or reading.begins,
            e.ref.seq_no,  # type: ignore[union-attr]
        )
    )
    return told_ts


def _tell_phase(fleet: Fleet, transaction: Transaction, e: ev.ChargingStateChanged) -> None:
    """Idle before anything else is no end yet: no vehicle is there."""
    phase = status_words.PHASES.get(status_words.CHARGING_STATES.get(e.state, ""))
    if phase is None or (e.state == "Idle" and not transaction.charging_state):
        return
    at_ts = when(e.ref.charger_ts, e.received_ts)
    if transaction.telling_late:
        at_ts = credible(e.ref.charger_ts, e.received_ts) or at_ts
    fleet.tell(transaction, at_ts, phase, {}, phase=True)


def _refine_status(fleet: Fleet, cp: ChargePoint, transaction: Transaction, e: ev.ChargingStateChanged) -> None:
    connector = cp.connector(transaction.connector_id)
    fleet.changes.transactions[transaction.number] = transaction
    if connector.transaction is not transaction:
        return
    status = evses.state_told(connector, e.state, is_past=_is_replay(e.ref, e.received_ts))
    if status is not None:
        cp.status = connector.status = status
        connector.status_ts = when(e.ref.charger_ts, e.received_ts)
        fleet.changed(cp, connector)


def _is_replay(ref: ev.EventRef | None, received_ts: float) -> bool:
    """Stored while there was no connection, and long past."""
    if ref is None or not ref.offline:
        return False
    return ref.charger_ts is not None and ref.charger_ts < received_ts - REPLAY_S
