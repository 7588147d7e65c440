"""OCPP 2.0.1: what we may ask of a charging station, and what its answers mean.

Nothing here sends: that is `csms.commands`'s. `results`: an answer with a status for each thing asked.
"""

from collections.abc import Callable, Mapping

from wattspan.versions.base import Command, Observe, Payload, no_connector, nothing
from wattspan.versions.v2x import charging
from wattspan.versions.v2x import device_model as variables

CHOICE = frozenset({"Accepted", "Rejected"})
ACCEPTED = frozenset({"Accepted"})
NO_STATUS: frozenset[str] = frozenset()
CANCELS = frozenset({"Accepted", "AcceptedCanceled"})
LATER = frozenset({"Accepted", "Scheduled"})
_REPORTED = CHOICE | {"NotSupported", "EmptyResultSet"}
_VARIABLE = CHOICE | {"UnknownComponent", "UnknownVariable", "NotSupportedAttributeType"}


def command(
    action: str,
    statuses: frozenset[str] = CHOICE,
    accepted: frozenset[str] = ACCEPTED,
    *,
    observe: Observe = nothing,
    connector: Callable[[Payload], str | None] = no_connector,
    results: tuple[str, str] | None = None,
) -> Command:
    """A row of the table. `results`: (the answer's list, the status in it)."""
    name, status_field = results or (None, "status")
    return Command(
        action=action,
        statuses=statuses,
        accepted=accepted if statuses else NO_STATUS,
        observe=observe,
        connector=connector,
        status_field=status_field,
        results=name,
    )


COMMANDS: Mapping[str, Command] = {
    row.action: row
    for row in (
        command("CancelReservation", observe=charging.reservation_cancelled),
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
        command("GetInstalledCertificateIds", frozenset({"Accepted", "NotFound"})),
        command("GetLocalListVersion", NO_STATUS),
        command("GetLog", CHOICE | CANCELS, CANCELS),
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
        command("SetNetworkProfile", CHOICE | {"Failed"}),
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
        command("UpdateFirmware", CHOICE | CANCELS | {"InvalidCertificate", "RevokedCertificate"}, CANCELS),
    )
}
"""Every message of OCPP 2.0.1 from us to a charging station."""
