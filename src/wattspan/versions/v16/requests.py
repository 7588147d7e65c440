"""Requests of OCPP 1.6 and its security extension: how they are answered, and which events they result in.

What needs the store or a policy is delegated to the context. Payloads may break their schema.
"""

from collections.abc import Awaitable, Iterable
from hashlib import blake2b

from wattspan.domain import events as ev
from wattspan.domain.status import error_code, status_word
from wattspan.domain.timestamps import charger_ts, wire_time
from wattspan.domain.transactions.common import stop_key
from wattspan.errors import CallFault
from wattspan.ocppj.schemas import CODES_16, Schemas
from wattspan.versions import common
from wattspan.versions.base import INVALID, ChargePointContext, IdTokenInfo, Payload, Version
from wattspan.versions.common import WHOLE_CHARGE_POINT
from wattspan.versions.fields import identifier, number, text, whole
from wattspan.versions.v16.commands import COMMANDS
from wattspan.versions.v16.readings import readings

v16 = Version(subprotocol="ocpp1.6", name="1.6", schemas=Schemas.load("v16"), codes=CODES_16, commands=dict(COMMANDS))

UNKNOWN_TRANSACTION = "-1"
"""The transactionId of a transaction that was never assigned one."""
_AUTHORIZATION_STATUSES = frozenset({"Accepted", "Blocked", "ConcurrentTx", "Expired", "Invalid"})
_BOOT_FIELDS = ("chargeBoxSerialNumber", "iccid", "imsi", "meterSerialNumber", "meterType")


def _connector(call: Payload) -> str:
    return identifier(call.get("connectorId")) or WHOLE_CHARGE_POINT


def _place(call: Payload) -> tuple[str | None, str | None]:
    return identifier(call.get("connectorId")), identifier(call.get("transactionId"))


def _needs_one_of(call: Payload, *names: str) -> None:
    """Raise CallFault if the message has none of these fields, so that there is nothing to store."""
    if not any(call.get(name) not in (None, "", []) for name in names):
        raise CallFault(CODES_16.occurrence, f"none of {', '.join(names)} is present")


def _id_tag_info(info: IdTokenInfo) -> Payload:
    answer: Payload = {"status": info.status if info.status in _AUTHORIZATION_STATUSES else INVALID}
    if info.expiry_ts is not None:
        answer["expiryDate"] = wire_time(info.expiry_ts)
    if info.parent is not None:
        answer["parentIdTag"] = info.parent
    return answer


# Core profile

v16.answers("BootNotification")(common.boot_notification)


