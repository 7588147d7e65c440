"""OCPP 1.6, with its security extension: what is answered to a charger's messages, and what each conversation meant.

It decides nothing that needs a store or a policy: that is asked of the context. Payloads may break their schema.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from wattspan.domain import events as ev
from wattspan.domain.status import NO_ERROR
from wattspan.domain.timestamps import charger_ts, wire_time
from wattspan.domain.transactions.common import stop_key
from wattspan.errors import CallFault
from wattspan.ocppj.schemas import CODES_16, Schemas
from wattspan.versions.base import INVALID, ChargePointContext, IdTokenInfo, Payload, Version
from wattspan.versions.fields import identifier, number, text, whole
from wattspan.versions.v16.commands import COMMANDS
from wattspan.versions.v16.readings import readings

v16 = Version(subprotocol="ocpp1.6", name="1.6", schemas=Schemas.load("v16"), codes=CODES_16, commands=dict(COMMANDS))

WHOLE_CHARGE_POINT = "0"
"""The connector a message belongs to when it names none that can be read (OCPP 1.6 §3.7)."""
UNKNOWN_TRANSACTION = "-1"
"""What chargers send for a transaction whose id they never learnt."""
MAX_CSR = 5500
"""Characters of a request for a certificate. One more is kept, so that what is too long is seen to be."""
_AUTHORIZATION_STATUSES = frozenset({"Accepted", "Blocked", "ConcurrentTx", "Expired", "Invalid"})
_BOOT_FIELDS = ("chargeBoxSerialNumber", "iccid", "imsi", "meterSerialNumber", "meterType")


def _connector(call: Payload) -> str:
    return identifier(call.get("connectorId")) or WHOLE_CHARGE_POINT


def _place(call: Payload) -> tuple[str | None, str | None]:
    return identifier(call.get("connectorId")), identifier(call.get("transactionId"))


def _needs_one_of(call: Payload, *names: str) -> None:
    """Refuse a message only when not one of its facts is there to be saved."""
    if not any(call.get(name) not in (None, "", []) for name in names):
        raise CallFault(CODES_16.occurrence, f"none of {', '.join(names)} is there")


def _id_tag_info(info: IdTokenInfo) -> Payload:
    answer: Payload = {"status": info.status if info.status in _AUTHORIZATION_STATUSES else INVALID}
    if info.expiry_ts is not None:
        answer["expiryDate"] = wire_time(info.expiry_ts)
    if info.parent is not None:
        answer["parentIdTag"] = info.parent
    return answer


# Core profile


@v16.answers("BootNotification")
def boot_notification(call: Payload, cp: ChargePointContext) -> Payload:
    """BootNotification.conf (OCPP 1.6 §4.2): whoever may connect may charge."""
    return {"status": "Accepted", "currentTime": wire_time(cp.now_ts), "interval": cp.heartbeat_interval_s}


@v16.observes("BootNotification")
def booted(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """A boot, and what the charger says it is."""
    serial_number = text(call.get("chargePointSerialNumber")) or text(call.get("chargeBoxSerialNumber"))
    return (
        ev.ChargePointBooted(
            cp_id=cp_id,
            received_ts=received_ts,
            vendor=text(call.get("chargePointVendor")),
            model=text(call.get("chargePointModel")),
            serial_number=serial_number,
            firmware=text(call.get("firmwareVersion")),
            accepted=answer.get("status") == "Accepted",
            details={name: text(call[name]) for name in _BOOT_FIELDS if name in call},
        ),
    )


@v16.answers("Heartbeat")
def heartbeat(call: Payload, cp: ChargePointContext) -> Payload:
    """Heartbeat.conf (OCPP 1.6 §4.6)."""
    return {"currentTime": wire_time(cp.now_ts)}


@v16.observes("Heartbeat")
def heartbeat_received(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """A sign of life."""
    return (ev.HeartbeatReceived(cp_id=cp_id, received_ts=received_ts),)


@v16.answers("Authorize")
async def authorize(call: Payload, cp: ChargePointContext) -> Payload:
    """Authorize.conf (OCPP 1.6 §4.1)."""
    _needs_one_of(call, "idTag")
    return {"idTagInfo": _id_tag_info(await cp.authorize(text(call.get("idTag"))))}


@v16.observes("Authorize")
def authorized(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """A token was judged."""
    return (ev.Authorized(cp_id=cp_id, received_ts=received_ts, status=_status_of(answer)),)


@v16.answers("StatusNotification", place=_place)
def status_notification(call: Payload, cp: ChargePointContext) -> Payload:
    """StatusNotification.conf (OCPP 1.6 §4.9)."""
    _needs_one_of(call, "status", "errorCode")
    return {}


@v16.observes("StatusNotification")
def status_changed(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """What a connector is doing, and what is wrong with it."""
    return (
        ev.ConnectorStatusChanged(
            cp_id=cp_id,
            received_ts=received_ts,
            connector_id=_connector(call),
            status=text(call.get("status"), 50),
            error_code=text(call.get("errorCode"), 50) or NO_ERROR,
            vendor_error_code=text(call.get("vendorErrorCode"), 50),
            info=text(call.get("info")),
            charger_ts=charger_ts(call.get("timestamp")),
        ),
    )


@v16.answers("MeterValues", place=None)
def meter_values(call: Payload, cp: ChargePointContext) -> Payload:
    """MeterValues.conf (OCPP 1.6 §4.7). An error would only have the charger send it again."""
    return {}


@v16.observes("MeterValues")
def meter_values_received(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """What was measured, in the transaction named or on the connector."""
    connector_id, transaction_id = _place(call)
    return (
        ev.MeterValuesReceived(
            cp_id=cp_id,
            received_ts=received_ts,
            connector_id=connector_id or WHOLE_CHARGE_POINT,
            transaction_id=transaction_id,
            readings=readings(call.get("meterValue")),
        ),
    )


# Transactions


def start_key(call: Payload) -> str:
    """What makes a start the same start when it is sent again: its content, timestamp as sent, but not the message id.

    A digest, because an id token is part of it.
    """
    content = repr([call.get(name) for name in ("connectorId", "idTag", "meterStart", "timestamp")])
    return "start " + blake2b(content.encode(errors="replace"), digest_size=16).hexdigest()


@v16.answers("StartTransaction", place=_place)
async def start_transaction(call: Payload, cp: ChargePointContext) -> Payload:
    """StartTransaction.conf (OCPP 1.6 §4.8). A token that may not charge still gets an id: charging may have begun."""
    _needs_one_of(call, "idTag", "connectorId", "meterStart", "timestamp")
    decision = await cp.start(
        id_token=text(call.get("idTag")),
        connector_id=_connector(call),
        key=start_key(call),
        reservation_id=whole(call.get("reservationId")),
    )
    return {"transactionId": decision.transaction_id, "idTagInfo": _id_tag_info(decision.info)}


@v16.observes("StartTransaction")
def transaction_started(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """A start and the id it was given; a repeat has the same key."""
    return (
        ev.TransactionStarted(
            cp_id=cp_id,
            received_ts=received_ts,
            connector_id=_connector(call),
            transaction_id=identifier(answer.get("transactionId")) or UNKNOWN_TRANSACTION,
            key=start_key(call),
            id_token=text(call.get("idTag")),
            meter_start_wh=number(call.get("meterStart")) or 0.0,
            started_ts=charger_ts(call.get("timestamp")),
            reservation_id=whole(call.get("reservationId")),
            status=_status_of(answer),
        ),
    )


@v16.answers("StopTransaction", place=_place)
async def stop_transaction(call: Payload, cp: ChargePointContext) -> Payload:
    """StopTransaction.conf (OCPP 1.6 §4.10): idTagInfo only where an idTag was given."""
    _needs_one_of(call, "transactionId", "meterStop", "timestamp", "transactionData")
    answer: Payload = {}
    if text(call.get("idTag")):
        answer["idTagInfo"] = _id_tag_info(await cp.authorize(text(call.get("idTag"))))
    (stop,) = transaction_stopped(call, answer, cp.cp_id, cp.now_ts)
    await cp.recall_stop(stop.transaction_id, stop_key(stop))
    return answer


@v16.observes("StopTransaction")
def transaction_stopped(
    call: Payload, answer: Payload, cp_id: str, received_ts: float
) -> Iterable[ev.TransactionStopped]:
    """A stop, with what was measured during the transaction; a repeat is recognised by its id."""
    return (
        ev.TransactionStopped(
            cp_id=cp_id,
            received_ts=received_ts,
            transaction_id=identifier(call.get("transactionId")) or UNKNOWN_TRANSACTION,
            meter_stop_wh=number(call.get("meterStop")),
            stopped_ts=charger_ts(call.get("timestamp")),
            reason=text(call.get("reason"), 50) or "Local",
            id_token=text(call.get("idTag")) or None,
            readings=readings(call.get("transactionData")),
        ),
    )


# The rest


@v16.answers("DataTransfer")
async def data_transfer(call: Payload, cp: ChargePointContext) -> Payload:
    """DataTransfer.conf (OCPP 1.6 §4.3): a plugin's answer, or that we know no such vendor."""
    message_id: Any = call.get("messageId")
    return await cp.data_transfer(
        text(call.get("vendorId")), None if message_id is None else text(message_id), call.get("data")
    )


