"""Transactions of OCPP 1.6: starts, meter values and stops, also late, repeated, or without a start.

MeterValues outside a TransactionEvent (2.x), and stops that we record ourselves, are applied here in every version.
"""

from wattspan.domain import events as ev
from wattspan.domain.energy import EnergyMeter
from wattspan.domain.fleet import ORPHANED, PLACEHOLDER_IDS, Fleet, issued_id
from wattspan.domain.model import (
    MAX_UNNAMED,
    REPLAY_S,
    ChargePoint,
    Connector,
    Transaction,
    credible,
    distinguishes,
)
from wattspan.domain.transactions.common import (
    ELSEWHERE,
    OWN,
    begin,
    can_reopen,
    close,
    measure,
    prefer_outlet,
    rank_of,
    reading_row,
    reopen,
    settle,
    show,
    stop_key,
)


def started(fleet: Fleet, e: ev.TransactionStarted) -> None:
    """Apply a start, unless it is a repeat (see `Fleet.repeated_start`)."""
    known = fleet.find_start(e.cp_id, e.key)
    if known is not None:
        if known.transaction_id == e.transaction_id or fleet.repeated_start(
            e.cp_id, e.key, e.started_ts, e.received_ts
        ):
            return
        fleet.release_key(known)
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    connector = cp.connector(e.connector_id)
    fleet.last_transaction_id = max(fleet.last_transaction_id, issued_id(e.transaction_id) or 0)
    transaction = Transaction(
        number=fleet.next_number(),
        cp_id=cp.cp_id,
        connector_id=connector.connector_id,
        transaction_id=e.transaction_id,
        key=e.key,
        id_token=e.id_token,
        meter=EnergyMeter(e.meter_start_wh, start_ts=credible(e.started_ts, e.received_ts)),
        started_ts=e.started_ts,
        started_received_ts=e.received_ts,
        reservation_id=e.reservation_id,
    )
    connector.last_meter_values.clear()
    begin(fleet, cp, connector, transaction)


def meter_values(fleet: Fleet, e: ev.MeterValuesReceived) -> None:
    """Apply readings to their connector, and to the transaction they belong to, if any."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    transaction = named = fleet.session_of(cp.cp_id, e.connector_id, e.transaction_id) or _still_running(fleet, cp, e)
    rank = OWN
    if transaction is not None:
        rank = rank_of(transaction, e.connector_id, e.transaction_id)
        if rank == ELSEWHERE < transaction.meter.rank:
            transaction = None  # the session has a meter of its own, so this is the main meter
    connector = cp.connector(e.connector_id if transaction is None else transaction.connector_id)
    effect = fleet.effect
    digest = "" if effect is None else effect.digest
    if connector.last_meter_values.equals(e.readings, digest):
        return
    connector.last_meter_values.replace(e.readings, digest)
    if named is not None and not named.open:
        reopen(fleet, cp, named, e.received_ts)
    is_late = transaction is None and e.transaction_id is not None and fleet.has_issued(cp.cp_id, e.transaction_id)
    if effect is None or not effect.take_over(fleet.changes, cp, connector, transaction, rank, is_late):
        for sent in e.readings:
            reading = prefer_outlet(connector, sent)
            measured_ts = _keep(fleet, cp, connector, transaction, reading, e.received_ts, None if is_late else rank)
            if not (is_late or reading.begins or connector.clock_skew.is_past(measured_ts, e.received_ts)):
                show(connector, reading, measured_ts)
        if effect is not None:
            effect.record(fleet.changes, cp, connector, transaction)
    fleet.changes.stale_connectors[(cp.cp_id, connector.connector_id)] = connector


def _still_running(fleet: Fleet, cp: ChargePoint, e: ev.MeterValuesReceived) -> Transaction | None:
    """Return the transaction that readings name, if we closed it and they show that it goes on; otherwise None."""
    closed = None if e.transaction_id is None else fleet.recalled(cp.cp_id, e.transaction_id)
    return closed if closed is not None and can_reopen(cp, closed) else None


def stopped(fleet: Fleet, e: ev.TransactionStopped) -> None:
    """Apply the stop of a transaction that is open, closed already, closed by us, or unknown."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    known = fleet.recalled(cp.cp_id, stop_key(e))
    is_repeat = known is not None and _is_repeat(cp, known, e)
    transaction = cp.transactions.get(e.transaction_id) or (None if is_repeat else _only_open(cp, e))
    if transaction is not None:
        _keep_all(fleet, cp, transaction, e)
        close(fleet, cp, transaction, e)
        if e.transaction_id in PLACEHOLDER_IDS:
            cp.unnamed_stops = [*cp.unnamed_stops[1 - MAX_UNNAMED :], transaction.number]
        return
    if known is None:
        known = fleet.recalled(cp.cp_id, e.transaction_id)
    if e.reason == ORPHANED:
        return
    if known is None:
        _add_unmatched(fleet, cp, e)
    elif known.reason == ORPHANED:
        # The late stop of a transaction that we had closed: only the difference is added.
        reopen(fleet, cp, known, e.received_ts)
        _keep_all(fleet, cp, known, e)
        close(fleet, cp, known, e)


