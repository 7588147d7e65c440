"""BootNotification, StatusNotification and SignCertificate of OCPP 2.x (Part 2 A, B, G)."""

from collections.abc import Iterable
from typing import Any

from wattspan.domain import events as ev
from wattspan.domain.status import NO_ERROR, UNSPECIFIED_FAULT, status_word
from wattspan.domain.timestamps import charger_ts
from wattspan.errors import CallFault
from wattspan.ocppj.schemas import CODES_2X
from wattspan.versions import common
from wattspan.versions.base import ChargePointContext, Payload
from wattspan.versions.common import WHOLE_CHARGE_POINT
from wattspan.versions.fields import identifier, text

FAULTED = "Faulted"


def booted(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe BootNotification (B01)."""
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


def status_notification(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer StatusNotification (G01). Raises CallFault if there is no status."""
    if not call.get("connectorStatus"):
        raise CallFault(CODES_2X.occurrence, "there is no connectorStatus")
    return {}


def status_changed(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe the status of a connector of an EVSE. The kind of a fault is in a NotifyEvent, not here."""
    status = status_word(text(call.get("connectorStatus"), 50))
    return (
        ev.ConnectorStatusChanged(
            cp_id=cp_id,
            received_ts=received_ts,
            connector_id=identifier(call.get("evseId")) or WHOLE_CHARGE_POINT,
            outlet=identifier(call.get("connectorId")) or WHOLE_CHARGE_POINT,
            status=status,
            error_code=UNSPECIFIED_FAULT if status == FAULTED else NO_ERROR,
            charger_ts=charger_ts(call.get("timestamp")),
        ),
    )


async def sign_certificate(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer SignCertificate (A02). In 2.1 CertificateSigned repeats its requestId."""
    kind = text(call.get("certificateType"), 50)
    echo: Payload = {name: call[name] for name in ("certificateType", "requestId") if name in call}
    return await common.sign_certificate(call, cp, kind=kind, echo=echo)


def _object(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}
