"""OCPP 1.6, with its security extension: what we may ask of a charger, and what its answers mean.

Nothing here sends: that is `csms.commands`'s.
"""

from collections.abc import Iterable, Mapping

from wattspan.domain import events as ev
from wattspan.domain.timestamps import charger_ts
from wattspan.versions.base import Command, Observe, Payload, no_connector, nothing
from wattspan.versions.fields import identifier, text, whole

_CHOICE = frozenset({"Accepted", "Rejected"})
_ACCEPTED = frozenset({"Accepted"})
_NO_STATUS: frozenset[str] = frozenset()


def _connector(call: Payload) -> str | None:
    return identifier(call.get("connectorId"))


def _profile_set(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """SetChargingProfile (OCPP 1.6 §5.16)."""
    profile = call.get("csChargingProfiles")
    if answer.get("status") != "Accepted" or not isinstance(profile, dict):
        return ()
    connector_id = identifier(call.get("connectorId")) or "0"
    return (ev.ChargingProfileSet(cp_id=cp_id, received_ts=received_ts, connector_id=connector_id, profile=profile),)


def _remotely_started(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """RemoteStartTransaction (OCPP 1.6 §5.11): its profile counts for the transaction to come."""
    profile, connector_id = call.get("chargingProfile"), identifier(call.get("connectorId"))
    if answer.get("status") != "Accepted" or not isinstance(profile, dict) or connector_id is None:
        return ()
    return (ev.ChargingProfileSet(cp_id=cp_id, received_ts=received_ts, connector_id=connector_id, profile=profile),)


def _profiles_cleared(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """ClearChargingProfile (OCPP 1.6 §5.5)."""
    if answer.get("status") != "Accepted":
        return ()
    return (
        ev.ChargingProfilesCleared(
            cp_id=cp_id,
            received_ts=received_ts,
            profile_id=whole(call.get("id")),
            connector_id=identifier(call.get("connectorId")),
            purpose=text(call.get("chargingProfilePurpose")) or None,
            stack_level=whole(call.get("stackLevel")),
        ),
    )


def _reserved(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """ReserveNow (OCPP 1.6 §5.13)."""
    reservation_id = whole(call.get("reservationId"))
    if answer.get("status") != "Accepted" or reservation_id is None:
        return ()
    return (
        ev.ReservationMade(
            cp_id=cp_id,
            received_ts=received_ts,
            reservation_id=reservation_id,
            connector_id=identifier(call.get("connectorId")) or "0",
            id_token=text(call.get("idTag")),
            parent_id_token=text(call.get("parentIdTag")) or None,
            expires_ts=charger_ts(call.get("expiryDate")),
        ),
    )


def _reservation_cancelled(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """CancelReservation (OCPP 1.6 §5.1)."""
    reservation_id = whole(call.get("reservationId"))
    if answer.get("status") != "Accepted" or reservation_id is None:
        return ()
    return (ev.ReservationCancelled(cp_id=cp_id, received_ts=received_ts, reservation_id=reservation_id),)


def _command(
    action: str,
    statuses: frozenset[str] = _CHOICE,
    accepted: frozenset[str] = _ACCEPTED,
    *,
    observe: Observe = nothing,
    at_connector: bool = False,
) -> Command:
    return Command(
        action=action,
        statuses=statuses,
        accepted=accepted if statuses else _NO_STATUS,
        observe=observe,
        connector=_connector if at_connector else no_connector,
    )


_TRIGGERED = _CHOICE | {"NotImplemented"}
_CANCELS = frozenset({"Accepted", "AcceptedCanceled"})

COMMANDS: Mapping[str, Command] = {
    command.action: command
    for command in (
        _command("CancelReservation", observe=_reservation_cancelled),
        _command("CertificateSigned"),
        _command(
            "ChangeAvailability", _CHOICE | {"Scheduled"}, frozenset({"Accepted", "Scheduled"}), at_connector=True
        ),
        _command(
            "ChangeConfiguration",
            _CHOICE | {"RebootRequired", "NotSupported"},
            frozenset({"Accepted", "RebootRequired"}),
        ),
        _command("ClearCache"),
        _command(
            "ClearChargingProfile", frozenset({"Accepted", "Unknown"}), observe=_profiles_cleared, at_connector=True
        ),
        _command("DataTransfer", _CHOICE | {"UnknownMessageId", "UnknownVendorId"}),
        _command("DeleteCertificate", frozenset({"Accepted", "Failed", "NotFound"})),
        _command("ExtendedTriggerMessage", _TRIGGERED, at_connector=True),
        _command("GetCompositeSchedule", at_connector=True),
        _command("GetConfiguration", _NO_STATUS),
        _command("GetDiagnostics", _NO_STATUS),
        _command("GetInstalledCertificateIds", frozenset({"Accepted", "NotFound"})),
        _command("GetLocalListVersion", _NO_STATUS),
        _command("GetLog", _CHOICE | _CANCELS, _CANCELS),
        _command("InstallCertificate", _CHOICE | {"Failed"}),
        _command("RemoteStartTransaction", observe=_remotely_started, at_connector=True),
        _command("RemoteStopTransaction"),
        _command("ReserveNow", _CHOICE | {"Faulted", "Occupied", "Unavailable"}, observe=_reserved, at_connector=True),
        _command("Reset"),
        _command("SendLocalList", frozenset({"Accepted", "Failed", "NotSupported", "VersionMismatch"})),
        _command("SetChargingProfile", _CHOICE | {"NotSupported"}, observe=_profile_set, at_connector=True),
        _command("SignedUpdateFirmware", _CHOICE | _CANCELS | {"InvalidCertificate", "RevokedCertificate"}, _CANCELS),
        _command("TriggerMessage", _TRIGGERED, at_connector=True),
        _command(
            "UnlockConnector",
            frozenset({"Unlocked", "UnlockFailed", "NotSupported"}),
            frozenset({"Unlocked"}),
            at_connector=True,
        ),
        _command("UpdateFirmware", _NO_STATUS),
    )
}
