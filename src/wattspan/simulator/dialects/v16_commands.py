"""The commands of OCPP 1.6 (§5 and the security extension): one table from action to answer.

It owns their payloads; `command_actions` carries them out.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from wattspan.domain.timestamps import wire_time
from wattspan.simulator import command_actions
from wattspan.simulator.connector import Reservation
from wattspan.simulator.dialects.base import Command, FollowUp, accepted_if, status_answer
from wattspan.simulator.model import RemoteStartRequest
from wattspan.simulator.rpc import Answer, Payload

if TYPE_CHECKING:
    from wattspan.simulator.charge_point import ChargePoint

COMMANDS: dict[str, Command] = {}


def _answers(action: str) -> Callable[[Command], Command]:
    def register(command: Command) -> Command:
        COMMANDS[action] = command
        return command

    return register


@_answers("RemoteStartTransaction")
def _remote_start(cp: "ChargePoint", call: Payload) -> Answer:
    request = RemoteStartRequest(str(call["idTag"]))
    return accepted_if(command_actions.remote_start(cp, call.get("connectorId"), request, call.get("chargingProfile")))


@_answers("RemoteStopTransaction")
def _remote_stop(cp: "ChargePoint", call: Payload) -> Answer:
    return accepted_if(command_actions.remote_stop(cp, call["transactionId"]))


@_answers("Reset")
def _reset(cp: "ChargePoint", call: Payload) -> Answer:
    return accepted_if(command_actions.reset(cp, {"Hard": "HardReset", "Soft": "SoftReset"}[call["type"]]))


@_answers("UnlockConnector")
def _unlock(cp: "ChargePoint", call: Payload) -> Answer:
    follow_up = command_actions.unlock(cp, call["connectorId"])
    return status_answer("NotSupported" if follow_up is None else "Unlocked", follow_up)


@_answers("ChangeAvailability")
def _change_availability(cp: "ChargePoint", call: Payload) -> Answer:
    operative = {"Operative": True, "Inoperative": False}[call["type"]]
    return status_answer(*command_actions.change_availability(cp, call["connectorId"], operative=operative))


@_answers("GetConfiguration")
def _get_configuration(cp: "ChargePoint", call: Payload) -> Answer:
    return Answer(cp.configuration.get_configuration(call.get("key", ())))


@_answers("ChangeConfiguration")
def _change_configuration(cp: "ChargePoint", call: Payload) -> Answer:
    return status_answer(cp.configuration.change(call["key"], str(call["value"])), cp.limits_changed)


@_answers("ClearCache")
def _clear_cache(_: "ChargePoint", __: Payload) -> Answer:
    return status_answer("Accepted")


@_answers("DataTransfer")
def _data_transfer(_: "ChargePoint", call: Payload) -> Answer:
    return status_answer("Accepted" if call["vendorId"] == "Wattspan" else "UnknownVendorId")


@_answers("SetChargingProfile")
def _set_profile(cp: "ChargePoint", call: Payload) -> Answer:
    return accepted_if(command_actions.set_profile(cp, call["connectorId"], call["csChargingProfiles"]))


@_answers("ClearChargingProfile")
def _clear_profile(cp: "ChargePoint", call: Payload) -> Answer:
    return status_answer("Accepted" if cp.profiles.clear(call) else "Unknown", cp.limits_changed)


@_answers("GetCompositeSchedule")
def _composite_schedule(cp: "ChargePoint", call: Payload) -> Answer:
    number, duration_s = int(call["connectorId"]), int(call["duration"])
    connector = cp.connector(number)
    if number and connector is None:
        return status_answer("Rejected")
    at = cp.evaluation_time(connector.transaction if connector else None)
    begins = wire_time(at.ts)
    return Answer(
        {
            "status": "Accepted",
            "connectorId": number,
            "scheduleStart": begins,
            "chargingSchedule": {
                "duration": duration_s,
                "startSchedule": begins,
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": cp.profiles.composite(number, at, duration_s, cp.max_current_a),
            },
        }
    )


@_answers("ReserveNow")
def _reserve(cp: "ChargePoint", call: Payload) -> Answer:
    reservation = Reservation(
        id=int(call["reservationId"]),
        id_tag=str(call["idTag"]),
        expires_ts=datetime.fromisoformat(call["expiryDate"]).timestamp(),
    )
    return status_answer(*command_actions.reserve(cp, call["connectorId"], reservation))


@_answers("CancelReservation")
def _cancel_reservation(cp: "ChargePoint", call: Payload) -> Answer:
    return accepted_if(command_actions.cancel_reservation(cp, call["reservationId"]))


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
    return status_answer(command_actions.send_local_list(cp, version, entries, differential=differential))


@_answers("TriggerMessage")
@_answers("ExtendedTriggerMessage")
def _trigger(cp: "ChargePoint", call: Payload) -> Answer:
    number = call.get("connectorId")
    chosen = command_actions.connectors(cp, number or 0)
    if not chosen:
        return status_answer("Rejected")
    triggers: dict[str, FollowUp] = {
        "BootNotification": cp.boot,
        "Heartbeat": cp.heartbeat,
        "MeterValues": command_actions.read_meters(cp, chosen),
        "StatusNotification": command_actions.report_states(cp, chosen),
        "DiagnosticsStatusNotification": partial(cp.send, "DiagnosticsStatusNotification", {"status": "Idle"}),
        "FirmwareStatusNotification": partial(cp.send, "FirmwareStatusNotification", {"status": "Idle"}),
        "LogStatusNotification": partial(cp.send, "LogStatusNotification", {"status": "Idle"}),
        "SignChargePointCertificate": partial(cp.send, "SignCertificate", {"csr": f"virtual request of {cp.cp_id}"}),
    }
    return accepted_if(triggers.get(call["requestedMessage"]), otherwise="NotImplemented")


@_answers("GetDiagnostics")
def _get_diagnostics(cp: "ChargePoint", _: Payload) -> Answer:
    steps = [{"status": status} for status in ("Uploading", "Uploaded")]
    follow_up = command_actions.send_in_steps(cp, "DiagnosticsStatusNotification", steps)
    return Answer({"fileName": f"{cp.cp_id}-diagnostics.zip"}, follow_up)


@_answers("GetLog")
def _get_log(cp: "ChargePoint", call: Payload) -> Answer:
    steps = [{"status": status, "requestId": int(call["requestId"])} for status in ("Uploading", "Uploaded")]
    follow_up = command_actions.send_in_steps(cp, "LogStatusNotification", steps)
    return Answer({"status": "Accepted", "filename": f"{cp.cp_id}.log"}, follow_up)


@_answers("UpdateFirmware")
def _update_firmware(cp: "ChargePoint", _: Payload) -> Answer:
    steps = [{"status": status} for status in ("Downloading", "Downloaded", "Installing", "Installed")]
    return Answer({}, command_actions.install(cp, "FirmwareStatusNotification", steps))


@_answers("SignedUpdateFirmware")
def _signed_update_firmware(cp: "ChargePoint", call: Payload) -> Answer:
    statuses = ("Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed")
    steps = [{"status": status, "requestId": int(call["requestId"])} for status in statuses]
    return accepted_if(command_actions.install(cp, "SignedFirmwareStatusNotification", steps))


@_answers("InstallCertificate")
def _install_certificate(cp: "ChargePoint", call: Payload) -> Answer:
    command_actions.install_certificate(cp, call["certificateType"], call["certificate"])
    return status_answer("Accepted")


@_answers("GetInstalledCertificateIds")
def _installed_certificates(cp: "ChargePoint", call: Payload) -> Answer:
    found = [c["hash"] for c in cp.certificates.values() if c["certificateType"] == call["certificateType"]]
    return Answer({"status": "Accepted", "certificateHashData": found}) if found else status_answer("NotFound")


@_answers("DeleteCertificate")
def _delete_certificate(cp: "ChargePoint", call: Payload) -> Answer:
    return status_answer(command_actions.delete_certificate(cp, call["certificateHashData"]))


@_answers("CertificateSigned")
def _certificate_signed(_: "ChargePoint", call: Payload) -> Answer:
    return status_answer("Accepted" if call["certificateChain"] else "Rejected")
