"""How a virtual charge point answers the commands of OCPP 2.0.1, and of 2.1 where it has the same: one table."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from wattspan.simulator import deeds
from wattspan.simulator.connector import Reservation
from wattspan.simulator.dialects import v2, v2_profiles, variables
from wattspan.simulator.dialects.base import Command, Then, granted, says
from wattspan.simulator.facts import Summons, timestamp
from wattspan.simulator.link import Answer, Payload

if TYPE_CHECKING:
    from wattspan.simulator.charge_point import ChargePoint

COMMANDS: dict[str, Command] = {}
_REPORT_ENTRIES = 8
"""Variables in one NotifyReport."""


def _answers(action: str) -> Callable[[Command], Command]:
    def enter(command: Command) -> Command:
        COMMANDS[action] = command
        return command

    return enter


@_answers("RequestStartTransaction")
def _request_start(cp: "ChargePoint", call: Payload) -> Answer:
    summons = Summons(str(call["idToken"]["idToken"]), int(call["remoteStartId"]))
    told = call.get("chargingProfile")
    profile = None if told is None else v2_profiles.told_as_16(told)
    return granted(deeds.remote_start(cp, call.get("evseId"), summons, profile))


@_answers("RequestStopTransaction")
def _request_stop(cp: "ChargePoint", call: Payload) -> Answer:
    return granted(deeds.remote_stop(cp, call["transactionId"]))


@_answers("GetTransactionStatus")
def _transaction_status(cp: "ChargePoint", call: Payload) -> Answer:
    waiting: Payload = {"messagesInQueue": cp.outbox.durable > 0}
    asked = call.get("transactionId")
    if asked is None:  # E14.FR.06
        return Answer(waiting)
    running = {connector.transaction.id for connector in cp.connectors if connector.transaction is not None}
    return Answer(waiting | {"ongoingIndicator": asked in running})


@_answers("Reset")
def _reset(cp: "ChargePoint", call: Payload) -> Answer:
    if "evseId" in call:
        return says("Rejected")  # an EVSE alone can't be reset (B11.FR.09)
    if {"Immediate": True, "OnIdle": False}[call["type"]]:
        return says("Accepted", deeds.reset(cp, "HardReset"))
    busy = any(connector.transaction is not None for connector in cp.connectors)
    return says("Scheduled" if busy else "Accepted", deeds.reset_when_idle(cp))


@_answers("UnlockConnector")
def _unlock(cp: "ChargePoint", call: Payload) -> Answer:
    connector = cp.connector(call["evseId"])
    if connector is None or call["connectorId"] != 1:
        return says("UnknownConnector")
    if connector.transaction is not None:  # F05.FR.02
        return says("OngoingAuthorizedTransaction")
    return says("Unlocked", deeds.unlock(cp, connector.id))


@_answers("ChangeAvailability")
def _change_availability(cp: "ChargePoint", call: Payload) -> Answer:
    operative = {"Operative": True, "Inoperative": False}[call["operationalStatus"]]
    return says(*deeds.change_availability(cp, call.get("evse", {"id": 0})["id"], operative=operative))


@_answers("GetVariables")
def _get_variables(cp: "ChargePoint", call: Payload) -> Answer:
    found = [variables.get_variable(cp.configuration, asked) for asked in call["getVariableData"]]
    return Answer({"getVariableResult": found})


@_answers("SetVariables")
def _set_variables(cp: "ChargePoint", call: Payload) -> Answer:
    done = [variables.set_variable(cp.configuration, asked) for asked in call["setVariableData"]]
    return Answer({"setVariableResult": done}, cp.limits_changed)


@_answers("GetBaseReport")
def _base_report(cp: "ChargePoint", call: Payload) -> Answer:
    request_id = int(call["requestId"])
    known = {"ConfigurationInventory", "FullInventory", "SummaryInventory"}
    return granted(partial(_report, cp, request_id) if call["reportBase"] in known else None, otherwise="NotSupported")


def _report(cp: "ChargePoint", request_id: int) -> None:
    """NotifyReport, as many as it takes (B07.FR.02)."""
    entries = variables.report(cp)
    parts = list(iter(lambda: list(islice(entries, _REPORT_ENTRIES)), []))
    for number, part in enumerate(parts):
        payload = {
            "requestId": request_id,
            "generatedAt": timestamp(cp.now_ts()),
            "seqNo": number,
            "tbc": number < len(parts) - 1,
            "reportData": part,
        }
        cp.send("NotifyReport", payload)


@_answers("ClearCache")
def _clear_cache(_: "ChargePoint", __: Payload) -> Answer:
    return says("Accepted")


@_answers("DataTransfer")
def _data_transfer(_: "ChargePoint", call: Payload) -> Answer:
    return says("Accepted" if call["vendorId"] == "Wattspan" else "UnknownVendorId")


@_answers("SetChargingProfile")
def _set_profile(cp: "ChargePoint", call: Payload) -> Answer:
    return granted(deeds.set_profile(cp, call["evseId"], v2_profiles.told_as_16(call["chargingProfile"])))


@_answers("ClearChargingProfile")
def _clear_profile(cp: "ChargePoint", call: Payload) -> Answer:
    cleared = cp.profiles.clear(v2_profiles.criteria_as_16(call))
    return says("Accepted" if cleared else "Unknown", cp.limits_changed)


@_answers("GetChargingProfiles")
def _get_profiles(cp: "ChargePoint", call: Payload) -> Answer:
    reports = list(v2_profiles.reports(cp.profiles, call))
    if not reports:
        return says("NoProfiles")

    def tell() -> None:
        for payload in reports:
            cp.send("ReportChargingProfiles", payload)

    return says("Accepted", tell)


@_answers("GetCompositeSchedule")
def _composite_schedule(cp: "ChargePoint", call: Payload) -> Answer:
    number, duration_s = int(call["evseId"]), int(call["duration"])
    connector = cp.connector(number)
    if (number and connector is None) or call.get("chargingRateUnit", "A") != "A":
        return says("Rejected")
    moment = cp.moment(connector.transaction if connector else None)
    schedule = {
        "evseId": number,
        "duration": duration_s,
        "scheduleStart": timestamp(moment.ts),
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": cp.profiles.composite(number, moment, duration_s, cp.hardware_a),
    }
    return Answer({"status": "Accepted", "schedule": schedule})


@_answers("ReserveNow")
def _reserve(cp: "ChargePoint", call: Payload) -> Answer:
    kept = Reservation(
        id=int(call["id"]),
        id_tag=str(call["idToken"]["idToken"]),
        expires_ts=datetime.fromisoformat(call["expiryDateTime"]).timestamp(),
    )
    free = next((connector.id for connector in cp.connectors if connector.free), 0)
    return says(*deeds.reserve(cp, call.get("evseId", free), kept))


@_answers("CancelReservation")
def _cancel_reservation(cp: "ChargePoint", call: Payload) -> Answer:
    return granted(deeds.cancel_reservation(cp, call["reservationId"]))


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
    return says(deeds.send_local_list(cp, version, entries, differential=differential))


@_answers("TriggerMessage")
def _trigger(cp: "ChargePoint", call: Payload) -> Answer:
    chosen = deeds.connectors(cp, call.get("evse", {"id": 0})["id"])
    if not chosen:
        return says("Rejected")
    csr = {"csr": f"virtual request of {cp.cp_id}", "certificateType": "ChargingStationCertificate"}
    requests: dict[str, Then] = {
        "BootNotification": cp.boot,
        "Heartbeat": cp.heartbeat,
        "MeterValues": deeds.read_meters(cp, chosen),
        "StatusNotification": deeds.report_states(cp, chosen),
        "TransactionEvent": partial(_tell_transactions, cp, [connector.id for connector in chosen]),
        "FirmwareStatusNotification": partial(cp.send, "FirmwareStatusNotification", {"status": "Idle"}),
        "LogStatusNotification": partial(cp.send, "LogStatusNotification", {"status": "Idle"}),
        "SignChargingStationCertificate": partial(cp.send, "SignCertificate", csr),
    }
    return granted(requests.get(call["requestedMessage"]), otherwise="NotImplemented")


def _tell_transactions(cp: "ChargePoint", numbers: list[int]) -> None:
    for connector in cp.connectors:
        if connector.id in numbers and connector.transaction is not None:
            state = connector.status if connector.status in v2.CHARGING_STATES else "EVConnected"
            cp.tell_durably(v2.asked(connector.transaction, connector.reading(), state), connector.transaction)


@_answers("GetLog")
def _get_log(cp: "ChargePoint", call: Payload) -> Answer:
    steps = [{"status": status, "requestId": int(call["requestId"])} for status in ("Uploading", "Uploaded")]
    then = deeds.step_by_step(cp, "LogStatusNotification", steps)
    return Answer({"status": "Accepted", "filename": f"{cp.cp_id}.log"}, then)


@_answers("UpdateFirmware")
def _update_firmware(cp: "ChargePoint", call: Payload) -> Answer:
    checked = ("SignatureVerified",) if "signature" in call["firmware"] else ()
    statuses = ("Downloading", "Downloaded", *checked, "Installing", "Installed")
    steps = [{"status": status, "requestId": int(call["requestId"])} for status in statuses]
    return granted(deeds.install(cp, "FirmwareStatusNotification", steps))


@_answers("InstallCertificate")
def _install_certificate(cp: "ChargePoint", call: Payload) -> Answer:
    deeds.install_certificate(cp, call["certificateType"], call["certificate"])
    return says("Accepted")


@_answers("GetInstalledCertificateIds")
def _installed_certificates(cp: "ChargePoint", call: Payload) -> Answer:
    wanted = call.get("certificateType")
    found = [
        {"certificateType": kept["certificateType"], "certificateHashData": kept["hash"]}
        for kept in cp.certificates.values()
        if wanted is None or kept["certificateType"] in wanted
    ]
    return Answer({"status": "Accepted", "certificateHashDataChain": found}) if found else says("NotFound")


@_answers("DeleteCertificate")
def _delete_certificate(cp: "ChargePoint", call: Payload) -> Answer:
    return says(deeds.delete_certificate(cp, call["certificateHashData"]))


@_answers("CertificateSigned")
def _certificate_signed(_: "ChargePoint", call: Payload) -> Answer:
    return says("Accepted" if call["certificateChain"] else "Rejected")
