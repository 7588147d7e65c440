"""Every command of OCPP 1.6 and 2.0.1 as an operator may send it, and what chargers make of it, in one story each.

The answers are what the simulator and ocpp-go's examples say by their own sources, not what the server made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from support.examples import example

Payload = dict[str, Any]

RUNNING = "the transaction that runs"
"""Stands in a payload for the id of the transaction that the charger was asked to start."""
TAG = "04E1C92B"
AT = "2031-01-01T00:00:00Z"
NOWHERE = "ftp://127.0.0.1/nothing"
NONE = ""
"""An answer without a status."""
REFUSED = "CALLERROR "


@dataclass(frozen=True, slots=True)
class Row:
    """A command, and by charger the status of its answer or the code of its CALLERROR; None: not sent to that one."""

    action: str
    payload: Payload
    simulated: str | None
    ocpp_go: str | None


def profile(identity: str, schedule: Payload, whole: bool) -> Payload:
    """A limit of 16 A from now on."""
    period = {"startPeriod": 0, "limit": 16.0}
    given = schedule | {"chargingRateUnit": "A", "startSchedule": "2026-01-01T00:00:00Z"}
    said = given | {"chargingSchedulePeriod": [period]}
    return {
        identity: 7,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": said if whole else [said],
    }


HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "cc"}
LOG = {"remoteLocation": NOWHERE}
SIGNED = {"location": NOWHERE, "retrieveDateTime": AT, "signingCertificate": "PEM", "signature": "c2ln"}
INTERVAL = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}

OCPP_16: Sequence[Row] = (
    # First what ocpp-go's example does only until its own session begins, five seconds after its start.
    Row(
        "ReserveNow",
        {"connectorId": 1, "expiryDate": AT, "idTag": TAG, "reservationId": 5},
        "Accepted",
        "Accepted",
    ),
    Row("CancelReservation", {"reservationId": 5}, "Accepted", "Accepted"),
    Row("CancelReservation", {"reservationId": 6}, "Rejected", "Rejected"),
    Row("RemoteStartTransaction", {"idTag": TAG, "connectorId": 1}, "Accepted", "Accepted"),
    Row("RemoteStopTransaction", {"transactionId": RUNNING}, "Accepted", "Accepted"),
    Row("RemoteStopTransaction", {"transactionId": 999}, "Rejected", "Rejected"),
    Row("ChangeAvailability", {"connectorId": 1, "type": "Operative"}, "Accepted", "Accepted"),
    Row("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "600"}, "Accepted", "Accepted"),
    Row("ChangeConfiguration", {"key": "Colour", "value": "red"}, "NotSupported", "NotSupported"),
    Row("GetConfiguration", {"key": ["HeartbeatInterval", "Colour"]}, NONE, NONE),
    Row("ClearCache", {}, "Accepted", "Accepted"),
    Row("DataTransfer", {"vendorId": "Wattspan", "messageId": "m", "data": "d"}, "Accepted", "Accepted"),
    Row("GetLocalListVersion", {}, NONE, NONE),
    Row(
        "SendLocalList",
        {
            "listVersion": 1,
            "updateType": "Full",
            "localAuthorizationList": [{"idTag": TAG, "idTagInfo": {"status": "Accepted"}}],
        },
        "Accepted",
        "Accepted",
    ),
    Row("SendLocalList", {"listVersion": 1, "updateType": "Differential"}, "VersionMismatch", "VersionMismatch"),
    Row(
        "SetChargingProfile",
        {"connectorId": 1, "csChargingProfiles": profile("chargingProfileId", {}, whole=True)},
        "Accepted",
        "NotSupported",
    ),
    Row("GetCompositeSchedule", {"connectorId": 1, "duration": 600, "chargingRateUnit": "A"}, "Accepted", "Rejected"),
    Row("ClearChargingProfile", {"id": 7}, "Accepted", "Unknown"),
    Row("TriggerMessage", {"requestedMessage": "Heartbeat"}, "Accepted", "Accepted"),
    Row("ExtendedTriggerMessage", {"requestedMessage": "Heartbeat"}, "Accepted", "Accepted"),
    Row("UnlockConnector", {"connectorId": 1}, "Unlocked", "Unlocked"),
    Row(
        "InstallCertificate",
        {"certificateType": "CentralSystemRootCertificate", "certificate": "PEM"},
        "Accepted",
        "Accepted",
    ),
    Row("GetInstalledCertificateIds", {"certificateType": "CentralSystemRootCertificate"}, "Accepted", "Accepted"),
    Row("DeleteCertificate", {"certificateHashData": HASH}, "NotFound", "Accepted"),
    Row("CertificateSigned", {"certificateChain": "PEM"}, "Accepted", "Accepted"),
    Row("GetDiagnostics", {"location": NOWHERE}, NONE, NONE),
    Row("GetLog", {"logType": "SecurityLog", "requestId": 1, "log": LOG}, "Accepted", "Accepted"),
    Row("UpdateFirmware", {"location": NOWHERE, "retrieveDate": AT}, NONE, NONE),
    Row("SignedUpdateFirmware", {"requestId": 2, "firmware": SIGNED}, "Accepted", "Accepted"),
    Row("Reset", {"type": "Soft"}, "Accepted", "Accepted"),
)

NOT_OURS = REFUSED + "NotImplemented"
NOT_THEIRS = REFUSED + "NotSupported"


def made_up(action: str) -> Payload:
    """As little as the schema wants."""
    found: Payload = example("v201", f"{action}Request", whole=False)
    return found


OCPP_201: Sequence[Row] = (
    Row(
        "ReserveNow",
        {"id": 5, "expiryDateTime": AT, "idToken": {"idToken": TAG, "type": "Central"}, "evseId": 1},
        "Accepted",
        "Accepted",
    ),
    Row("CancelReservation", {"reservationId": 5}, "Accepted", "Accepted"),
    Row("CancelReservation", {"reservationId": 6}, "Rejected", "Rejected"),
    Row(
        "RequestStartTransaction",
        {"idToken": {"idToken": TAG, "type": "Central"}, "remoteStartId": 1, "evseId": 1},
        "Accepted",
        "Accepted",
    ),
    Row("RequestStopTransaction", {"transactionId": RUNNING}, "Accepted", "Accepted"),
    Row("RequestStopTransaction", {"transactionId": "another"}, "Rejected", "Rejected"),
    Row("ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 1}}, "Accepted", "Accepted"),
    Row("GetTransactionStatus", {}, NONE, NOT_THEIRS),
    Row("GetVariables", {"getVariableData": [INTERVAL]}, "Accepted", NOT_THEIRS),
    Row("SetVariables", {"setVariableData": [INTERVAL | {"attributeValue": "600"}]}, "Accepted", NOT_THEIRS),
    Row(
        "GetVariables",
        {"getVariableData": [INTERVAL, {"component": {"name": "Nothing"}, "variable": {"name": "Colour"}}]},
        "UnknownComponent",
        NOT_THEIRS,
    ),
    Row("GetBaseReport", {"requestId": 3, "reportBase": "FullInventory"}, "Accepted", NOT_THEIRS),
    Row("GetReport", {"requestId": 4}, NOT_OURS, NOT_THEIRS),
    Row("ClearCache", {}, "Accepted", "Accepted"),
    # ocpp-go's example takes the data for bytes, and dies of anything.
    Row("DataTransfer", {"vendorId": "Wattspan", "messageId": "m", "data": "d"}, "Accepted", None),
    Row("GetLocalListVersion", {}, NONE, NONE),
    Row(
        "SendLocalList",
        {
            "versionNumber": 1,
            "updateType": "Full",
            "localAuthorizationList": [
                {"idToken": {"idToken": TAG, "type": "Central"}, "idTokenInfo": {"status": "Accepted"}}
            ],
        },
        "Accepted",
        "Accepted",
    ),
    Row("SendLocalList", {"versionNumber": 1, "updateType": "Differential"}, "VersionMismatch", "VersionMismatch"),
    Row(
        "SetChargingProfile",
        {"evseId": 1, "chargingProfile": profile("id", {"id": 1}, whole=False)},
        "Accepted",
        NOT_THEIRS,
    ),
    Row(
        "GetChargingProfiles",
        {"requestId": 5, "chargingProfile": {"chargingProfileId": [7]}},
        "Accepted",
        NOT_THEIRS,
    ),
    Row("GetCompositeSchedule", {"evseId": 1, "duration": 600, "chargingRateUnit": "A"}, "Accepted", NOT_THEIRS),
    Row("ClearChargingProfile", {"chargingProfileId": 7}, "Accepted", NOT_THEIRS),
    Row("TriggerMessage", {"requestedMessage": "Heartbeat"}, "Accepted", "Accepted"),
    Row("UnlockConnector", {"evseId": 1, "connectorId": 1}, "Unlocked", "UnknownConnector"),
    Row("InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": "PEM"}, "Accepted", NOT_THEIRS),
    Row("GetInstalledCertificateIds", {"certificateType": ["CSMSRootCertificate"]}, "Accepted", NOT_THEIRS),
    Row("DeleteCertificate", {"certificateHashData": HASH}, "NotFound", NOT_THEIRS),
    Row("CertificateSigned", {"certificateChain": "PEM"}, "Accepted", NOT_THEIRS),
    Row("GetLog", {"logType": "SecurityLog", "requestId": 6, "log": LOG}, "Accepted", "Accepted"),
    Row("SetMonitoringBase", {"monitoringBase": "All"}, NOT_OURS, "Accepted"),
    Row("SetMonitoringLevel", {"severity": 5}, NOT_OURS, "Accepted"),
    Row("SetVariableMonitoring", made_up("SetVariableMonitoring"), NOT_OURS, "Accepted"),
    Row("GetMonitoringReport", {"requestId": 7}, NOT_OURS, "Accepted"),
    Row("ClearVariableMonitoring", {"id": [1]}, NOT_OURS, "Accepted"),
    Row("CustomerInformation", {"requestId": 8, "report": True, "clear": False}, NOT_OURS, "Accepted"),
    Row("SetDisplayMessage", made_up("SetDisplayMessage"), NOT_OURS, "Accepted"),
    Row("GetDisplayMessages", {"requestId": 9}, NOT_OURS, "Unknown"),
    Row("ClearDisplayMessage", {"id": 1}, NOT_OURS, "Accepted"),
    Row("CostUpdated", {"totalCost": 3.5, "transactionId": "T"}, NOT_OURS, NONE),
    Row("SetNetworkProfile", made_up("SetNetworkProfile"), NOT_OURS, NOT_THEIRS),
    Row("PublishFirmware", made_up("PublishFirmware"), NOT_OURS, NOT_THEIRS),
    Row("UnpublishFirmware", {"checksum": "c"}, NOT_OURS, NOT_THEIRS),
    Row(
        "UpdateFirmware",
        {"requestId": 10, "firmware": {"location": NOWHERE, "retrieveDateTime": AT}},
        "Accepted",
        "Accepted",
    ),
    Row("Reset", {"type": "Immediate"}, "Accepted", "Accepted"),
)
