"""How a virtual charge point answers the central system: one table, action to answer (OCPP 1.6 §5, security extension).

An answer is given at once; what it promises happens after it is sent.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from wattspan.errors import CallFault
from wattspan.simulator import messages
from wattspan.simulator.connector import Connector, Reservation
from wattspan.simulator.link import Answer, Payload

if TYPE_CHECKING:
    from wattspan.simulator.charge_point import ChargePoint

_Command = Callable[["ChargePoint", Payload], Answer]
_ANSWERS: dict[str, _Command] = {}
_STEP_S = 30.0
"""Simulated seconds between the steps of an upload or an installation."""


def answer(cp: "ChargePoint", action: str, payload: Payload) -> Answer:
    """Answers a command. Raises CallFault for what it does not know or can't read."""
    command = _ANSWERS.get(action)
    if command is None:
        raise CallFault("NotImplemented", f"{action} is no command we know")
    try:
        return command(cp, payload)
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise CallFault("FormationViolation", f"{action} can't be read: {type(exc).__name__}") from exc


def _answers(action: str) -> Callable[[_Command], _Command]:
    def enter(command: _Command) -> _Command:
        _ANSWERS[action] = command
        return command

    return enter


def _says(status: str, then: Callable[[], None] | None = None) -> Answer:
    return Answer({"status": status}, then)


@_answers("RemoteStartTransaction")
def _remote_start(cp: "ChargePoint", call: Payload) -> Answer:
    wanted = call.get("connectorId")
    candidates = cp.connectors if wanted is None else [c for c in cp.connectors if c.id == wanted]
    id_tag = str(call["idTag"])
    chosen = next((c for c in candidates if c.free and _may_use(c, id_tag)), None)
    if chosen is None:
        return _says("Rejected")
    profile = call.get("chargingProfile")
    if profile is not None and not cp.profiles.set(chosen.id, profile):
        return _says("Rejected")
    return _says("Accepted", partial(chosen.summon, id_tag))


def _may_use(connector: Connector, id_tag: str) -> bool:
    return connector.reservation is None or connector.reservation.id_tag == id_tag


@_answers("RemoteStopTransaction")
def _remote_stop(cp: "ChargePoint", call: Payload) -> Answer:
    for connector in cp.connectors:
        if connector.transaction is not None and connector.transaction.id == call["transactionId"]:
            return _says("Accepted", partial(connector.end_session, "Remote"))
    return _says("Rejected")


@_answers("Reset")
def _reset(cp: "ChargePoint", call: Payload) -> Answer:
    reason = {"Hard": "HardReset", "Soft": "SoftReset"}[call["type"]]
    return _says("Accepted", lambda: cp.spawn(cp.reboot(reason)))


@_answers("UnlockConnector")
def _unlock(cp: "ChargePoint", call: Payload) -> Answer:
    connector = cp.connector(call["connectorId"])
    if connector is None:
        return _says("NotSupported")
    return _says("Unlocked", partial(connector.end_session, "UnlockCommand"))


@_answers("ChangeAvailability")
def _change_availability(cp: "ChargePoint", call: Payload) -> Answer:
    operative = {"Operative": True, "Inoperative": False}[call["type"]]
    chosen = _connectors(cp, call["connectorId"])
    if not chosen:
        return _says("Rejected")
    scheduled = not operative and any(connector.busy for connector in chosen)

    def change() -> None:
        for connector in chosen:
            connector.set_operative(operative)

    return _says("Scheduled" if scheduled else "Accepted", change)


@_answers("GetConfiguration")
def _get_configuration(cp: "ChargePoint", call: Payload) -> Answer:
    return Answer(cp.configuration.get_configuration(call.get("key", ())))


@_answers("ChangeConfiguration")
def _change_configuration(cp: "ChargePoint", call: Payload) -> Answer:
    return _says(cp.configuration.change_configuration(call["key"], str(call["value"])), cp.limits_changed)


@_answers("ClearCache")
def _clear_cache(_: "ChargePoint", __: Payload) -> Answer:
    return _says("Accepted")


@_answers("DataTransfer")
def _data_transfer(_: "ChargePoint", call: Payload) -> Answer:
    return _says("Accepted" if call["vendorId"] == "Wattspan" else "UnknownVendorId")


