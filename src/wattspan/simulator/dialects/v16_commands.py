"""How a virtual charge point answers OCPP 1.6's commands: one table, action to answer (§5, security extension)."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from wattspan.simulator import deeds
from wattspan.simulator.connector import Reservation
from wattspan.simulator.dialects.base import Command, Then, granted, says
from wattspan.simulator.facts import Summons, timestamp
from wattspan.simulator.link import Answer, Payload

if TYPE_CHECKING:
    from wattspan.simulator.charge_point import ChargePoint

COMMANDS: dict[str, Command] = {}


def _answers(action: str) -> Callable[[Command], Command]:
    def enter(command: Command) -> Command:
        COMMANDS[action] = command
        return command

    return enter


@_answers("RemoteStartTransaction")
def _remote_start(cp: "ChargePoint", call: Payload) -> Answer:
    summons = Summons(str(call["idTag"]))
    return granted(deeds.remote_start(cp, call.get("connectorId"), summons, call.get("chargingProfile")))


@_answers("RemoteStopTransaction")
def _remote_stop(cp: "ChargePoint", call: Payload) -> Answer:
    return granted(deeds.remote_stop(cp, call["transactionId"]))


@_answers("Reset")
def _reset(cp: "ChargePoint", call: Payload) -> Answer:
    return granted(deeds.reset(cp, {"Hard": "HardReset", "Soft": "SoftReset"}[call["type"]]))


@_answers("UnlockConnector")
def _unlock(cp: "ChargePoint", call: Payload) -> Answer:
    then = deeds.unlock(cp, call["connectorId"])
    return says("NotSupported" if then is None else "Unlocked", then)


@_answers("ChangeAvailability")
def _change_availability(cp: "ChargePoint", call: Payload) -> Answer:
    operative = {"Operative": True, "Inoperative": False}[call["type"]]
    return says(*deeds.change_availability(cp, call["connectorId"], operative=operative))


@_answers("GetConfiguration")
def _get_configuration(cp: "ChargePoint", call: Payload) -> Answer:
    return Answer(cp.configuration.get_configuration(call.get("key", ())))


@_answers("ChangeConfiguration")
def _change_configuration(cp: "ChargePoint", call: Payload) -> Answer:
    return says(cp.configuration.change(call["key"], str(call["value"])), cp.limits_changed)


@_answers("ClearCache")
def _clear_cache(_: "ChargePoint", __: Payload) -> Answer:
    return says("Accepted")


@_answers("DataTransfer")
def _data_transfer(_: "ChargePoint", call: Payload) -> Answer:
    return says("Accepted" if call["vendorId"] == "Wattspan" else "UnknownVendorId")


@_answers("SetChargingProfile")
def _set_profile(cp: "ChargePoint", call: Payload) -> Answer:
    return granted(deeds.set_profile(cp, call["connectorId"], call["csChargingProfiles"]))


@_answers("ClearChargingProfile")
def _clear_profile(cp: "ChargePoint", call: Payload) -> Answer:
    return says("Accepted" if cp.profiles.clear(call) else "Unknown", cp.limits_changed)


@_answers("GetCompositeSchedule")
def _composite_schedule(cp: "ChargePoint", call: Payload) -> Answer:
    number, duration_s = int(call["connectorId"]), int(call["duration"])
    connector = cp.connector(number)
    if number and connector is None:
        return says("Rejected")
    moment = cp.moment(connector.transaction if connector else None)
    begins = timestamp(moment.ts)
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
    kept = Reservation(
        id=int(call["reservationId"]),
        id_tag=str(call["idTag"]),
        expires_ts=datetime.fromisoformat(call["expiryDate"]).timestamp(),
    )
    return says(*deeds.reserve(cp, call["connectorId"], kept))


@_answers("CancelReservation")
def _cancel_reservation(cp: "ChargePoint", call: Payload) -> Answer:
    return granted(deeds.cancel_reservation(cp, call["reservationId"]))


@_answers("GetLocalListVersion")
def _local_list_version(cp: "ChargePoint", _: Payload) -> Answer:
    return Answer({"listVersion": cp.local_list_version})


@_answers("SendLocalList")
def _send_local_list(cp: "ChargePoint", call: Payload) -> Answer:
    differential, version = {"Full": False, "Differential": True}[call["updateType"]], int(call["listVersion"])
    entries = [
        (entry["idTag"], entry["idTagInfo"]["status"] if "idTagInfo" in entry else None)
        for entry in call.get("localAuthorizationList", ())
    ]
    return says(deeds.send_local_list(cp, version, entries, differential=differential))


@_answers("TriggerMessage")
@_answers("ExtendedTriggerMessage")
def _trigger(cp: "ChargePoint", call: Payload) -> Answer:
    number = call.get("connectorId")
    chosen = deeds.connectors(cp, number or 0)
    if not chosen:
        return says("Rejected")
    requests: dict[str, Then] = {
        "BootNotification": cp.boot,
        "Heartbeat": cp.heartbeat,
        "MeterValues": deeds.read_meters(cp, chosen),
        "StatusNotification": deeds.report_states(cp, chosen),
        "DiagnosticsStatusNotification": partial(cp.send, "DiagnosticsStatusNotification", {"status": "Idle"}),
        "FirmwareStatusNotification": partial(cp.send, "FirmwareStatusNotification", {"status": "Idle"}),
        "LogStatusNotification": partial(cp.send, "LogStatusNotification", {"status": "Idle"}),
        "SignChargePointCertificate": partial(cp.send, "SignCertificate", {"csr": f"virtual request of {cp.cp_id}"}),
    }
    return granted(requests.get(call["requestedMessage"]), otherwise="NotImplemented")


@_answers("GetDiagnostics")
def _get_diagnostics(cp: "ChargePoint", _: Payload) -> Answer:
    steps = [{"status": status} for status in ("Uploading", "Uploaded")]
    then = deeds.step_by_step(cp, "DiagnosticsStatusNotification", steps)
    return Answer({"fileName": f"{cp.cp_id}-diagnostics.zip"}, then)


@_answers("GetLog")
def _get_log(cp: "ChargePoint", call: Payload) -> Answer:
    steps = [{"status": status, "requestId": int(call["requestId"])} for status in ("Uploading", "Uploaded")]
    then = deeds.step_by_step(cp, "LogStatusNotification", steps)
    return Answer({"status": "Accepted", "filename": f"{cp.cp_id}.log"}, then)


@_answers("UpdateFirmware")
def _update_firmware(cp: "ChargePoint", _: Payload) -> Answer:
    steps = [{"status": status} for status in ("Downloading", "Downloaded", "Installing", "Installed")]
    return Answer({}, deeds.install(cp, "FirmwareStatusNotification", steps))


@_answers("SignedUpdateFirmware")
def _signed_update_firmware(cp: "ChargePoint", call: Payload) -> Answer:
    statuses = ("Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed")
    steps = [{"status": status, "requestId": int(call["requestId"])} for status in statuses]
    return granted(deeds.install(cp, "SignedFirmwareStatusNotification", steps))


@_answers("InstallCertificate")
def _install_certificate(cp: "ChargePoint", call: Payload) -> Answer:
    deeds.install_certificate(cp, call["certificateType"], call["certificate"])
    return says("Accepted")


@_answers("GetInstalledCertificateIds")
def _installed_certificates(cp: "ChargePoint", call: Payload) -> Answer:
    found = [c["hash"] for c in cp.certificates.values() if c["certificateType"] == call["certificateType"]]
    return Answer({"status": "Accepted", "certificateHashData": found}) if found else says("NotFound")


@_answers("DeleteCertificate")
def _delete_certificate(cp: "ChargePoint", call: Payload) -> Answer:
    return says(deeds.delete_certificate(cp, call["certificateHashData"]))


@_answers("CertificateSigned")
def _certificate_signed(_: "ChargePoint", call: Payload) -> Answer:
    return says("Accepted" if call["certificateChain"] else "Rejected")
