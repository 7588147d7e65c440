"""The messages that OCPP 2.0.1 and 2.1 share. Pure: it creates payloads from `model`, and must not know the connection.

Each connector of a virtual charge point is an EVSE with one connector. A transaction starts and ends with authorization
(TxStartPoint and TxStopPoint `Authorized`), and the charge point assigns its id.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple
from uuid import uuid4

from wattspan.domain.timestamps import wire_time
from wattspan.ocppj.frames import Framing
from wattspan.simulator.dialects.base import Command, OutgoingCall
from wattspan.simulator.meter import REGISTER
from wattspan.simulator.model import NO_ERROR, ConnectorState, Hardware, Reading, Sample, Transaction
from wattspan.simulator.rpc import Payload

_CONNECTOR_STATES = frozenset({"Available", "Reserved", "Unavailable", "Faulted"})
"""Statuses of 1.6 that 2.x has too; the others are `Occupied` there."""
CHARGING_STATES = frozenset({"Charging", "SuspendedEV", "SuspendedEVSE"})
"""Statuses of 1.6 that are a chargingState in 2.x."""
_EVENT_IDS = count(1)
"""Event ids of NotifyEvent; only the pair of charge point and id must be unique (2.0.1 Part 2 §2.26)."""


class _Stop(NamedTuple):
    """A stop reason in 2.x: `stoppedReason`, `triggerReason`, and whether the card was presented."""

    reason: str
    trigger: str
    by_card: bool = False


_STOPS = {
    "Local": _Stop("Local", "StopAuthorized", by_card=True),
    "EVDisconnected": _Stop("EVDisconnected", "EVCommunicationLost"),
    "Remote": _Stop("Remote", "RemoteStop"),
    "HardReset": _Stop("ImmediateReset", "ResetCommand"),
    "SoftReset": _Stop("ImmediateReset", "ResetCommand"),
    "Reboot": _Stop("Reboot", "ResetCommand"),
    "UnlockCommand": _Stop("Other", "UnlockCommand"),
    "DeAuthorized": _Stop("DeAuthorized", "Deauthorized"),
    "Other": _Stop("Other", "AbnormalCondition"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class V2:
    """OCPP 2.0.1 or 2.1."""

    name: str
    subprotocol: str
    framing: Framing
    commands: Mapping[str, Command]
    severity: int | None = None
    """Severity of a fault in NotifyEvent (2.1); None: the version has none."""

    def boot(self, cp_id: str, hardware: Hardware, reason: str) -> OutgoingCall:
        """Return BootNotificationRequest (2.0.1 Part 2 §1.7)."""
        station = {
            "vendorName": hardware.vendor[:50],
            "model": hardware.model[:20],
            "serialNumber": cp_id[:25],
            "firmwareVersion": hardware.firmware[:50],
        }
        return OutgoingCall("BootNotification", lambda: {"reason": reason, "chargingStation": station})

    def authorize(self, id_tag: str) -> OutgoingCall:
        """Return AuthorizeRequest (2.0.1 Part 2 §1.1)."""
        return OutgoingCall("Authorize", lambda: {"idToken": id_token(id_tag)})

    def token_status(self, answer: Payload) -> str | None:
        """Return the status of idTokenInfo, or None if it is missing."""
        info = answer.get("idTokenInfo")
        return info.get("status") if isinstance(info, dict) else None

    def station_status(self, ts: float) -> Iterable[OutgoingCall]:
        """Return nothing: 2.x reports the status of connectors only."""
        return ()

    def connector_status(
        self, number: int, now: ConnectorState, before: ConnectorState | None, ts: float
    ) -> Iterable[OutgoingCall]:
        """Return StatusNotificationRequest if the 2.x status changed, NotifyEventRequest if a fault came or cleared."""
        status_v2 = connector_state(now.status)
        if before is None or status_v2 != connector_state(before.status):
            status = {
                "timestamp": wire_time(ts),
                "connectorStatus": status_v2,
                "evseId": number,
                "connectorId": 1,
            }
            yield OutgoingCall("StatusNotification", lambda: status)
        if now.error_code != NO_ERROR:
            problem = self._problem_event(number, now.error_code, ts)
            yield OutgoingCall("NotifyEvent", lambda: problem, now.error_code)
        elif before is not None and before.error_code != NO_ERROR:
            cleared = self._problem_event(number, before.error_code, ts, cleared=True)
            yield OutgoingCall("NotifyEvent", lambda: cleared)

    def new_transaction_id(self) -> str | None:
        """Return an id that is unique among all charge points (E01.FR.08)."""
        return str(uuid4())

    def assigned_transaction_id(self, answer: Payload) -> int | None:
        """Return None: the charge point assigns the id."""
        return None

    def transaction_started(self, transaction: Transaction, begin: Reading, *, offline: bool) -> OutgoingCall:
        """Return TransactionEventRequest `Started` (2.0.1 Part 2 §1.60, E01 to E04)."""
        trigger = "Authorized" if transaction.remote_start_id is None else "RemoteStart"
        fields: Payload = {
            "evse": {"id": transaction.connector_id, "connectorId": 1},
            "idToken": id_token(transaction.id_tag),
            "cableMaxCurrent": 32,
            "meterValue": [_meter_value(begin, "Transaction.Begin", (), signed=transaction.signed)],
        }
        if transaction.reservation_id is not None:
            fields["reservationId"] = transaction.reservation_id
        info: Payload = {"chargingState": "EVConnected"}
        if transaction.remote_start_id is not None:
            info["remoteStartId"] = transaction.remote_start_id
        return _event(transaction, "Started", trigger, begin.ts, info, fields, offline=offline)

    def charging_state_changed(
        self, transaction: Transaction, status: str, ts: float, *, offline: bool
    ) -> OutgoingCall | None:
        """Return TransactionEventRequest `Updated` with the new chargingState."""
        fields = {"numberOfPhasesUsed": transaction.phases} if status == "Charging" else {}
        info = {"chargingState": status}
        return _event(transaction, "Updated", "ChargingStateChanged", ts, info, fields, offline=offline)

    def meter_reading(self, transaction: Transaction, reading: Reading, *, offline: bool) -> OutgoingCall:
        """Return TransactionEventRequest `Updated` with a meter value (J02)."""
        fields: Payload = {"meterValue": [meter_value(reading, "Sample.Periodic")]}
        return _event(transaction, "Updated", "MeterValuePeriodic", reading.ts, {}, fields, offline=offline)

    def transaction_stopped(
        self, transaction: Transaction, end: Reading, reason: str, *, offline: bool
    ) -> OutgoingCall:
        """Return TransactionEventRequest `Ended` (E06)."""
        stop = _STOPS[reason]
        fields: Payload = {"meterValue": [_meter_value(end, "Transaction.End", (), signed=transaction.signed)]}
        if stop.by_card:
            fields["idToken"] = id_token(transaction.id_tag)
        state = "Idle" if reason == "EVDisconnected" else "EVConnected"
        info = {"stoppedReason": stop.reason, "chargingState": state}
        return _event(transaction, "Ended", stop.trigger, end.ts, info, fields, offline=offline)

    def meter_values(self, number: int, transaction: Transaction | None, reading: Reading) -> OutgoingCall:
        """Return MeterValuesRequest, requested by TriggerMessage; it has no transaction id."""
        payload = {"evseId": number, "meterValue": [meter_value(reading, "Trigger")]}
        return OutgoingCall("MeterValues", lambda: payload)

    def _problem_event(self, number: int, code: str, ts: float, *, cleared: bool = False) -> Payload:
        """Return NotifyEventRequest for the variable Problem of a connector (2.0.1 Part 2 §3.1.6, N07)."""
        event: Payload = {
            "eventId": next(_EVENT_IDS),
            "timestamp": wire_time(ts),
            "trigger": "Alerting",
            "actualValue": "false" if cleared else "true",
            "techCode": code,
            "cleared": cleared,
            "eventNotificationType": "HardWiredNotification",
            "component": {"name": "Connector", "evse": {"id": number, "connectorId": 1}},
            "variable": {"name": "Problem"},
        }
        if self.severity is not None:
            event["severity"] = self.severity
        return {"generatedAt": wire_time(ts), "seqNo": 0, "tbc": False, "eventData": [event]}


def triggered_event(transaction: Transaction, reading: Reading, charging_state: str) -> OutgoingCall:
    """Return TransactionEventRequest `Updated`, requested by TriggerMessage (F06.FR.07)."""
    info, fields = {"chargingState": charging_state}, {"meterValue": [meter_value(reading, "Trigger")]}
    return _event(transaction, "Updated", "Trigger", reading.ts, info, fields, offline=False)


def connector_state(status: str) -> str:
    """Return the 2.x connectorStatus for a status of 1.6."""
    return status if status in _CONNECTOR_STATES else "Occupied"


def id_token(id_tag: str) -> Payload:
    """Return an IdTokenType; all cards of a simulation have the same type."""
    return {"idToken": id_tag, "type": "ISO14443"}


def meter_value(reading: Reading, context: str) -> Payload:
    """Return a MeterValueType with all samples of a reading."""
    return _meter_value(reading, context, reading.samples, signed=False)


def _event(
    transaction: Transaction, event_type: str, trigger: str, ts: float, info: Payload, fields: Payload, *, offline: bool
) -> OutgoingCall:
    """Return the next event of a transaction; its seqNo is assigned now, not when it is sent."""
    payload = {
        "eventType": event_type,
        "timestamp": wire_time(ts),
        "triggerReason": trigger,
        "seqNo": transaction.next_seq_no,
        "transactionInfo": {"transactionId": transaction.id, **info},
        **fields,
        **({"offline": True} if offline else {}),
    }
    transaction.next_seq_no += 1
    return OutgoingCall("TransactionEvent", lambda: payload)


def _meter_value(reading: Reading, context: str, samples: Iterable[Sample], *, signed: bool) -> Payload:
    register = _sample(Sample(REGISTER, "Wh", "", reading.register_wh), context)
    if signed:
        register["signedMeterValue"] = _signature(reading)
    return {
        "timestamp": wire_time(reading.ts),
        "sampledValue": [register, *(_sample(sample, context) for sample in samples)],
    }


def _sample(sample: Sample, context: str) -> Payload:
    sampled: Payload = {
        "value": round(sample.value, 2),
        "context": context,
        "measurand": sample.measurand,
        "location": "EV" if sample.measurand == "SoC" else "Outlet",
        "unitOfMeasure": {"unit": sample.unit},
    }
    if sample.phase:
        sampled["phase"] = sample.phase
    return sampled


def _signature(reading: Reading) -> Payload:
    """Return a SignedMeterValueType in OCMF format, without a real signature."""
    data = f'OCMF|{{"FV":"1.0","RD":[{{"TM":"{wire_time(reading.ts)}","RV":{reading.register_wh},"RU":"Wh"}}]}}|{{}}'
    return {
        "signedMeterData": b64encode(data.encode()).decode(),
        "signingMethod": "ECDSA-secp256r1-SHA256",
        "encodingMethod": "OCMF",
        "publicKey": "",
    }
