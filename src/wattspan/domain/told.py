"""Transactions as OCPP 2.x tells them: the charger gives the id and numbers its messages, and they come in any order.

Whatever comes first makes the transaction known; what comes late completes it, counted once by (transaction, seqNo).
"""

from wattspan.domain import events as ev
from wattspan.domain import evses
from wattspan.domain import status as status_words
from wattspan.domain.energy import EnergyMeter
from wattspan.domain.fleet import ORPHANED, TOLD, Fleet
from wattspan.domain.model import REPLAY_S, ChargePoint, ReadingRow, Transaction, credible, when
from wattspan.domain.transactions import begin, close, first_phase, is_past, measure, settle, show

NOWHERE = "0"
"""The connector of a transaction whose charger named no EVSE yet."""

_About = ev.TransactionStarted | ev.MeterValuesReceived | ev.ChargingStateChanged | ev.TransactionDetailed


def key_of(transaction_id: str) -> str:
    """What identifies a transaction whose id is the charger's own."""
    return TOLD + transaction_id


def started(fleet: Fleet, e: ev.TransactionStarted) -> None:
    """Started (E02): it begins, or what came before it learns how it began."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    known = _find(fleet, cp, e.transaction_id)
    transaction = known or _begin(fleet, cp, e, e.transaction_id, e.connector_id, e.started_ts)
    if not _is_news(transaction, e.told):
        return
    _identify(transaction, e.id_token, e.id_token_type)
    if transaction.reservation_id is None:
        transaction.reservation_id = e.reservation_id
    _place(fleet, cp, transaction, e.connector_id)
    if known is not None and e.started_ts is not None:
        transaction.started_ts = e.started_ts
    if e.meter_start_wh is not None:
        booked_wh = transaction.meter.energy_wh
        transaction.meter.begin_at(e.meter_start_wh)
        if not transaction.open:
            cp.energy_total_wh += transaction.meter.energy_wh - booked_wh
    fleet.changes.transactions[transaction.number] = transaction
    fleet.changes.charge_points[cp.cp_id] = cp


def meter_values(fleet: Fleet, e: ev.MeterValuesReceived) -> None:
    """The meterValue of a TransactionEvent: measured in order; what is late goes to the store alone."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    transaction = cp.transactions.get(e.transaction_id) or _known(fleet, cp, e)  # type: ignore[arg-type]
    told: ev.Telling = e.told  # type: ignore[assignment]
    if transaction.telling is not told and not _is_news(transaction, told):
        return
    seq_no = told.seq_no
    if transaction.connector_id == NOWHERE:
        _place(fleet, cp, transaction, e.connector_id)
    connector = cp.connector(transaction.connector_id)
    is_late = not transaction.open or (seq_no is not None and seq_no < transaction.seq_nos.highest)
    if seq_no is None:
        if connector.last_meter_values.are(e.readings):
            return
        connector.last_meter_values.become(e.readings)
    received_ts = e.received_ts
    for reading in e.readings:
        told_ts = _keep(fleet, cp, transaction, reading, e, is_late=is_late)
        if not (
            is_late
            or reading.begins
            or (told.offline and _was_long_ago(reading.charger_ts, received_ts))
            or is_past(connector.reading_ts, told_ts, received_ts)
        ):
            show(connector, reading, told_ts)
    if not transaction.open:
        fleet.changes.transactions[transaction.number] = transaction
    fleet.changes.stale_connectors[(cp.cp_id, connector.connector_id)] = connector


def charging_state(fleet: Fleet, e: ev.ChargingStateChanged) -> None:
    """The chargingState: a phase of the session, and what Occupied means."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    transaction = cp.transactions.get(e.transaction_id) or _known(fleet, cp, e)
    if (transaction.telling is not e.told and not _is_news(transaction, e.told)) or not transaction.open:
        return
    seq_no = e.told.seq_no
    is_late = seq_no is not None and seq_no < transaction.seq_nos.highest
    if is_late or transaction.charging_state != e.state:
        _change_state(fleet, cp, transaction, e, is_late=is_late)


def detailed(fleet: Fleet, e: ev.TransactionDetailed) -> None:
    """What else it told; what is known already stays."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    transaction = _known(fleet, cp, e)
    if not _is_news(transaction, e.told):
        return
    _identify(transaction, e.id_token, e.id_token_type)
    for name in ("reservation_id", "remote_start_id", "phases_used", "cable_max_a"):
        if getattr(transaction, name) is None:
            setattr(transaction, name, getattr(e, name))
    _place(fleet, cp, transaction, e.connector_id)
    fleet.changes.transactions[transaction.number] = transaction


