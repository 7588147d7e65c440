"""Smart charging and reservations of OCPP 2.0.1 (Part 2 H and K), in the words of the domain's events.

Shared by commands and notices, and by 2.1. Payloads may break their schema; nothing here raises.
"""

from collections.abc import Iterable
from typing import Any

from wattspan.domain import events as ev
from wattspan.domain.timestamps import charger_ts
from wattspan.versions.base import Payload
from wattspan.versions.fields import identifier, text, whole

WHOLE_STATION = "0"
"""The EVSE a message belongs to when it names none: the charging station as a whole."""
EXTERNAL = "ChargingStationExternalConstraints"


def evse(call: Payload) -> str | None:
    """The EVSE that `evseId` names; None where there is none."""
    return identifier(call.get("evseId"))


def evse_of(call: Payload) -> str | None:
    """The EVSE that `evse.id` names; None where there is none."""
    place = call.get("evse")
    return identifier(place.get("id")) if isinstance(place, dict) else None


def accepted(answer: Payload) -> bool:
    """Whether a command was accepted."""
    return answer.get("status") == "Accepted"


def token(value: Any) -> str:
    """The id token of an IdTokenType; "" where there is none."""
    return text(value.get("idToken")) if isinstance(value, dict) else ""


def _profile_event(cp_id: str, received_ts: float, evse_id: str | None, profile: Any) -> Iterable[ev.Event]:
    if not isinstance(profile, dict):
        return ()
    place = evse_id or WHOLE_STATION
    return (ev.ChargingProfileSet(cp_id=cp_id, received_ts=received_ts, connector_id=place, profile=profile),)


def profile_set(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """SetChargingProfile (OCPP 2.0.1 K01)."""
    return _profile_event(cp_id, received_ts, evse(call), call.get("chargingProfile")) if accepted(answer) else ()


def remotely_started(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """RequestStartTransaction (OCPP 2.0.1 F01): its profile counts for the transaction to come."""
    if evse(call) is None or not accepted(answer):
        return ()
    return _profile_event(cp_id, received_ts, evse(call), call.get("chargingProfile"))


def profiles_cleared(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """ClearChargingProfile (OCPP 2.0.1 K10)."""
    if not accepted(answer):
        return ()
    told = call.get("chargingProfileCriteria")
    criteria = told if isinstance(told, dict) else {}
    return (
        ev.ChargingProfilesCleared(
            cp_id=cp_id,
            received_ts=received_ts,
            profile_id=whole(call.get("chargingProfileId")),
            connector_id=evse(criteria),
            purpose=text(criteria.get("chargingProfilePurpose")) or None,
            stack_level=whole(criteria.get("stackLevel")),
        ),
    )


def profiles_reported(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """ReportChargingProfiles (OCPP 2.0.1 K09): what the charger has, whoever it came from."""
    told = call.get("chargingProfile")
    for profile in told if isinstance(told, list) else ():
        yield from _profile_event(cp_id, received_ts, evse(call), profile)


def limit_notified(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """NotifyChargingLimit (OCPP 2.0.1 K12): a limit from outside, kept as the external constraint that it is."""
    limit = call.get("chargingLimit")
    source = text(limit.get("chargingLimitSource"), 20) if isinstance(limit, dict) else ""
    schedules = call.get("chargingSchedule")
    if not isinstance(schedules, list) or not schedules:
        return ()
    profile = {
        "id": _external_id(source, evse(call)),
        "stackLevel": 0,
        "chargingProfilePurpose": EXTERNAL,
        "chargingProfileKind": "Absolute",
        "chargingLimitSource": source,
        "chargingSchedule": schedules,
    }
    return _profile_event(cp_id, received_ts, evse(call), profile)


def limit_cleared(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """ClearedChargingLimit (OCPP 2.0.1 K13)."""
    source = text(call.get("chargingLimitSource"), 20)
    return (
        ev.ChargingProfilesCleared(
            cp_id=cp_id, received_ts=received_ts, connector_id=evse(call), profile_id=_external_id(source, evse(call))
        ),
    )


def _external_id(source: str, evse_id: str | None) -> str:
    """No charger's profile has a text as id."""
    return f"external {source} {evse_id or WHOLE_STATION}"


def reserved(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """ReserveNow (OCPP 2.0.1 H01)."""
    reservation_id = whole(call.get("id"))
    if not accepted(answer) or reservation_id is None:
        return ()
    return (
        ev.ReservationMade(
            cp_id=cp_id,
            received_ts=received_ts,
            reservation_id=reservation_id,
            connector_id=evse(call) or WHOLE_STATION,
            id_token=token(call.get("idToken")),
            parent_id_token=token(call.get("groupIdToken")) or None,
            expires_ts=charger_ts(call.get("expiryDateTime")),
        ),
    )


def reservation_cancelled(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """CancelReservation (OCPP 2.0.1 H02)."""
    return reservation_ended(call, answer, cp_id, received_ts) if accepted(answer) else ()


def reservation_ended(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """ReservationStatusUpdate (OCPP 2.0.1 H04, H06): it expired or was removed."""
    reservation_id = whole(call.get("reservationId"))
    if reservation_id is None:
        return ()
    return (ev.ReservationCancelled(cp_id=cp_id, received_ts=received_ts, reservation_id=reservation_id),)
