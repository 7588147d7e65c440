"""Commands of OCPP 2.0.1: their statuses, and what their answers mean. It sends nothing."""

from collections.abc import Mapping

from wattspan.versions.base import Command
from wattspan.versions.common import (
    CANCELS,
    CHOICE,
    LATER,
    NO_STATUS,
    READ,
    UPDATE,
    command,
    firmware_requested,
    log_requested,
    reservation_cancelled,
)
from wattspan.versions.security import network_profile_change, variables_change
from wattspan.versions.v2x import charging
from wattspan.versions.v2x import device_model as variables
from wattspan.versions.v2x.certificates import certificates_read

_REPORTED = CHOICE | {"NotSupported", "EmptyResultSet"}
_VARIABLE = CHOICE | {"UnknownComponent", "UnknownVariable", "NotSupportedAttributeType"}

COMMANDS: Mapping[str, Command] = {
    row.action: row
    for row in (
        command("CancelReservation", observe=reservation_cancelled),
        command("CertificateSigned"),
        command("ChangeAvailability", CHOICE | LATER, LATER, connector=charging.evse_of),
        command("ClearCache"),
        command(
            "ClearChargingProfile",
            frozenset({"Accepted", "Unknown"}),
            observe=charging.profiles_cleared,
            connector=lambda call: charging.evse(call.get("chargingProfileCriteria") or {}),
        ),
        command("ClearDisplayMessage", frozenset({"Accepted", "Unknown"})),
        command(
            "ClearVariableMonitoring",
            CHOICE | {"NotFound"},
            observe=variables.monitors_cleared,
            results=("clearMonitoringResult", "status"),
        ),
        command("CostUpdated", NO_STATUS),
        command("CustomerInformation", CHOICE | {"Invalid"}),
        command("DataTransfer", CHOICE | {"UnknownMessageId", "UnknownVendorId"}),
        command("DeleteCertificate", frozenset({"Accepted", "Failed", "NotFound"})),
        command("GetBaseReport", _REPORTED),
        command("GetChargingProfiles", frozenset({"Accepted", "NoProfiles"}), connector=charging.evse),
        command("GetCompositeSchedule", connector=charging.evse),
        command("GetDisplayMessages", frozenset({"Accepted", "Unknown"})),
        command("GetInstalledCertificateIds", READ, observe=certificates_read),
        command("GetLocalListVersion", NO_STATUS),
        command("GetLog", CHOICE | CANCELS, CANCELS, observe=log_requested),
        command("GetMonitoringReport", _REPORTED),
        command("GetReport", _REPORTED),
        command("GetTransactionStatus", NO_STATUS),
        command(
            "GetVariables",
            _VARIABLE,
            observe=variables.variables_read,
            results=("getVariableResult", "attributeStatus"),
        ),
        command("InstallCertificate", CHOICE | {"Failed"}),
        command("PublishFirmware"),
        command("RequestStartTransaction", observe=charging.remotely_started, connector=charging.evse),
        command("RequestStopTransaction"),
        command(
            "ReserveNow",
            CHOICE | {"Faulted", "Occupied", "Unavailable"},
            observe=charging.reserved,
            connector=charging.evse,
        ),
        command("Reset", CHOICE | LATER, LATER, connector=charging.evse),
        command("SendLocalList", frozenset({"Accepted", "Failed", "VersionMismatch"})),
        command("SetChargingProfile", observe=charging.profile_set, connector=charging.evse),
        command(
            "SetDisplayMessage",
            CHOICE | {"NotSupportedMessageFormat", "NotSupportedPriority", "NotSupportedState", "UnknownTransaction"},
        ),
        command("SetMonitoringBase", _REPORTED),
        command("SetMonitoringLevel"),
        command("SetNetworkProfile", CHOICE | {"Failed"}, security=network_profile_change),
        command(
            "SetVariableMonitoring",
            CHOICE | {"UnknownComponent", "UnknownVariable", "UnsupportedMonitorType", "Duplicate"},
            observe=variables.monitors_set,
            results=("setMonitoringResult", "status"),
        ),
        command(
            "SetVariables",
            _VARIABLE | {"RebootRequired"},
            frozenset({"Accepted", "RebootRequired"}),
            observe=variables.variables_set,
            security=variables_change,
            results=("setVariableResult", "attributeStatus"),
        ),
        command("TriggerMessage", CHOICE | {"NotImplemented"}, connector=charging.evse_of),
        command(
            "UnlockConnector",
            frozenset({"Unlocked", "UnlockFailed", "OngoingAuthorizedTransaction", "UnknownConnector"}),
            frozenset({"Unlocked"}),
            connector=charging.evse,
        ),
        command(
            "UnpublishFirmware",
            frozenset({"DownloadOngoing", "NoFirmware", "Unpublished"}),
            frozenset({"Unpublished"}),
        ),
        command("UpdateFirmware", UPDATE, CANCELS, observe=firmware_requested),
    )
}
"""Every command of OCPP 2.0.1, by action."""