@v16.observes("BootNotification")
def booted(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe BootNotification."""
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


v16.answers("Heartbeat")(common.heartbeat)
v16.observes("Heartbeat")(common.heartbeat_received)


@v16.answers("Authorize")
async def authorize(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer Authorize (OCPP 1.6 §4.1)."""
    _needs_one_of(call, "idTag")
    return {"idTagInfo": _id_tag_info(await cp.authorize(text(call.get("idTag"))))}


@v16.observes("Authorize")
def authorized(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe the check of an id tag."""
    return (ev.Authorized(cp_id=cp_id, received_ts=received_ts, status=_status_of(answer)),)


@v16.answers("StatusNotification", place=_place)
def status_notification(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer StatusNotification (OCPP 1.6 §4.9)."""
    _needs_one_of(call, "status", "errorCode")
    return {}


@v16.observes("StatusNotification")
def status_changed(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe the status of a connector, and its error."""
    return (
        ev.ConnectorStatusChanged(
            cp_id=cp_id,
            received_ts=received_ts,
            connector_id=_connector(call),
            status=status_word(text(call.get("status"), 50)),
            error_code=error_code(text(call.get("errorCode"), 50)),
            vendor_error_code=text(call.get("vendorErrorCode"), 50),
            info=text(call.get("info")),
            charger_ts=charger_ts(call.get("timestamp")),
        ),
    )


@v16.answers("MeterValues", place=None)
def meter_values(call: Payload, cp: ChargePointContext) -> Payload | Awaitable[Payload]:
    """Answer MeterValues (OCPP 1.6 §4.7), never with an error, for the charger would only send it again.

    The transaction it names may be one that we closed and that goes on: see `domain.transactions.v16`.
    """
    transaction_id = identifier(call.get("transactionId"))
    if transaction_id is None or not cp.may_be_closed(transaction_id):
        return {}
    return _recall(transaction_id, cp)


async def _recall(transaction_id: str, cp: ChargePointContext) -> Payload:
    await cp.recall_stop(transaction_id, "")
    return {}


@v16.observes("MeterValues")
def meter_values_received(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe MeterValues (OCPP 1.6 §4.7), of the transaction it names or of the connector."""
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
    """Return the key by which a repeated start is recognised: its content, timestamp as sent, without the message id.

    A digest, because an id token is part of it.
    """
    content = repr([call.get(name) for name in ("connectorId", "idTag", "meterStart", "timestamp")])
    return "start " + blake2b(content.encode(errors="replace"), digest_size=16).hexdigest()


@v16.answers("StartTransaction", place=_place)
async def start_transaction(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer StartTransaction (OCPP 1.6 §4.8), with an id even if the token may not charge: charging may have begun."""
    _needs_one_of(call, "idTag", "connectorId", "meterStart", "timestamp")
    decision = await cp.start(
        id_token=text(call.get("idTag")),
        connector_id=_connector(call),
        key=start_key(call),
        started_ts=charger_ts(call.get("timestamp")),
        reservation_id=whole(call.get("reservationId")),
    )
    return {"transactionId": decision.transaction_id, "idTagInfo": _id_tag_info(decision.info)}


@v16.observes("StartTransaction")
def transaction_started(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe a start and the id assigned to it; a repeat has the same key."""
    return (
        ev.TransactionStarted(
            cp_id=cp_id,
            received_ts=received_ts,
            connector_id=_connector(call),
            transaction_id=identifier(answer.get("transactionId")) or UNKNOWN_TRANSACTION,
            key=start_key(call),
            id_token=text(call.get("idTag")),
            meter_start_wh=number(call.get("meterStart")),
            started_ts=charger_ts(call.get("timestamp")),
            reservation_id=whole(call.get("reservationId")),
            status=_status_of(answer),
        ),
    )


@v16.answers("StopTransaction", place=_place)
async def stop_transaction(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer StopTransaction (OCPP 1.6 §4.10), with idTagInfo only if it has an idTag."""
    _needs_one_of(call, "transactionId", "meterStop", "timestamp", "transactionData")
    answer: Payload = {}
    if text(call.get("idTag")):
        answer["idTagInfo"] = _id_tag_info(await cp.authorize(text(call.get("idTag"))))
    # The key needs no readings, and those of a day take a tenth of a second to read.
    ends = {name: value for name, value in call.items() if name != "transactionData"}
    (stop,) = transaction_stopped(ends, answer, cp.cp_id, cp.now_ts)
    await cp.recall_stop(stop.transaction_id, stop_key(stop))
    return answer


@v16.observes("StopTransaction")
def transaction_stopped(
    call: Payload, answer: Payload, cp_id: str, received_ts: float
) -> Iterable[ev.TransactionStopped]:
    """Observe a stop, with the readings of the transaction; a repeat is recognised by its id."""
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


# Data transfer, security, firmware, diagnostics

v16.answers("DataTransfer")(common.data_transfer)


@v16.answers("SignCertificate")
async def sign_certificate(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer SignCertificate (security whitepaper §A02)."""
    return await common.sign_certificate(call, cp, kind="", echo={})


for _action, _observe in {
    "SecurityEventNotification": common.security_event,
    "FirmwareStatusNotification": common.firmware_status,
    "SignedFirmwareStatusNotification": common.firmware_status,
    "DiagnosticsStatusNotification": common.log_status,
    "LogStatusNotification": common.log_status,
}.items():
    v16.answers(_action)(common.acknowledge)
    v16.observes(_action)(_observe)


def _status_of(answer: Payload) -> str:
    info = answer.get("idTagInfo")
    return text(info.get("status"), 50) if isinstance(info, dict) else ""
