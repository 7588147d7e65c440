"""OCPP 2.x's words: what 2.0.1 and 2.1 say alike. Pure: facts in, payload out.

Each connector of a virtual charge point is an EVSE with one connector. A transaction starts with authorisation and
ends with it (TxStartPoint and TxStopPoint `Authorized`), and the charge point gives it its id.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple
from uuid import uuid4

from wattspan.simulator.dialects.base import Command, EventRef
from wattspan.simulator.facts import NO_ERROR, Reading, Sample, State, Transaction, timestamp
from wattspan.simulator.link import Payload
from wattspan.simulator.meter import REGISTER

_CONNECTOR_STATES = frozenset({"Available", "Reserved", "Unavailable", "Faulted"})
"""Statuses of 1.6 that 2.x has too; all others are `Occupied` there."""
CHARGING_STATES = frozenset({"Charging", "SuspendedEV", "SuspendedEVSE"})
"""Statuses of 1.6 that are chargingStates."""
_EVENT_IDS = count(1)
"""Of NotifyEvent: only the pair of charge point and id must be unique (2.0.1 Part 2 §2.26)."""


class _Stop(NamedTuple):
    """2.x's words for a reason to stop: `stoppedReason`, `triggerReason`, and whether the card was held up."""

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
    """OCPP 2.0.1, or what 2.1 makes of it."""

    name: str
    subprotocol: str
    commands: Mapping[str, Command]
    severity: int | None = None
    """Of a fault in NotifyEvent (2.1); None: the version has none."""

    @property
    def unreadable(self) -> str:
        """2.0.1 Part 4 §4.3."""
        return "FormatViolation"

    def boot(self, cp_id: str, firmware: str, reason: str) -> EventRef:
        """BootNotificationRequest (2.0.1 Part 2 §1.7)."""
        station = {
            "vendorName": "Wattspan",
            "model": "Virtual AC 22",
            "serialNumber": cp_id[:25],
            "firmwareVersion": firmware[:50],
        }
        return EventRef("BootNotification", lambda: {"reason": reason, "chargingStation": station})

    def authorize(self, id_tag: str) -> EventRef:
        """AuthorizeRequest (2.0.1 Part 2 §1.1)."""
        return EventRef("Authorize", lambda: {"idToken": id_token(id_tag)})

    def token_status(self, answer: Payload) -> str | None:
        """The status of idTokenInfo."""
        info = answer.get("idTokenInfo")
        return info.get("status") if isinstance(info, dict) else None

    def station_state(self, ts: float) -> Iterable[EventRef]:
        """2.x tells of connectors alone."""
        return ()

    def state(self, number: int, now: State, before: State | None, ts: float) -> Iterable[EventRef]:
        """StatusNotificationRequest where that has another word now, NotifyEventRequest where a fault came or went."""
        word = connector_state(now.status)
        if before is None or word != connector_state(before.status):
            status = {
                "timestamp": timestamp(ts),
                "connectorStatus": word,
                "evseId": number,
                "connectorId": 1,
            }
            yield EventRef("StatusNotification", lambda: status)
        if now.error_code != NO_ERROR:
            problem = self._problem(number, now.error_code, ts)
            yield EventRef("NotifyEvent", lambda: problem, now.error_code)
        elif before is not None and before.error_code != NO_ERROR:
            gone = self._problem(number, before.error_code, ts, cleared=True)
            yield EventRef("NotifyEvent", lambda: gone)

    def new_transaction_id(self) -> str | None:
        """Unique among all charge points, as E01.FR.08 has it."""
        return str(uuid4())

    def given_transaction_id(self, answer: Payload) -> int | None:
        """It has its id already."""
        return None

    def started(self, of: Transaction, begin: Reading, *, offline: bool) -> EventRef:
        """TransactionEventRequest `Started` (2.0.1 Part 2 §1.60, E01 to E04)."""
        trigger = "Authorized" if of.remote_start_id is None else "RemoteStart"
        more: Payload = {
            "evse": {"id": of.connector_id, "connectorId": 1},
            "idToken": id_token(of.id_tag),
            "cableMaxCurrent": 32,
            "meterValue": [_meter_value(begin, "Transaction.Begin", (), signed=of.signed)],
        }
        if of.reservation_id is not None:
            more["reservationId"] = of.reservation_id
        info: Payload = {"chargingState": "EVConnected"}
        if of.remote_start_id is not None:
            info["remoteStartId"] = of.remote_start_id
        return _event(of, "Started", trigger, begin.ts, info, more, offline=offline)

    def changed(self, of: Transaction, status: str, ts: float, *, offline: bool) -> EventRef | None:
        """TransactionEventRequest `Updated` for a chargingState."""
        more = {"numberOfPhasesUsed": of.phases} if status == "Charging" else {}
        info = {"chargingState": status}
        return _event(of, "Updated", "ChargingStateChanged", ts, info, more, offline=offline)

    def metered(self, of: Transaction, reading: Reading, *, offline: bool) -> EventRef:
        """TransactionEventRequest `Updated` with a meter value (J02)."""
        more: Payload = {"meterValue": [meter_value(reading, "Sample.Periodic")]}
        return _event(of, "Updated", "MeterValuePeriodic", reading.ts, {}, more, offline=offline)

    def stopped(self, of: Transaction, end: Reading, reason: str, *, offline: bool) -> EventRef:
        """TransactionEventRequest `Ended` (E06)."""
        stop = _STOPS[reason]
        more: Payload = {"meterValue": [_meter_value(end, "Transaction.End", (), signed=of.signed)]}
        if stop.by_card:
            more["idToken"] = id_token(of.id_tag)
        state = "Idle" if reason == "EVDisconnected" else "EVConnected"
        info = {"stoppedReason": stop.reason, "chargingState": state}
        return _event(of, "Ended", stop.trigger, end.ts, info, more, offline=offline)

    def meter_values(self, number: int, of: Transaction | None, reading: Reading) -> EventRef:
        """MeterValuesRequest, asked for by TriggerMessage; it names no transaction."""
        payload = {"evseId": number, "meterValue": [meter_value(reading, "Trigger")]}
        return EventRef("MeterValues", lambda: payload)

    def _problem(self, number: int, code: str, ts: float, *, cleared: bool = False) -> Payload:
        """A fault as the variable Problem of a connector (2.0.1 Part 2 §3.1.6, N07)."""
        event: Payload = {
            "eventId": next(_EVENT_IDS),
            "timestamp": timestamp(ts),
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
        return {"generatedAt": timestamp(ts), "seqNo": 0, "tbc": False, "eventData": [event]}


def asked(of: Transaction, reading: Reading, charging_state: str) -> EventRef:
    """TransactionEventRequest `Updated`, asked for by TriggerMessage (F06.FR.07)."""
    info, more = {"chargingState": charging_state}, {"meterValue": [meter_value(reading, "Trigger")]}
    return _event(of, "Updated", "Trigger", reading.ts, info, more, offline=False)


def connector_state(status: str) -> str:
    """1.6's status in 2.x's words."""
    return status if status in _CONNECTOR_STATES else "Occupied"


def id_token(id_tag: str) -> Payload:
    """The cards of a simulation are all of one type."""
    return {"idToken": id_tag, "type": "ISO14443"}


def meter_value(reading: Reading, context: str) -> Payload:
    """MeterValueType with all that the meter shows."""
    return _meter_value(reading, context, reading.samples, signed=False)


def _event(
    of: Transaction, kind: str, trigger: str, ts: float, info: Payload, more: Payload, *, offline: bool
) -> EventRef:
    """The next event of a transaction; it takes its seqNo when it is made, whenever it is sent."""
    payload = {
        "eventType": kind,
        "timestamp": timestamp(ts),
        "triggerReason": trigger,
        "seqNo": of.events,
        "transactionInfo": {"transactionId": of.id, **info},
        **more,
        **({"offline": True} if offline else {}),
    }
    of.events += 1
    return EventRef("TransactionEvent", lambda: payload)


def _meter_value(reading: Reading, context: str, samples: Iterable[Sample], *, signed: bool) -> Payload:
    register = _sample(Sample(REGISTER, "Wh", "", reading.register_wh), context)
    if signed:
        register["signedMeterValue"] = _signature(reading)
    return {
        "timestamp": timestamp(reading.ts),
        "sampledValue": [register, *(_sample(sample, context) for sample in samples)],
    }


def _sample(sample: Sample, context: str) -> Payload:
    told: Payload = {
        "value": round(sample.value, 2),
        "context": context,
        "measurand": sample.measurand,
        "location": "EV" if sample.measurand == "SoC" else "Outlet",
        "unitOfMeasure": {"unit": sample.unit},
    }
    if sample.phase:
        told["phase"] = sample.phase
    return told


def _signature(reading: Reading) -> Payload:
    """SignedMeterValueType in the shape of OCMF; nobody signed it."""
    data = f'OCMF|{{"FV":"1.0","RD":[{{"TM":"{timestamp(reading.ts)}","RV":{reading.register_wh},"RU":"Wh"}}]}}|{{}}'
    return {
        "signedMeterData": b64encode(data.encode()).decode(),
        "signingMethod": "ECDSA-secp256r1-SHA256",
        "encodingMethod": "OCMF",
        "publicKey": "",
    }
