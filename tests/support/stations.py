"""Messages of an OCPP 2.x station, for tests to send."""

from typing import Any

Payload = dict[str, Any]

TOKEN = {"idToken": "TAG1", "type": "ISO14443"}
BOOT_2X: Payload = {
    "reason": "PowerUp",
    "chargingStation": {"vendorName": "Acme", "model": "Two", "firmwareVersion": "2.0", "serialNumber": "77"},
}


def status_2x(word: str, evse_id: int = 1, connector_id: int = 1, at: str = "2026-11-21T10:00:00Z") -> Payload:
    """A StatusNotificationRequest."""
    return {"timestamp": at, "connectorStatus": word, "evseId": evse_id, "connectorId": connector_id}


def register(wh: float, context: str | None = None, **measure: Any) -> Payload:
    """A sampled energy register; `measure` is its unitOfMeasure, Wh when not given."""
    sampled: Payload = {"value": wh, "measurand": "Energy.Active.Import.Register"}
    if context is not None:
        sampled["context"] = context
    return sampled | ({"unitOfMeasure": measure} if measure else {})


def current(ampere: float, phase: str = "L1") -> Payload:
    """A sampled current."""
    return {"value": ampere, "measurand": "Current.Import", "phase": phase, "unitOfMeasure": {"unit": "A"}}


def event(
    kind: str,
    seq_no: int,
    *sampled: Payload,
    minute: int = 0,
    transaction_id: str = "T-1",
    evse_id: int | None = 1,
    state: str | None = None,
    **more: Any,
) -> Payload:
    """A TransactionEventRequest, so many minutes after 2026-11-21T10:00:00Z; `sampled` is of one MeterValue."""
    at = f"2026-11-21T{10 + minute // 60:02}:{minute % 60:02}:00Z"
    info: Payload = {"transactionId": transaction_id}
    if state is not None:
        info["chargingState"] = state
    call: Payload = {
        "eventType": kind,
        "timestamp": at,
        "triggerReason": "Trigger",
        "seqNo": seq_no,
        "transactionInfo": info | more.pop("info", {}),
    }
    if evse_id is not None:
        call["evse"] = {"id": evse_id}
    if sampled:
        call["meterValue"] = [{"timestamp": at, "sampledValue": list(sampled)}]
    return call | more