@v16.answers("SignCertificate")
async def sign_certificate(call: Payload, cp: ChargePointContext) -> Payload:
    """SignCertificate.conf (OCPP 1.6 security §A02): Rejected where nobody can sign it, or may."""
    taken = await cp.sign_certificate(text(call.get("csr"), MAX_CSR + 1), kind="", echo={})
    return {"status": "Accepted" if taken else "Rejected"}


@v16.answers("SecurityEventNotification")
@v16.answers("FirmwareStatusNotification")
@v16.answers("SignedFirmwareStatusNotification")
@v16.answers("DiagnosticsStatusNotification")
@v16.answers("LogStatusNotification")
def noted(call: Payload, cp: ChargePointContext) -> Payload:
    """A notification whose answer has no fields."""
    return {}


@v16.observes("SecurityEventNotification")
def security_event(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Something to be kept for an auditor."""
    return (
        ev.SecurityEventReported(
            cp_id=cp_id,
            received_ts=received_ts,
            type=text(call.get("type"), 50),
            charger_ts=charger_ts(call.get("timestamp")),
            tech_info=text(call.get("techInfo")),
        ),
    )


@v16.observes("FirmwareStatusNotification")
@v16.observes("SignedFirmwareStatusNotification")
def firmware_status(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """How far an update is."""
    return (ev.FirmwareStatusChanged(cp_id=cp_id, received_ts=received_ts, status=text(call.get("status"), 50)),)


@v16.observes("DiagnosticsStatusNotification")
@v16.observes("LogStatusNotification")
def log_status(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """How far an upload is."""
    return (ev.LogStatusChanged(cp_id=cp_id, received_ts=received_ts, status=text(call.get("status"), 50)),)


def _status_of(answer: Payload) -> str:
    info = answer.get("idTagInfo")
    return text(info.get("status"), 50) if isinstance(info, dict) else ""
