"""Commands of OCPP 1.6 and its security extension: their statuses, and what their answers mean. It sends nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from wattspan.domain import events as ev
from wattspan.domain.timestamps import charger_ts
from wattspan.versions.base import Command, Payload
from wattspan.versions.common import (
    CANCELS,
    CHOICE,
    LATER,
    NO_STATUS,
    READ,
    UPDATE,
    WHOLE_CHARGE_POINT,
    command,
    firmware_requested,
    installed_certificates,
    is_accepted,
    log_requested,
    profile_events,
    reservation_cancelled,
)
from wattspan.versions.fields import identifier, text, whole
from wattspan.versions.security import configuration_change


def _connector(call: Payload) -> str | None:
    return identifier(call.get("connectorId"))


def _profile_set(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe SetChargingProfile (OCPP 1.6 §5.16)."""
    if not is_accepted(answer):
        return ()
    return profile_events(cp_id, received_ts, _connector(call), call.get("csChargingProfiles"))


def _remotely_started(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe RemoteStartTransaction (OCPP 1.6 §5.11): its profile applies to the transaction to come."""
    if not is_accepted(answer) or _connector(call) is None:
        return ()
    return profile_events(cp_id, received_ts, _connector(call), call.get("chargingProfile"))


def _profiles_cleared(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe ClearChargingProfile (OCPP 1.6 §5.5)."""
    if not is_accepted(answer):
        return ()
    return (
        ev.ChargingProfilesCleared(
            cp_id=cp_id,
            received_ts=received_ts,
            profile_id=whole(call.get("id")),
            connector_id=_connector(call),
            purpose=text(call.get("chargingProfilePurpose")) or None,
            stack_level=whole(call.get("stackLevel")),
        ),
    )


def _reserved(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe ReserveNow (OCPP 1.6 §5.13)."""
    reservation_id = whole(call.get("reservationId"))
    if not is_accepted(answer) or reservation_id is None:
        return ()
    return (
        ev.ReservationMade(
            cp_id=cp_id,
            received_ts=received_ts,
            reservation_id=reservation_id,
            connector_id=_connector(call) or WHOLE_CHARGE_POINT,
            id_token=text(call.get("idTag")),
            parent_id_token=text(call.get("parentIdTag")) or None,
            expires_ts=charger_ts(call.get("expiryDate")),
        ),
    )


def _certificates_read(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe GetInstalledCertificateIds (security whitepaper M04), which asks for one type."""
    kind, found = text(call.get("certificateType"), 50), answer.get("certificateHashData")
    if answer.get("status") not in READ:
        return ()
    listed = [(kind, each, None) for each in found] if isinstance(found, list) else []
    return installed_certificates([kind], listed, cp_id, received_ts)


_TRIGGERED = CHOICE | {"NotImplemented"}


def _requests_status(call: Payload) -> bool:
    return call.get("requestedMessage") == "StatusNotification"


def _trigger(action: str) -> Command:
    """Return the row of a command that requests a message (OCPP 1.6 §5.17, security whitepaper §4.3)."""
    return replace(command(action, _TRIGGERED, connector=_connector), requests_status=_requests_status)


COMMANDS: Mapping[str, Command] = {
    row.action: row
    for row in (
        command("CancelReservation", observe=reservation_cancelled),
        command("CertificateSigned"),
        command("ChangeAvailability", CHOICE | LATER, LATER, connector=_connector),
        command(
            "ChangeConfiguration",
            CHOICE | {"RebootRequired", "NotSupported"},
            frozenset({"Accepted", "RebootRequired"}),
            security=configuration_change,
        ),
        command("ClearCache"),
        command(
            "ClearChargingProfile",
            frozenset({"Accepted", "Unknown"}),
            observe=_profiles_cleared,
            connector=_connector,
        ),
        command("DataTransfer", CHOICE | {"UnknownMessageId", "UnknownVendorId"}),
        command("DeleteCertificate", frozenset({"Accepted", "Failed", "NotFound"})),
        _trigger("ExtendedTriggerMessage"),
        command("GetCompositeSchedule", connector=_connector),
        command("GetConfiguration", NO_STATUS),
        command("GetDiagnostics", NO_STATUS, observe=log_requested),
        command("GetInstalledCertificateIds", frozenset({"Accepted", "NotFound"}), observe=_certificates_read),
        command("GetLocalListVersion", NO_STATUS),
        command("GetLog", CHOICE | CANCELS, CANCELS, observe=log_requested),
        command("InstallCertificate", CHOICE | {"Failed"}),
        command("RemoteStartTransaction", observe=_remotely_started, connector=_connector),
        command("RemoteStopTransaction"),
        command("ReserveNow", CHOICE | {"Faulted", "Occupied", "Unavailable"}, observe=_reserved, connector=_connector),
        command("Reset"),
        command("SendLocalList", frozenset({"Accepted", "Failed", "NotSupported", "VersionMismatch"})),
        command("SetChargingProfile", CHOICE | {"NotSupported"}, observe=_profile_set, connector=_connector),
        command("SignedUpdateFirmware", UPDATE, CANCELS, observe=firmware_requested),
        _trigger("TriggerMessage"),
        command(
            "UnlockConnector",
            frozenset({"Unlocked", "UnlockFailed", "NotSupported"}),
            frozenset({"Unlocked"}),
            connector=_connector,
        ),
        command("UpdateFirmware", NO_STATUS, observe=firmware_requested),
    )
}
"""Every command of OCPP 1.6, by action."""