def stopped(fleet: Fleet, e: ev.TransactionStopped) -> None:
    """Ended (E06): of an open transaction, of one we closed ourselves, or the first and last word of one."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    transaction = _find(fleet, cp, e.transaction_id)
    if transaction is None:
        first_ts = min((r.charger_ts for r in e.readings if r.charger_ts is not None), default=e.stopped_ts)
        transaction = _begin(fleet, cp, e, e.transaction_id, e.connector_id, first_ts)
    if not _is_news(transaction, e.told):
        return
    _place(fleet, cp, transaction, e.connector_id)
    fleet.changes.transactions[transaction.number] = transaction
    if not transaction.open and transaction.reason != ORPHANED:
        return
    booked_wh = transaction.meter.energy_wh
    for reading in e.readings:
        _keep(fleet, cp, transaction, reading, e, is_late=False)
    if not transaction.open:
        settle(fleet, cp, transaction, e, booked_wh)
        return
    connector = cp.connector(transaction.connector_id)
    if connector.transaction is transaction and (status := evses.ended(connector)) is not None:
        cp.status = connector.status = status
    close(fleet, cp, transaction, e)


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
            e.told.seq_no,  # type: ignore[union-attr]
        )
    )
    return told_ts


def _find(fleet: Fleet, cp: ChargePoint, transaction_id: str) -> Transaction | None:
    return cp.transactions.get(transaction_id) or fleet.recalled(cp.cp_id, key_of(transaction_id))


def _known(fleet: Fleet, cp: ChargePoint, e: _About) -> Transaction:
    """The transaction a message is about, begun by it when nobody heard of it."""
    transaction_id = e.transaction_id or ""
    charger_ts = e.readings[0].charger_ts if isinstance(e, ev.MeterValuesReceived) else _at_ts(e)
    return _find(fleet, cp, transaction_id) or _begin(fleet, cp, e, transaction_id, e.connector_id, charger_ts)


def _at_ts(e: ev.TransactionStarted | ev.ChargingStateChanged | ev.TransactionDetailed) -> float | None:
    return e.started_ts if isinstance(e, ev.TransactionStarted) else e.charger_ts


def _begin(
    fleet: Fleet, cp: ChargePoint, e: ev.Event, transaction_id: str, connector_id: str, started_ts: float | None
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
        started_received_ts=e.received_ts,
    )
    fleet.tell(transaction, transaction.began_ts, first_phase(connector), {}, phase=True)
    newer = connector.transaction
    begin(fleet, cp, connector, transaction)
    if newer is not None and newer.began_ts > transaction.began_ts:
        connector.transaction = newer  # the past is being told; the EVSE is already about something else
    return transaction


def _is_news(transaction: Transaction, told: ev.Telling | None) -> bool:
    """Whether the message is met for the first time; every event of it is, then."""
    if transaction.telling is told:
        return True
    if told is not None and told.seq_no is not None and not transaction.seq_nos.add(told.seq_no):
        return False
    transaction.telling = told
    return True


def _identify(transaction: Transaction, id_token: str, id_token_type: str) -> None:
    """The first token is the transaction's; a later one is of who stopped it or of who took it over."""
    if id_token and not transaction.id_token:
        transaction.id_token, transaction.id_token_type = id_token, id_token_type


def _place(fleet: Fleet, cp: ChargePoint, transaction: Transaction, connector_id: str) -> None:
    """An EVSE was named at last: the transaction goes there."""
    if transaction.connector_id != NOWHERE or connector_id == NOWHERE:
        return
    before, connector = cp.connector(NOWHERE), cp.connector(connector_id)
    if before.transaction is transaction:
        before.transaction, before.had_transaction = None, False
        before.current_a = before.power_w = before.offered_a = before.soc_percent = None
        fleet.changed(cp, before)
    transaction.connector_id = connector.connector_id
    if transaction.open:
        connector.transaction = transaction
    connector.had_transaction = True
    fleet.changed(cp, connector)


def _change_state(
    fleet: Fleet, cp: ChargePoint, transaction: Transaction, e: ev.ChargingStateChanged, *, is_late: bool
) -> None:
    at_ts = when(e.charger_ts, e.received_ts)
    if is_late:
        at_ts = credible(e.charger_ts, e.received_ts) or at_ts
    phase = status_words.PHASES.get(status_words.CHARGING_STATES.get(e.state, ""))
    if phase is not None and not (e.state == "Idle" and not transaction.charging_state):
        fleet.tell(transaction, at_ts, phase, {}, phase=True)
    if is_late:
        return
    transaction.charging_state = e.state
    _place(fleet, cp, transaction, e.connector_id)
    connector = cp.connector(transaction.connector_id)
    if connector.transaction is not transaction:
        return
    is_replay = e.told.offline and _was_long_ago(e.charger_ts, e.received_ts)
    status = evses.state_told(connector, e.state, is_past=is_replay)
    if status is not None:
        cp.status = connector.status = status
    fleet.changed(cp, connector)


def _was_long_ago(charger_ts: float | None, received_ts: float) -> bool:
    return charger_ts is not None and charger_ts < received_ts - REPLAY_S
