"""Messages and table rows that are equal in several OCPP versions. It knows no version's own fields."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from wattspan.domain import events as ev
from wattspan.domain.certificates import MAX_CSR
from wattspan.domain.installed import CertificateId
from wattspan.domain.timestamps import charger_ts, wire_time
from wattspan.versions.base import ChargePointContext, Command, Observe, Payload, no_connector, no_events, no_security
from wattspan.versions.fields import text, whole
from wattspan.versions.security import Changes

WHOLE_CHARGE_POINT = "0"
"""The connector or EVSE of a message that names none: the charge point as a whole (OCPP 1.6 §3.7, 2.0.1 §5)."""

MAX_INSTALLED = 200
"""Installed certificates that are kept of one answer."""

CHOICE = frozenset({"Accepted", "Rejected"})
ACCEPTED_ONLY = frozenset({"Accepted"})
NO_STATUS: frozenset[str] = frozenset()
READ = frozenset({"Accepted", "NotFound"})
CANCELS = frozenset({"Accepted", "AcceptedCanceled"})
LATER = frozenset({"Accepted", "Scheduled"})
UPDATE = CHOICE | CANCELS | {"InvalidCertificate", "RevokedCertificate"}


# Answers


def acknowledge(call: Payload, cp: ChargePointContext) -> Payload:
    """Return the answer of a notification, which has no fields."""
    return {}


def boot_notification(call: Payload, cp: ChargePointContext) -> Payload:
    """Accept BootNotification (OCPP 1.6 §4.2, 2.0.1 B01): a charge point that may connect may charge."""
    return {"status": "Accepted", "currentTime": wire_time(cp.now_ts), "interval": cp.heartbeat_interval_s}


def heartbeat(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer Heartbeat with the current time (OCPP 1.6 §4.6, 2.0.1 G02)."""
    return {"currentTime": wire_time(cp.now_ts)}