@_answers("SetChargingProfile")
def _set_profile(cp: "ChargePoint", call: Payload) -> Answer:
    number, profile = call["connectorId"], call["csChargingProfiles"]
    if number and cp.connector(number) is None:
        return _says("Rejected")
    if profile["chargingProfilePurpose"] == "TxProfile":
        connector = cp.connector(number)
        if connector is None or connector.transaction is None:  # OCPP 1.6 §5.16.2
            return _says("Rejected")
    return _says("Accepted" if cp.profiles.set(number, profile) else "Rejected", cp.limits_changed)


@_answers("ClearChargingProfile")
def _clear_profile(cp: "ChargePoint", call: Payload) -> Answer:
    return _says("Accepted" if cp.profiles.clear(call) else "Unknown", cp.limits_changed)


@_answers("GetCompositeSchedule")
def _composite_schedule(cp: "ChargePoint", call: Payload) -> Answer:
    number, duration_s = int(call["connectorId"]), int(call["duration"])
    connector = cp.connector(number)
    if number and connector is None:
        return _says("Rejected")
    moment = cp.moment(connector.transaction if connector else None)
    begins = messages.timestamp(moment.ts)
    return Answer(
        {
            "status": "Accepted",
            "connectorId": number,
            "scheduleStart": begins,
            "chargingSchedule": {
                "duration": duration_s,
                "startSchedule": begins,
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": cp.profiles.composite(number, moment, duration_s, cp.hardware_a),
            },
        }
    )


@_answers("ReserveNow")
def _reserve(cp: "ChargePoint", call: Payload) -> Answer:
    connector = cp.connector(call["connectorId"])
    if connector is None:
        return _says("Rejected")
    kept = Reservation(
        id=int(call["reservationId"]),
        id_tag=str(call["idTag"]),
        expires_ts=datetime.fromisoformat(call["expiryDate"]).timestamp(),
    )
    same = connector.reservation is not None and connector.reservation.id == kept.id
    refusal = {"Faulted": "Faulted", "Unavailable": "Unavailable", "Available": None}.get(connector.status, "Occupied")
    if refusal is not None and not same:
        return _says(refusal)

    def keep() -> None:
        connector.reserve(kept)
        cp.spawn(_expire(cp, connector, kept))

    return _says("Accepted", keep)


async def _expire(cp: "ChargePoint", connector: Connector, kept: Reservation) -> None:
    await cp.clock.pause(max(0.0, kept.expires_ts - cp.now_ts()))
    if connector.reservation is kept:
        connector.reserve(None)


@_answers("CancelReservation")
def _cancel_reservation(cp: "ChargePoint", call: Payload) -> Answer:
    for connector in cp.connectors:
        if connector.reservation is not None and connector.reservation.id == call["reservationId"]:
            return _says("Accepted", partial(connector.reserve, None))
    return _says("Rejected")


@_answers("GetLocalListVersion")
def _local_list_version(cp: "ChargePoint", _: Payload) -> Answer:
    return Answer({"listVersion": cp.local_list_version})


@_answers("SendLocalList")
def _send_local_list(cp: "ChargePoint", call: Payload) -> Answer:
    differential, version = {"Full": False, "Differential": True}[call["updateType"]], int(call["listVersion"])
    if differential and version <= cp.local_list_version:
        return _says("VersionMismatch")
    changed = dict(cp.local_list) if differential else {}
    for entry in call.get("localAuthorizationList", ()):
        if "idTagInfo" in entry:
            changed[entry["idTag"]] = entry["idTagInfo"]["status"]
        else:
            changed.pop(entry["idTag"], None)
    cp.local_list, cp.local_list_version = changed, version
    return _says("Accepted")


@_answers("TriggerMessage")
@_answers("ExtendedTriggerMessage")
def _trigger(cp: "ChargePoint", call: Payload) -> Answer:
    number = call.get("connectorId")
    if number is not None and not _connectors(cp, number):
        return _says("Rejected")
    chosen = _connectors(cp, number or 0)
    requests: dict[str, Callable[[], None]] = {
        "BootNotification": cp.boot,
        "Heartbeat": cp.heartbeat,
        "MeterValues": partial(_read_meters, cp, chosen),
        "StatusNotification": partial(_report, cp, chosen),
        "DiagnosticsStatusNotification": lambda: cp.send("DiagnosticsStatusNotification", {"status": "Idle"}),
        "FirmwareStatusNotification": lambda: cp.send("FirmwareStatusNotification", {"status": "Idle"}),
        "LogStatusNotification": lambda: cp.send("LogStatusNotification", {"status": "Idle"}),
        "SignChargePointCertificate": lambda: cp.send("SignCertificate", {"csr": f"virtual request of {cp.cp_id}"}),
    }
    request = requests.get(call["requestedMessage"])
    return _says("Accepted", request) if request is not None else _says("NotImplemented")


