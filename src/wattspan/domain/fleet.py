"""The fleet's state, changed by events and by nothing else. Pure: same events, same state; no clock, no I/O.

A message's events are applied as it arrives; what they changed is collected in `changes` for the store.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from wattspan.domain import events as ev
from wattspan.domain import status as status_words
from wattspan.domain.changes import Changes
from wattspan.domain.energy import EnergyMeter
from wattspan.domain.model import (
    REPLAY_S,
    ChargePoint,
    Connector,
    Moment,
    ReadingRow,
    Transaction,
    credible,
    when,
)

RECALLED_LIMIT = 10_000
"""Closed transactions kept in memory, so that a repeated stop or start is recognised without asking the store."""

ORPHANED = "Orphaned"
"""The reason of a transaction that we closed without the charger's word."""

NEVER_LEARNT = frozenset({"0", "-1"})
"""Transaction ids of chargers that never learnt one, for it began offline: they name no transaction."""
UNMATCHED = "stop "
"""How the key of a transaction begins that is known by its stop alone. Its id says nothing: offline ones share it."""
_LONGEST_OWN_ID = 18


class Fleet:
    """All known charge points and what they are doing."""

    def __init__(self) -> None:
        self.charge_points: dict[str, ChargePoint] = {}
        self.changes = Changes()
        self.last_number = 0
        """The highest transaction number given out; ours, unique in the store."""
        self.last_transaction_id = 0
        """The highest OCPP 1.6 transactionId given out by us. One at or below it, and not open, is closed."""
        self.on_stopped: list[Callable[[Transaction], None]] = []
        """Called with each transaction that has just been closed, once."""
        self._recalled: OrderedDict[tuple[str, str], Transaction] = OrderedDict()

    def apply(self, event: ev.Event) -> None:
        """Let `event` change the state. An event that tells nothing new (a repeat) changes nothing."""
        _APPLY[type(event)](self, event)

    def charge_point(self, cp_id: str, now_ts: float) -> ChargePoint:
        """The charge point of that id, known from `now_ts` on when new."""
        found = self.charge_points.get(cp_id)
        if found is None:
            found = self.charge_points[cp_id] = ChargePoint(cp_id=cp_id, known_since_ts=now_ts)
            self.changes.charge_points[cp_id] = found
        return found

    def seen(self, cp: ChargePoint, now_ts: float) -> None:
        """A message came: its last message is now. One that was decommissioned meanwhile stays gone."""
        cp.last_msg_ts = now_ts
        if self.charge_points.get(cp.cp_id) is cp:
            self.changes.stale_charge_points[cp.cp_id] = cp

    def find_start(self, cp_id: str, key: str) -> Transaction | None:
        """The transaction that was started under `key`, among those in memory."""
        cp = self.charge_points.get(cp_id)
        if cp is not None:
            for transaction in cp.transactions.values():
                if transaction.key == key:
                    return transaction
        return self._recalled.get((cp_id, key))

    def knows_transaction(self, cp_id: str, transaction_id: str) -> bool:
        """Whether a stop of it can be applied without asking the store."""
        cp = self.charge_points.get(cp_id)
        return (cp is not None and transaction_id in cp.transactions) or (cp_id, transaction_id) in self._recalled

    def recall(self, transaction: Transaction) -> None:
        """Remember a closed transaction read from the store, so that a repeat of its start or stop is recognised."""
        if not transaction.key.startswith(UNMATCHED):
            self._remember(transaction, transaction.transaction_id)
        self._remember(transaction, transaction.key)

    def _remember(self, transaction: Transaction, name: str) -> None:
        self._recalled[(transaction.cp_id, name)] = transaction
        while len(self._recalled) > 2 * RECALLED_LIMIT:
            self._recalled.popitem(last=False)

    def session_of(self, cp_id: str, connector_id: str | None, transaction_id: str | None) -> Transaction | None:
        """The open transaction a message belongs to, by its id or else its connector; None when there is none."""
        cp = self.charge_points.get(cp_id)
        if cp is None or not cp.transactions:
            return None
        if transaction_id is not None and transaction_id in cp.transactions:
            return cp.transactions[transaction_id]
        if transaction_id is not None and self._was_ours(transaction_id):
            return None
        if connector_id is not None and connector_id in cp.connectors:
            return cp.connectors[connector_id].transaction
        return None

    def _was_ours(self, transaction_id: str) -> bool:
        """Whether we gave that id out; if so and it is not open, it is closed."""
        number = _own_id(transaction_id)
        return number is not None and 0 < number <= self.last_transaction_id

    # connection

    def _connected(self, e: ev.ChargePointConnected) -> None:
        cp = self.charge_point(e.cp_id, e.received_ts)
        cp.connected, cp.protocol = True, e.protocol
        cp.outage_counted = bool(cp.transactions)
        self._came_back(cp, e.received_ts, "reconnected")
        self.seen(cp, e.received_ts)

    def _disconnected(self, e: ev.ChargePointDisconnected) -> None:
        cp = self.charge_points.get(e.cp_id)
        if cp is None:
            return  # decommissioned: that is why its connection closed
        if not e.replaced:
            cp.connected = False
        cp.disconnects += 1
        self.changes.charge_points[cp.cp_id] = cp
        for transaction in cp.transactions.values():
            self._tell(transaction, e.received_ts, "disconnected", {"ws.close_code": e.code})

    def _booted(self, e: ev.ChargePointBooted) -> None:
        cp = self.charge_point(e.cp_id, e.received_ts)
        cp.boots += 1
        cp.vendor, cp.model, cp.serial_number, cp.firmware = e.vendor, e.model, e.serial_number, e.firmware
        if cp.transactions and not cp.outage_counted:
            cp.outage_counted = True
            self._came_back(cp, e.received_ts, "rebooted")
        self.changes.charge_points[cp.cp_id] = cp

    def _came_back(self, cp: ChargePoint, at_ts: float, how: str) -> None:
        for transaction in cp.transactions.values():
            cp.reconnects_during_tx += 1
            self.changes.charge_points[cp.cp_id] = cp
            self._tell(transaction, at_ts, how, {})

    def _heartbeat(self, e: ev.HeartbeatReceived) -> None:
        cp = self.charge_point(e.cp_id, e.received_ts)
        cp.last_heartbeat_ts = e.received_ts
        self.changes.stale_charge_points[cp.cp_id] = cp

    # status

    def _status(self, e: ev.ConnectorStatusChanged) -> None:
        cp = self.charge_point(e.cp_id, e.received_ts)
        connector = cp.connector(e.connector_id)
        if e.status:
            cp.status = connector.status = e.status
        connector.error_code = e.error_code
        connector.status_ts = when(e.charger_ts, e.received_ts)
        self._changed(cp, connector)
        transaction = connector.transaction
        if transaction is not None and (phase := status_words.PHASES.get(e.status)) is not None:
            self._tell(transaction, connector.status_ts, phase, {}, phase=True)
        if e.error_code != status_words.NO_ERROR:
            code = status_words.bounded_error(e.error_code, cp.errors)
            cp.errors[code] = cp.errors.get(code, 0) + 1
            for concerned in [transaction] if transaction is not None else cp.transactions.values():
                self._tell(concerned, e.received_ts, "error", {"ocpp.error_code": e.error_code})

    def _authorized(self, e: ev.Authorized) -> None:
        cp = self.charge_point(e.cp_id, e.received_ts)
        cp.authorizations[e.status] = cp.authorizations.get(e.status, 0) + 1
        self.changes.stale_charge_points[cp.cp_id] = cp

    # transactions

    def _started(self, e: ev.TransactionStarted) -> None:
        if self.find_start(e.cp_id, e.key) is not None:
            return
        cp = self.charge_point(e.cp_id, e.received_ts)
        connector = cp.connector(e.connector_id)
        self.last_number += 1
        self.last_transaction_id = max(self.last_transaction_id, _own_id(e.transaction_id) or 0)
        transaction = Transaction(
            number=self.last_number,
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
        self._tell(transaction, transaction.began_ts, _first_phase(connector), {}, phase=True)
        cp.transactions[transaction.transaction_id] = transaction
        cp.tx_total += 1
        cp.outage_counted = False  # what comes back from now on was away during this transaction
        connector.transaction, connector.had_transaction = transaction, True
        connector.last_meter_values.forget()
        self._changed(cp, connector)

    def _meter_values(self, e: ev.MeterValuesReceived) -> None:
        cp = self.charge_point(e.cp_id, e.received_ts)
        transaction = self.session_of(cp.cp_id, e.connector_id, e.transaction_id)
        connector = cp.connector(e.connector_id if transaction is None else transaction.connector_id)
        if connector.last_meter_values.are(e.readings):
            return
        connector.last_meter_values.become(e.readings)
        is_late = transaction is None and e.transaction_id is not None and self._was_ours(e.transaction_id)
        for reading in e.readings:
            self._keep(cp, connector, transaction, reading, e.received_ts, is_late=is_late)
            told_ts = credible(reading.charger_ts, e.received_ts)
            if not (is_late or reading.begins or self._is_past(connector.reading_ts, told_ts, e.received_ts)):
                _show(connector, reading, told_ts)
        self.changes.stale_connectors[(cp.cp_id, connector.connector_id)] = connector

    def _keep(
        self,
        cp: ChargePoint,
        connector: Connector,
        transaction: Transaction | None,
        reading: ev.Reading,
        at_ts: float,
        *,
        is_late: bool = False,
    ) -> None:
        """Have the transaction measure the reading, and the store keep it."""
        energy_wh = None if transaction is None else self._measure(cp, transaction, reading, at_ts)
        number = None if transaction is None else transaction.number
        row = _row(cp.cp_id, connector.connector_id, number, reading, at_ts, energy_wh, is_late=is_late)
        self.changes.readings.append(row)

    def _measure(self, cp: ChargePoint, transaction: Transaction, reading: ev.Reading, at_ts: float) -> float:
        """The transaction's energy after `reading`; a reading that is older than one already met moves nothing."""
        if reading.register_wh is not None and not reading.begins:
            last_ts, told_ts = transaction.last_reading_ts, credible(reading.charger_ts, at_ts)
            if last_ts is None or told_ts is None or told_ts >= last_ts:
                transaction.last_reading_ts = told_ts if told_ts is not None else last_ts
                if transaction.meter.read(reading.register_wh):
                    cp.energy_jumps += 1
                    self.changes.charge_points[cp.cp_id] = cp
        return transaction.meter.energy_wh

    @staticmethod
    def _is_past(last_ts: float | None, told_ts: float | None, received_ts: float) -> bool:
        """A replayed reading, older than the one shown, must not move the figures of now."""
        is_older = last_ts is not None and told_ts is not None and told_ts < last_ts
        return is_older and told_ts is not None and told_ts < received_ts - REPLAY_S

    def _stopped(self, e: ev.TransactionStopped) -> None:
        cp = self.charge_point(e.cp_id, e.received_ts)
        known = self._recalled.get((cp.cp_id, stop_key(e)))
        transaction = cp.transactions.get(e.transaction_id) or (None if known is not None else self._only_open(cp, e))
        if transaction is not None:
            self._close(cp, transaction, e)
            return
        if known is None:
            known = self._recalled.get((cp.cp_id, e.transaction_id))
        if e.reason == ORPHANED:
            return
        if known is None:
            self._keep_unmatched(cp, e)
        elif known.reason == ORPHANED:
            self._correct(cp, known, e)

    @staticmethod
    def _only_open(cp: ChargePoint, e: ev.TransactionStopped) -> Transaction | None:
        """The only one open, when the charger never learnt its id and nothing speaks against it being meant."""
        if e.transaction_id not in NEVER_LEARNT or len(cp.transactions) != 1:
            return None
        (only,) = cp.transactions.values()
        told_ts = credible(e.stopped_ts, e.received_ts)
        is_later = told_ts is None or told_ts >= only.began_ts - REPLAY_S
        return only if is_later and e.id_token in (None, only.id_token) else None

    def _close(self, cp: ChargePoint, transaction: Transaction, e: ev.TransactionStopped) -> None:
        connector = cp.connector(transaction.connector_id)
        for reading in e.readings:
            self._keep(cp, connector, transaction, reading, e.received_ts)
        self._settle(cp, transaction, e)
        cp.transactions.pop(transaction.transaction_id, None)
        if connector.transaction is transaction:
            connector.transaction = None
            connector.current_a = connector.power_w = 0.0
            # OCPP 1.6 §3.13.1: a TxProfile ends with its transaction.
            connector.profiles = [
                profile for profile in connector.profiles if profile.get("chargingProfilePurpose") != "TxProfile"
            ]
        self.recall(transaction)
        if e.transaction_id in NEVER_LEARNT:
            self._remember(transaction, stop_key(e))
        self._changed(cp, connector)
        for told in self.on_stopped:
            told(transaction)

    def _settle(
        self, cp: ChargePoint, transaction: Transaction, e: ev.TransactionStopped, booked_wh: float = 0.0
    ) -> None:
        """Book the transaction's energy, and only what was not booked before (a stop that corrects an orphan)."""
        if e.meter_stop_wh is not None and transaction.meter.read(e.meter_stop_wh):
            cp.energy_jumps += 1
        transaction.stopped_ts, transaction.stopped_received_ts = e.stopped_ts, e.received_ts
        transaction.meter_stop_wh, transaction.reason = e.meter_stop_wh, e.reason
        cp.last_tx_ts = max(cp.last_tx_ts or 0.0, transaction.ended_ts or 0.0)
        cp.energy_total_wh += max(0.0, transaction.meter.energy_wh - booked_wh)
        self.changes.transactions[transaction.number] = transaction
        self.changes.charge_points[cp.cp_id] = cp

    def _correct(self, cp: ChargePoint, transaction: Transaction, e: ev.TransactionStopped) -> None:
        """The late word on a transaction that we had closed: only the difference is added."""
        booked_wh = transaction.meter.energy_wh
        for reading in e.readings:
            self._keep(cp, cp.connector(transaction.connector_id), transaction, reading, e.received_ts)
        self._settle(cp, transaction, e, booked_wh)

    def _keep_unmatched(self, cp: ChargePoint, e: ev.TransactionStopped) -> None:
        """A stop of a transaction nobody started: its energy is what its own readings tell, and it is kept."""
        registers = [reading.register_wh for reading in e.readings if reading.register_wh is not None]
        self.last_number += 1
        transaction = Transaction(
            number=self.last_number,
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
            self.changes.readings.append(_row(cp.cp_id, "0", transaction.number, reading, e.received_ts, energy_wh))
        self._settle(cp, transaction, e)
        self.recall(transaction)
        for told in self.on_stopped:
            told(transaction)

    # faults and commands

    def _protocol_fault(self, e: ev.ProtocolFaulted) -> None:
        cp = self.charge_point(e.cp_id, e.received_ts)
        cp.errors[e.code] = cp.errors.get(e.code, 0) + 1
        self.changes.stale_charge_points[cp.cp_id] = cp

    def _schema_fault(self, e: ev.SchemaFaulted) -> None:
        cp = self.charge_point(e.cp_id, e.received_ts)
        cp.schema_faults[e.action] = cp.schema_faults.get(e.action, 0) + 1
        self.changes.stale_charge_points[cp.cp_id] = cp

    def _command_answered(self, e: ev.CommandAnswered) -> None:
        cp = self.charge_point(e.cp_id, e.received_ts)
        if not e.accepted:
            key = (e.action, e.status)
            cp.call_rejections[key] = cp.call_rejections.get(key, 0) + 1
        self._tell_command(cp, e, {"ocpp.action": e.action, "ocpp.status": e.status})

    def _command_failed(self, e: ev.CommandFailed) -> None:
        cp = self.charge_point(e.cp_id, e.received_ts)
        key = (e.action, status_words.bounded_call_error(e.error_type))
        cp.call_errors[key] = cp.call_errors.get(key, 0) + 1
        self._tell_command(cp, e, {"ocpp.action": e.action, "error.type": e.error_type})

    def _tell_command(
        self, cp: ChargePoint, e: ev.CommandAnswered | ev.CommandFailed, attributes: dict[str, Any]
    ) -> None:
        self.changes.charge_points[cp.cp_id] = cp
        for transaction in cp.transactions.values():
            if e.connector_id in (None, "0", transaction.connector_id):
                self._tell(transaction, e.received_ts, "command", attributes)

    # smart charging

    def _profile_set(self, e: ev.ChargingProfileSet) -> None:
        cp = self.charge_point(e.cp_id, e.received_ts)
        connector = cp.connector(e.connector_id)
        for other in cp.connectors.values():
            kept = [old for old in other.profiles if not _replaces(e.profile, old, same_connector=other is connector)]
            if len(kept) != len(other.profiles):
                other.profiles = kept
                self._changed(cp, other)
        connector.profiles = [*connector.profiles, e.profile]
        self._changed(cp, connector)

    def _profiles_cleared(self, e: ev.ChargingProfilesCleared) -> None:
        cp = self.charge_point(e.cp_id, e.received_ts)
        for connector in list(cp.connectors.values()):
            if e.connector_id in (None, connector.connector_id):
                kept = [profile for profile in connector.profiles if not _matches(e, profile)]
                if len(kept) != len(connector.profiles):
                    connector.profiles = kept
                    self._changed(cp, connector)

    # the rest

    def _firmware(self, e: ev.FirmwareStatusChanged) -> None:
        cp = self.charge_point(e.cp_id, e.received_ts)
        cp.firmware_status = e.status
        self.changes.charge_points[cp.cp_id] = cp

    def _log(self, e: ev.LogStatusChanged) -> None:
        cp = self.charge_point(e.cp_id, e.received_ts)
        cp.log_status = e.status
        self.changes.charge_points[cp.cp_id] = cp

    def _note(self, e: Any) -> None:
        self.charge_point(e.cp_id, e.received_ts)
        self.changes.notes.append(e)

    def _decommissioned(self, e: ev.ChargePointDecommissioned) -> None:
        if self.charge_points.pop(e.cp_id, None) is not None:
            for pending in (self.changes.charge_points, self.changes.stale_charge_points):
                pending.pop(e.cp_id, None)
            for connectors in (self.changes.connectors, self.changes.stale_connectors):
                for place in [place for place in connectors if place[0] == e.cp_id]:
                    del connectors[place]
            self.changes.decommissioned.append(e.cp_id)

    # helpers

    def _changed(self, cp: ChargePoint, connector: Connector) -> None:
        self.changes.charge_points[cp.cp_id] = cp
        self.changes.connectors[(cp.cp_id, connector.connector_id)] = connector
        if connector.transaction is not None:
            self.changes.transactions[connector.transaction.number] = connector.transaction

    def _tell(
        self, transaction: Transaction, ts: float, name: str, attributes: dict[str, Any], *, phase: bool = False
    ) -> None:
        transaction.tell(Moment(max(ts, transaction.began_ts), name, attributes, phase))
        self.changes.transactions[transaction.number] = transaction


def stop_key(e: ev.TransactionStopped) -> str:
    """What makes a stop of an unknown transaction the same stop when it is repeated."""
    return f"{UNMATCHED}{e.transaction_id} {e.stopped_ts} {e.meter_stop_wh}"


def _own_id(transaction_id: str) -> int | None:
    """An id as we give them out, as a number; None for one that can't be ours."""
    is_number = transaction_id.isascii() and transaction_id.isdigit() and len(transaction_id) <= _LONGEST_OWN_ID
    return int(transaction_id) if is_number else None


def _first_phase(connector: Connector) -> str:
    """The phase a session begins in: what its connector said last, unless that was about the session before."""
    phase = status_words.PHASES.get(connector.status or "", "preparing")
    return "preparing" if phase == "finishing" else phase


def _show(connector: Connector, reading: ev.Reading, told_ts: float | None) -> None:
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


def _replaces(new: ev.Payload, old: ev.Payload, *, same_connector: bool) -> bool:
    """Same id anywhere, or same purpose and stack level on the same connector (OCPP 1.6 §3.13.2, §5.16)."""
    if new.get("chargingProfileId") == old.get("chargingProfileId"):
        return True
    names = ("stackLevel", "chargingProfilePurpose", "transactionId")
    return same_connector and all(new.get(name) == old.get(name) for name in names)


def _matches(e: ev.ChargingProfilesCleared, profile: ev.Payload) -> bool:
    """An id clears that profile alone; else every criterion given must hold (OCPP 1.6 §5.5)."""
    if e.profile_id is not None:
        return profile.get("chargingProfileId") == e.profile_id
    same_purpose = e.purpose in (None, profile.get("chargingProfilePurpose"))
    return same_purpose and e.stack_level in (None, profile.get("stackLevel"))


_APPLY: dict[type[ev.Event], Callable[[Fleet, Any], None]] = {
    ev.ChargePointConnected: Fleet._connected,
    ev.ChargePointDisconnected: Fleet._disconnected,
    ev.ChargePointBooted: Fleet._booted,
    ev.HeartbeatReceived: Fleet._heartbeat,
    ev.ConnectorStatusChanged: Fleet._status,
    ev.Authorized: Fleet._authorized,
    ev.TransactionStarted: Fleet._started,
    ev.MeterValuesReceived: Fleet._meter_values,
    ev.TransactionStopped: Fleet._stopped,
    ev.ProtocolFaulted: Fleet._protocol_fault,
    ev.SchemaFaulted: Fleet._schema_fault,
    ev.CommandAnswered: Fleet._command_answered,
    ev.CommandFailed: Fleet._command_failed,
    ev.ChargingProfileSet: Fleet._profile_set,
    ev.ChargingProfilesCleared: Fleet._profiles_cleared,
    ev.FirmwareStatusChanged: Fleet._firmware,
    ev.LogStatusChanged: Fleet._log,
    ev.SecurityEventReported: Fleet._note,
    ev.ReservationMade: Fleet._note,
    ev.ReservationCancelled: Fleet._note,
    ev.ChargePointDecommissioned: Fleet._decommissioned,
}