async def data_transfer(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer DataTransfer with the answer of a plugin, or UnknownVendorId (OCPP 1.6 §4.3, 2.0.1 P02)."""
    message_id: Any = call.get("messageId")
    return await cp.data_transfer(
        text(call.get("vendorId")), None if message_id is None else text(message_id), call.get("data")
    )


async def sign_certificate(call: Payload, cp: ChargePointContext, *, kind: str, echo: Payload) -> Payload:
    """Answer SignCertificate (security whitepaper §A02, 2.0.1 A02): Rejected without an authority that may sign it.

    `kind` is its certificateType, "" for none; `echo`: the fields that CertificateSigned repeats.
    """
    # One character more is kept, so that a request that is too long is recognised.
    accepted = await cp.sign_certificate(text(call.get("csr"), MAX_CSR + 1), kind=kind, echo=echo)
    return {"status": "Accepted" if accepted else "Rejected"}


# What requests of charge points mean


def heartbeat_received(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe Heartbeat."""
    return (ev.HeartbeatReceived(cp_id=cp_id, received_ts=received_ts),)


def security_event(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe SecurityEventNotification (security whitepaper §A04, 2.0.1 A04), which is stored for auditors."""
    return (
        ev.SecurityEventReported(
            cp_id=cp_id,
            received_ts=received_ts,
            type=text(call.get("type"), 50),
            charger_ts=charger_ts(call.get("timestamp")),
            tech_info=text(call.get("techInfo")),
        ),
    )


def firmware_status(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe FirmwareStatusNotification: the progress of an update."""
    status, request_id = text(call.get("status"), 50), whole(call.get("requestId"))
    return (ev.FirmwareStatusChanged(cp_id=cp_id, received_ts=received_ts, status=status, request_id=request_id),)


def log_status(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe LogStatusNotification, DiagnosticsStatusNotification: the progress of an upload."""
    status, request_id = text(call.get("status"), 50), whole(call.get("requestId"))
    return (ev.LogStatusChanged(cp_id=cp_id, received_ts=received_ts, status=status, request_id=request_id),)


# What answers to our commands mean


def is_accepted(answer: Payload) -> bool:
    """Return whether the status of an answer is Accepted."""
    return answer.get("status") == "Accepted"


def profile_events(cp_id: str, received_ts: float, connector_id: str | None, profile: Any) -> Iterable[ev.Event]:
    """Return the event of a charging profile that was accepted; none where `profile` is no object.

    `connector_id` None: the charge point as a whole.
    """
    if not isinstance(profile, dict):
        return ()
    place = connector_id or WHOLE_CHARGE_POINT
    return (ev.ChargingProfileSet(cp_id=cp_id, received_ts=received_ts, connector_id=place, profile=profile),)


def firmware_requested(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe UpdateFirmware, SignedUpdateFirmware (OCPP 1.6 §5.19, whitepaper L01, 2.0.1 L01)."""
    return _transfer_requested("firmware", call, answer, cp_id, received_ts)


def log_requested(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe GetLog, GetDiagnostics (OCPP 1.6 §5.9, whitepaper N01, 2.0.1 N01)."""
    return _transfer_requested("log", call, answer, cp_id, received_ts)


def _transfer_requested(
    kind: str, call: Payload, answer: Payload, cp_id: str, received_ts: float
) -> Iterable[ev.Event]:
    status, request_id = text(answer.get("status"), 50), whole(call.get("requestId"))
    if status and status not in CANCELS:
        return ()
    return (
        ev.FileTransferRequested(cp_id=cp_id, received_ts=received_ts, kind=kind, status=status, request_id=request_id),
    )


def installed_certificates(
    types: Iterable[str], found: Iterable[tuple[str, Any, Any]], cp_id: str, received_ts: float
) -> Iterable[ev.Event]:
    """Return the event of an answer to GetInstalledCertificateIds.

    `types` are those that were asked for, `found` is (type, CertificateHashData, the list of its children).
    """
    certificates: dict[str, list[CertificateId]] = {each: [] for each in types}
    for kind, data, children in islice(found, MAX_INSTALLED):
        if isinstance(data, dict):
            certificates.setdefault(kind, []).append(
                CertificateId(
                    hash_algorithm=text(data.get("hashAlgorithm"), 10),
                    issuer_name_hash=text(data.get("issuerNameHash"), 128),
                    issuer_key_hash=text(data.get("issuerKeyHash"), 128),
                    serial_number=text(data.get("serialNumber"), 40),
                    children=len(children) if isinstance(children, list) else 0,
                )
            )
    return (ev.InstalledCertificatesReported(cp_id=cp_id, received_ts=received_ts, certificates=certificates),)


def reservation_cancelled(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe CancelReservation (OCPP 1.6 §5.1, 2.0.1 H02)."""
    return reservation_ended(call, answer, cp_id, received_ts) if is_accepted(answer) else ()


def reservation_ended(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe ReservationStatusUpdate (OCPP 2.0.1 H04, H06): a reservation expired or was removed."""
    reservation_id = whole(call.get("reservationId"))
    if reservation_id is None:
        return ()
    return (ev.ReservationCancelled(cp_id=cp_id, received_ts=received_ts, reservation_id=reservation_id),)


def command(
    action: str,
    statuses: frozenset[str] = CHOICE,
    accepted: frozenset[str] = ACCEPTED_ONLY,
    *,
    observe: Observe = no_events,
    connector: Callable[[Payload], str | None] = no_connector,
    security: Callable[[Payload], Changes] = no_security,
    results: tuple[str, str] | None = None,
) -> Command:
    """Return a row of a version's table of commands. `results`: (the answer's list, the status in it)."""
    name, status_field = results or (None, "status")
    return Command(
        action=action,
        statuses=statuses,
        accepted=accepted if statuses else NO_STATUS,
        observe=observe,
        connector=connector,
        security=security,
        status_field=status_field,
        results=name,
    )
