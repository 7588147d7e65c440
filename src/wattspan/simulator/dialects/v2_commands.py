"""The commands of OCPP 2.0.1, and of 2.1 where they are the same: one table from action to answer.

It owns their payloads; `command_actions` carries them out.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from wattspan.domain.timestamps import wire_time
from wattspan.simulator import command_actions
from wattspan.simulator.connector import Reservation
from wattspan.simulator.dialects import v2, v2_profiles, variables
from wattspan.simulator.dialects.base import Command, FollowUp, accepted_if, status_answer
from wattspan.simulator.model import RemoteStartRequest
from wattspan.simulator.rpc import Answer, Payload

if TYPE_CHECKING:
    from wattspan.simulator.charge_point import ChargePoint

COMMANDS: dict[str, Command] = {}
_REPORT_ENTRIES = 8
"""Maximum number of variables in one NotifyReport."""


def _answers(action: str) -> Callable[[Command], Command]:
    def register(command: Command) -> Command:
        COMMANDS[action] = command
        return command

    return register


@_answers("RequestStartTransaction")
def _request_start(cp: "ChargePoint", call: Payload) -> Answer:
    request = RemoteStartRequest(str(call["idToken"]["idToken"]), int(call["remoteStartId"]))
    profile_v2 = call.get("chargingProfile")
    profile = None if profile_v2 is None else v2_profiles.to_v16_profile(profile_v2)
    return accepted_if(command_actions.remote_start(cp, call.get("evseId"), request, profile))


@_answers("RequestStopTransaction")
def _request_stop(cp: "ChargePoint", call: Payload) -> Answer:
    return accepted_if(command_actions.remote_stop(cp, call["transactionId"]))


@_answers("GetTransactionStatus")
def _transaction_status(cp: "ChargePoint", call: Payload) -> Answer:
    answer: Payload = {"messagesInQueue": cp.outbox.durable > 0}
    transaction_id = call.get("transactionId")
    if transaction_id is None:  # E14.FR.06
        return Answer(answer)
    running = {connector.transaction.id for connector in cp.connectors if connector.transaction is not None}
    return Answer(answer | {"ongoingIndicator": transaction_id in running})


@_answers("Reset")
def _reset(cp: "ChargePoint", call: Payload) -> Answer:
    if "evseId" in call:
        return status_answer("Rejected")  # a single EVSE cannot be reset (B11.FR.09)
    if {"Immediate": True, "OnIdle": False}[call["type"]]:
        return status_answer("Accepted", command_actions.reset(cp, "HardReset"))
    busy = any(connector.transaction is not None for connector in cp.connectors)
    return status_answer("Scheduled" if busy else "Accepted", command_actions.reset_when_idle(cp))


@_answers("UnlockConnector")
def _unlock(cp: "ChargePoint", call: Payload) -> Answer:
    connector = cp.connector(call["evseId"])
    if connector is None or call["connectorId"] != 1:
        return status_answer("UnknownConnector")
    if connector.transaction is not None:  # F05.FR.02
        return status_answer("OngoingAuthorizedTransaction")
    return status_answer("Unlocked", command_actions.unlock(cp, connector.id))


@_answers("ChangeAvailability")
def _change_availability(cp: "ChargePoint", call: Payload) -> Answer:
    operative = {"Operative": True, "Inoperative": False}[call["operationalStatus"]]
    return status_answer(
        *command_actions.change_availability(cp, call.get("evse", {"id": 0})["id"], operative=operative)
    )


@_answers("GetVariables")
def _get_variables(cp: "ChargePoint", call: Payload) -> Answer:
    found = [variables.get_variable(cp.configuration, each) for each in call["getVariableData"]]
    return Answer({"getVariableResult": found})


@_answers("SetVariables")
def _set_variables(cp: "ChargePoint", call: Payload) -> Answer:
    done = [variables.set_variable(cp.configuration, each) for each in call["setVariableData"]]
    return Answer({"setVariableResult": done}, cp.limits_changed)


@_answers("GetBaseReport")
def _base_report(cp: "ChargePoint", call: Payload) -> Answer:
    request_id = int(call["requestId"])
    supported = {"ConfigurationInventory", "FullInventory", "SummaryInventory"}
    return accepted_if(
        partial(_report, cp, request_id) if call["reportBase"] in supported else None, otherwise="NotSupported"
    )


def _report(cp: "ChargePoint", request_id: int) -> None:
    """Send all variables in as many NotifyReports as needed (B07.FR.02)."""
    entries = variables.report(cp)
    parts = list(iter(lambda: list(islice(entries, _REPORT_ENTRIES)), []))
    for number, part in enumerate(parts):
        payload = {
            "requestId": request_id,
            "generatedAt": wire_time(cp.now_ts()),
            "seqNo": number,
            "tbc": number < len(parts) - 1,
            "reportData": part,
        }
        cp.send("NotifyReport", payload)


@_answers("ClearCache")
def _clear_cache(_: "ChargePoint", __: Payload) -> Answer:
    return status_answer("Accepted")


@_answers("DataTransfer")
def _data_transfer(_: "ChargePoint", call: Payload) -> Answer:
    return status_answer("Accepted" if call["vendorId"] == "Wattspan" else "UnknownVendorId")


@_answers("SetChargingProfile")
def _set_profile(cp: "ChargePoint", call: Payload) -> Answer:
    return accepted_if(
        command_actions.set_profile(cp, call["evseId"], v2_profiles.to_v16_profile(call["chargingProfile"]))
    )


@_answers("ClearChargingProfile")
def _clear_profile(cp: "ChargePoint", call: Payload) -> Answer:
    cleared = cp.profiles.clear(v2_profiles.to_v16_criteria(call))
    return status_answer("Accepted" if cleared else "Unknown", cp.limits_changed)


@_answers("GetChargingProfiles")
def _get_profiles(cp: "ChargePoint", call: Payload) -> Answer:
    reports = list(v2_profiles.reports(cp.profiles, call))
    if not reports:
        return status_answer("NoProfiles")

    def send_reports() -> None:
        for payload in reports:
            cp.send("ReportChargingProfiles", payload)

    return status_answer("Accepted", send_reports)


@_answers("GetCompositeSchedule")
def _composite_schedule(cp: "ChargePoint", call: Payload) -> Answer:
    number, duration_s = int(call["evseId"]), int(call["duration"])
    connector = cp.connector(number)
    if (number and connector is None) or call.get("chargingRateUnit", "A") != "A":
        return status_answer("Rejected")
    at = cp.evaluation_time(connector.transaction if connector else None)
    schedule = {
        "evseId": number,
        "duration": duration_s,
        "scheduleStart": wire_time(at.ts),
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": cp.profiles.composite(number, at, duration_s, cp.max_current_a),
    }
    return Answer({"status": "Accepted", "schedule": schedule})


@_answers("ReserveNow")
def _reserve(cp: "ChargePoint", call: Payload) -> Answer:
    reservation = Reservation(
        id=int(call["id"]),
        id_tag=str(call["idToken"]["idToken"]),
        expires_ts=datetime.fromisoformat(call["expiryDateTime"]).timestamp(),
    )
    free = next((connector.id for connector in cp.connectors if connector.free), 0)
    return status_answer(*command_actions.reserve(cp, call.get("evseId", free), reservation))


@_answers("CancelReservation")
def _cancel_reservation(cp: "ChargePoint", call: Payload) -> Answer:
    return accepted_if(command_actions.cancel_reservation(cp, call["reservationId"]))


@_answers("GetLocalListVersion")
def _local_list_version(cp: "ChargePoint", _: Payload) -> Answer:
    return Answer({"versionNumber": cp.local_list_version})


@_answers("SendLocalList")
def _send_local_list(cp: "ChargePoint", call: Payload) -> Answer:
    differential, version = {"Full": False, "Differential": True}[call["updateType"]], int(call["versionNumber"])
    entries = [
        (entry["idToken"]["idToken"], entry["idTokenInfo"]["status"] if "idTokenInfo" in entry else None)
        for entry in call.get("localAuthorizationList", ())
    ]
    return status_answer(command_actions.send_local_list(cp, version, entries, differential=differential))


@_answers("TriggerMessage")
def _trigger(cp: "ChargePoint", call: Payload) -> Answer:
    chosen = command_actions.connectors(cp, call.get("evse", {"id": 0})["id"])
    if not chosen:
        return status_answer("Rejected")
    csr = {"csr": f"virtual request of {cp.cp_id}", "certificateType": "ChargingStationCertificate"}
    triggers: dict[str, FollowUp] = {
        "BootNotification": cp.boot,
        "Heartbeat": cp.heartbeat,
        "MeterValues": command_actions.read_meters(cp, chosen),
        "StatusNotification": command_actions.report_states(cp, chosen),
        "TransactionEvent": partial(_queue_transaction_events, cp, [connector.id for connector in chosen]),
        "FirmwareStatusNotification": partial(cp.send, "FirmwareStatusNotification", {"status": "Idle"}),
        "LogStatusNotification": partial(cp.send, "LogStatusNotification", {"status": "Idle"}),
        "SignChargingStationCertificate": partial(cp.send, "SignCertificate", csr),
    }
    return accepted_if(triggers.get(call["requestedMessage"]), otherwise="NotImplemented")


def _queue_transaction_events(cp: "ChargePoint", numbers: list[int]) -> None:
    for connector in cp.connectors:
        if connector.id in numbers and connector.transaction is not None:
            state = connector.status if connector.status in v2.CHARGING_STATES else "EVConnected"
            cp.queue_durably(
                v2.triggered_event(connector.transaction, connector.reading(), state), connector.transaction
            )


@_answers("GetLog")
def _get_log(cp: "ChargePoint", call: Payload) -> Answer:
    steps = [{"status": status, "requestId": int(call["requestId"])} for status in ("Uploading", "Uploaded")]
    follow_up = command_actions.send_in_steps(cp, "LogStatusNotification", steps)
    return Answer({"status": "Accepted", "filename": f"{cp.cp_id}.log"}, follow_up)


@_answers("UpdateFirmware")
def _update_firmware(cp: "ChargePoint", call: Payload) -> Answer:
    checked = ("SignatureVerified",) if "signature" in call["firmware"] else ()
    statuses = ("Downloading", "Downloaded", *checked, "Installing", "Installed")
    steps = [{"status": status, "requestId": int(call["requestId"])} for status in statuses]
    return accepted_if(command_actions.install(cp, "FirmwareStatusNotification", steps))


@_answers("InstallCertificate")
def _install_certificate(cp: "ChargePoint", call: Payload) -> Answer:
    command_actions.install_certificate(cp, call["certificateType"], call["certificate"])
    return status_answer("Accepted")


@_answers("GetInstalledCertificateIds")
def _installed_certificates(cp: "ChargePoint", call: Payload) -> Answer:
    wanted = call.get("certificateType")
    found = [
        {"certificateType": each["certificateType"], "certificateHashData": each["hash"]}
        for each in cp.certificates.values()
        if wanted is None or each["certificateType"] in wanted
    ]
    return Answer({"status": "Accepted", "certificateHashDataChain": found}) if found else status_answer("NotFound")


@_answers("DeleteCertificate")
def _delete_certificate(cp: "ChargePoint", call: Payload) -> Answer:
    return status_answer(command_actions.delete_certificate(cp, call["certificateHashData"]))


@_answers("CertificateSigned")
def _certificate_signed(_: "ChargePoint", call: Payload) -> Answer:
    return status_answer("Accepted" if call["certificateChain"] else "Rejected")