def _is_repeat(cp: ChargePoint, known: Transaction, e: ev.TransactionStopped) -> bool:
    """Return whether the stop, equal to the one of `known`, repeats it: by its timestamp, or on the same connection."""
    return (
        (distinguishes(e.stopped_ts, e.received_ts) and not known.clock_stood_still)
        or known.transaction_id == e.transaction_id
        or known.number in cp.unnamed_stops
    )


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
    transaction = Transaction(
        number=fleet.next_number(),
        cp_id=cp.cp_id,
        connector_id="0",
        transaction_id=e.transaction_id,
        key=stop_key(e),
        id_token=e.id_token or "",
        meter=EnergyMeter(None),
        started_ts=e.readings[0].charger_ts if e.readings else e.stopped_ts,
        started_received_ts=e.received_ts,
    )
    effect, connector = fleet.effect, cp.connectors.get("0")
    if effect is None or not effect.take_over(fleet.changes, cp, connector, transaction):
        for reading in e.readings:
            energy_wh = measure(fleet, cp, transaction, reading, credible(reading.charger_ts, e.received_ts))
            if fleet.keeps_readings:
                place = (cp.cp_id, "0")
                row = reading_row(place, transaction, reading, e.received_ts, energy_wh, is_history=reading.begins)
                fleet.changes.readings.append(row)
        if effect is not None:
            effect.record(fleet.changes, cp, connector, transaction)
    settle(fleet, cp, transaction, e)
    fleet.recall(transaction)
    for listener in fleet.on_stopped:
        listener(transaction)


def _keep_all(fleet: Fleet, cp: ChargePoint, transaction: Transaction, e: ev.TransactionStopped) -> None:
    """Measure and store the readings that came with a stop."""
    effect, connector = fleet.effect, cp.connector(transaction.connector_id)
    if effect is None or not effect.take_over(fleet.changes, cp, connector, transaction):
        for reading in e.readings:
            _keep(fleet, cp, connector, transaction, reading, e.received_ts, OWN)
        if effect is not None:
            effect.record(fleet.changes, cp, connector, transaction)


def _keep(
    fleet: Fleet,
    cp: ChargePoint,
    connector: Connector,
    transaction: Transaction | None,
    reading: ev.Reading,
    received_ts: float,
    rank: int | None,
) -> float | None:
    """Measure the reading, and add it to what the store writes. Return the charger's time; None if not credible.

    `rank` None: the reading is about a transaction that is over.
    """
    measured_ts = credible(reading.charger_ts, received_ts)
    energy_wh = None
    if transaction is not None:
        energy_wh = measure(fleet, cp, transaction, reading, measured_ts, OWN if rank is None else rank)
    if fleet.keeps_readings:
        place, is_history = (cp.cp_id, connector.connector_id), rank is None or reading.begins
        row = reading_row(place, transaction, reading, received_ts, energy_wh, is_history=is_history)
        fleet.changes.readings.append(row)
    return measured_ts
