"""A charging session as it physically happened, and the messages of it in each OCPP version.

Steps have the same times in every version; only the messages differ.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wattspan.domain.timestamps import wire_time

Payload = dict[str, Any]

STATES_16 = {
    "EVConnected": "Preparing",
    "Charging": "Charging",
    "SuspendedEV": "SuspendedEV",
    "SuspendedEVSE": "SuspendedEVSE",
}
TOKEN = "TAG1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An event of the session, `after_s` seconds after the cable was plugged in.

    `kind`: "state" (`state` is new), "reading" (`register_wh`, `current_a` of now).
    """

    kind: str
    after_s: float
    state: str = ""
    register_wh: float = 0.0
    current_a: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Plugged in at `began_ts`, begun 10 s later, ended, and unplugged 20 s after that."""

    began_ts: float
    start_wh: float
    steps: tuple[Step, ...]
    stop_wh: float
    lasted_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A CALL and when it is sent first."""

    at_ts: float
    action: str
    payload: Payload


def messages_16(session: Session, connector_id: int, ids: dict[str, Any]) -> Iterator[Message]:
    """Yield the messages of 1.6. `ids["transactionId"]` must be set from the answer to the start."""
    t = session.began_ts

    def status(at_ts: float, word: str) -> Message:
        call = {"connectorId": connector_id, "status": word, "errorCode": "NoError", "timestamp": wire_time(at_ts)}
        return Message(at_ts=at_ts, action="StatusNotification", payload=call)

    yield status(t, "Preparing")
    start = {"connectorId": connector_id, "idTag": TOKEN, "meterStart": int(session.start_wh)}
    yield Message(at_ts=t + 10, action="StartTransaction", payload=start | {"timestamp": wire_time(t + 10)})
    for step in session.steps:
        at_ts = t + step.after_s
        if step.kind == "state":
            yield status(at_ts, STATES_16[step.state])
            continue
        sampled = [
            {"value": str(step.register_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": str(step.current_a), "measurand": "Current.Import", "phase": "L1", "unit": "A"},
        ]
        value = {"timestamp": wire_time(at_ts), "sampledValue": sampled}
        call = {"connectorId": connector_id, "transactionId": ids["transactionId"], "meterValue": [value]}
        yield Message(at_ts=at_ts, action="MeterValues", payload=call)
    end_ts = t + session.lasted_s
    stop = {"transactionId": ids["transactionId"], "meterStop": int(session.stop_wh), "timestamp": wire_time(end_ts)}
    yield Message(at_ts=end_ts, action="StopTransaction", payload=stop)
    yield status(end_ts, "Finishing")
    yield status(end_ts + 20, "Available")


def messages_2x(session: Session, evse_id: int, transaction_id: str) -> Iterator[Message]:
    """Yield the messages of 2.0.1 and 2.1, with registers in kWh by a multiplier."""
    t, evse = session.began_ts, {"id": evse_id, "connectorId": 1}

    def status(at_ts: float, word: str) -> Message:
        call = {"timestamp": wire_time(at_ts), "connectorStatus": word, "evseId": evse_id, "connectorId": 1}
        return Message(at_ts=at_ts, action="StatusNotification", payload=call)

    def event(kind: str, at_ts: float, seq_no: int, *sampled: Payload, state: str = "", **more: Any) -> Message:
        info = {"transactionId": transaction_id} | ({"chargingState": state} if state else {})
        call = {
            "eventType": kind,
            "timestamp": wire_time(at_ts),
            "triggerReason": "ChargingStateChanged",
            "seqNo": seq_no,
            "transactionInfo": info,
            "evse": evse,
        } | more
        if sampled:
            call["meterValue"] = [{"timestamp": wire_time(at_ts), "sampledValue": list(sampled)}]
        return Message(at_ts=at_ts, action="TransactionEvent", payload=call)

    def register(wh: float, context: str = "Sample.Periodic") -> Payload:
        unit = {"unit": "Wh", "multiplier": 3}
        return {"value": wh / 1000, "context": context, "unitOfMeasure": unit}

    yield status(t, "Occupied")
    token = {"idToken": {"idToken": TOKEN, "type": "ISO14443"}}
    yield event("Started", t + 10, 0, register(session.start_wh, "Transaction.Begin"), state="EVConnected", **token)
    for number, step in enumerate(session.steps, 1):
        at_ts = t + step.after_s
        if step.kind == "state":
            yield event("Updated", at_ts, number, state=step.state)
            continue
        ampere = {"value": step.current_a, "measurand": "Current.Import", "phase": "L1"}
        yield event("Updated", at_ts, number, register(step.register_wh), ampere)
    end_ts, last = t + session.lasted_s, len(session.steps) + 1
    yield event("Ended", end_ts, last, register(session.stop_wh, "Transaction.End"))
    yield status(end_ts + 20, "Available")
