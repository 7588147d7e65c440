"""What an OCPP 2.x station tells about itself: boot, life, status, security, firmware, logs (Part 2 A, B, G, L, N)."""

from collections.abc import Iterable
from typing import Any

from wattspan.domain import events as ev
from wattspan.domain.status import NO_ERROR, UNSAID_FAULT
from wattspan.domain.timestamps import charger_ts, wire_time
from wattspan.errors import CallFault
from wattspan.ocppj.schemas import CODES_2X
from wattspan.versions.base import ChargePointContext, Payload
from wattspan.versions.fields import identifier, text

FAULTED = "Faulted"
WHOLE_STATION = "0"
MAX_CSR = 5500
"""Characters of a request for a certificate. One more is kept, so that what is too long is seen to be."""


def boot_notification(call: Payload, cp: ChargePointContext) -> Payload:
    """BootNotificationResponse (B01): whoever may connect may charge."""
    return {"status": "Accepted", "currentTime": wire_time(cp.now_ts), "interval": cp.heartbeat_interval_s}


def booted(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """A boot, and what the station says it is."""
    station = _object(call.get("chargingStation"))
    modem = _object(station.get("modem"))
    details: dict[str, str] = {name: text(modem[name]) for name in ("iccid", "imsi") if name in modem}
    if "reason" in call:
        details["reason"] = text(call["reason"], 50)
    return (
        ev.ChargePointBooted(
            cp_id=cp_id,
            received_ts=received_ts,
            vendor=text(station.get("vendorName")),
            model=text(station.get("model")),
            serial_number=text(station.get("serialNumber")),
            firmware=text(station.get("firmwareVersion")),
            accepted=answer.get("status") == "Accepted",
            details=details,
        ),
    )


def heartbeat(call: Payload, cp: ChargePointContext) -> Payload:
    """HeartbeatResponse (G02)."""
    return {"currentTime": wire_time(cp.now_ts)}


def heartbeat_received(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """A sign of life."""
    return (ev.HeartbeatReceived(cp_id=cp_id, received_ts=received_ts),)


def status_notification(call: Payload, cp: ChargePointContext) -> Payload:
    """StatusNotificationResponse (G01)."""
    if not call.get("connectorStatus"):
        raise CallFault(CODES_2X.occurrence, "there is no connectorStatus")
    return {}


def status_changed(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """What a connector of an EVSE is doing. A fault has no code here: what it is, a NotifyEvent tells."""
    status = text(call.get("connectorStatus"), 50)
    return (
        ev.ConnectorStatusChanged(
            cp_id=cp_id,
            received_ts=received_ts,
            connector_id=identifier(call.get("evseId")) or WHOLE_STATION,
            outlet=identifier(call.get("connectorId")) or WHOLE_STATION,
            status=status,
            error_code=UNSAID_FAULT if status == FAULTED else NO_ERROR,
            charger_ts=charger_ts(call.get("timestamp")),
        ),
    )


async def data_transfer(call: Payload, cp: ChargePointContext) -> Payload:
    """DataTransferResponse (P02): a plugin's answer, or that we know no such vendor."""
    message_id: Any = call.get("messageId")
    return await cp.data_transfer(
        text(call.get("vendorId")), None if message_id is None else text(message_id), call.get("data")
    )


async def sign_certificate(call: Payload, cp: ChargePointContext) -> Payload:
    """SignCertificateResponse (A02): Rejected where nobody can sign it, or may. 2.1 has its requestId sent back."""
    kind = text(call.get("certificateType"), 50)
    echo: Payload = {name: call[name] for name in ("certificateType", "requestId") if name in call}
    taken = await cp.sign_certificate(text(call.get("csr"), MAX_CSR + 1), kind=kind, echo=echo)
    return {"status": "Accepted" if taken else "Rejected"}


def noted(call: Payload, cp: ChargePointContext) -> Payload:
    """A notification whose answer has no fields."""
    return {}


def security_event(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """SecurityEventNotification (A04): something to be kept for an auditor."""
    return (
        ev.SecurityEventReported(
            cp_id=cp_id,
            received_ts=received_ts,
            type=text(call.get("type"), 50),
            charger_ts=charger_ts(call.get("timestamp")),
            tech_info=text(call.get("techInfo")),
        ),
    )


def firmware_status(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """FirmwareStatusNotification (L01): how far an update is."""
    return (ev.FirmwareStatusChanged(cp_id=cp_id, received_ts=received_ts, status=text(call.get("status"), 50)),)


def log_status(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """LogStatusNotification (N01): how far an upload is."""
    return (ev.LogStatusChanged(cp_id=cp_id, received_ts=received_ts, status=text(call.get("status"), 50)),)


def _object(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}