def _read_meters(cp: "ChargePoint", connectors: list[Connector]) -> None:
    for connector in connectors:
        transaction_id = connector.transaction.id if connector.transaction is not None else None
        payload = messages.meter_values(connector.id, transaction_id, cp.now_ts(), connector.samples("Trigger"))
        cp.send("MeterValues", payload, cp.metered)


def _report(cp: "ChargePoint", connectors: list[Connector]) -> None:
    for connector in connectors:
        cp.report_status(connector)


@_answers("GetDiagnostics")
def _get_diagnostics(cp: "ChargePoint", _: Payload) -> Answer:
    steps = [("DiagnosticsStatusNotification", {"status": status}) for status in ("Uploading", "Uploaded")]
    return Answer({"fileName": f"{cp.cp_id}-diagnostics.zip"}, lambda: cp.spawn(_tell(cp, steps)))


@_answers("GetLog")
def _get_log(cp: "ChargePoint", call: Payload) -> Answer:
    of = {"requestId": int(call["requestId"])}
    steps = [("LogStatusNotification", {"status": status} | of) for status in ("Uploading", "Uploaded")]
    return Answer({"status": "Accepted", "filename": f"{cp.cp_id}.log"}, lambda: cp.spawn(_tell(cp, steps)))


@_answers("UpdateFirmware")
def _update_firmware(cp: "ChargePoint", _: Payload) -> Answer:
    statuses = ("Downloading", "Downloaded", "Installing", "Installed")
    steps = [("FirmwareStatusNotification", {"status": status}) for status in statuses]
    return Answer({}, lambda: cp.spawn(_install(cp, steps)))


@_answers("SignedUpdateFirmware")
def _signed_update_firmware(cp: "ChargePoint", call: Payload) -> Answer:
    of = {"requestId": int(call["requestId"])}
    statuses = ("Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed")
    steps = [("SignedFirmwareStatusNotification", {"status": status} | of) for status in statuses]
    return _says("Accepted", lambda: cp.spawn(_install(cp, steps)))


@_answers("InstallCertificate")
def _install_certificate(cp: "ChargePoint", call: Payload) -> Answer:
    digest = sha256(call["certificate"].encode()).hexdigest()
    cp.certificates[digest[:40]] = {
        "certificateType": call["certificateType"],
        "hash": {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": digest,
            "issuerKeyHash": digest,
            "serialNumber": digest[:40],
        },
    }
    return _says("Accepted")


@_answers("GetInstalledCertificateIds")
def _installed_certificates(cp: "ChargePoint", call: Payload) -> Answer:
    found = [c["hash"] for c in cp.certificates.values() if c["certificateType"] == call["certificateType"]]
    return Answer({"status": "Accepted", "certificateHashData": found}) if found else _says("NotFound")


@_answers("DeleteCertificate")
def _delete_certificate(cp: "ChargePoint", call: Payload) -> Answer:
    gone = cp.certificates.pop(call["certificateHashData"]["serialNumber"], None)
    return _says("Accepted" if gone else "NotFound")


@_answers("CertificateSigned")
def _certificate_signed(_: "ChargePoint", call: Payload) -> Answer:
    return _says("Accepted" if call["certificateChain"] else "Rejected")


def _connectors(cp: "ChargePoint", number: object) -> list[Connector]:
    """Those a command means: 0 is all."""
    return [connector for connector in cp.connectors if number in {0, connector.id}]


async def _tell(cp: "ChargePoint", steps: list[tuple[str, Payload]]) -> None:
    for action, payload in steps:
        cp.send(action, payload)
        await cp.clock.sleep(_STEP_S)


async def _install(cp: "ChargePoint", steps: list[tuple[str, Payload]]) -> None:
    await _tell(cp, steps)
    major, minor, patch = cp.firmware.split(".")
    cp.firmware = f"{major}.{minor}.{int(patch) + 1}"
    await cp.reboot("Reboot")
