"""Smart charging and reservations of OCPP 2.0.1 (Part 2 H and K) as events.

Used by commands and requests, and by 2.1. Payloads may break their schema; nothing here raises.
"""

from collections.abc import Iterable
from typing import Any

from wattspan.domain import events as ev
from wattspan.domain.timestamps import charger_ts
from wattspan.versions.base import Payload
from wattspan.versions.common import WHOLE_CHARGE_POINT, is_accepted, profile_events
from wattspan.versions.fields import identifier, text, whole

EXTERNAL = "ChargingStationExternalConstraints"
"""The purpose of a limit that was set outside, such as by a grid operator."""


def evse(call: Payload) -> str | None:
    """Return the EVSE that `evseId` names; None if it names none."""
    return identifier(call.get("evseId"))


def evse_of(call: Payload) -> str | None:
    """Return the EVSE that `evse.id` names; None if it names none."""
    place = call.get("evse")
    return identifier(place.get("id")) if isinstance(place, dict) else None


def token(value: Any) -> str:
    """Return the id token of an IdTokenType; "" if there is none."""
    return text(value.get("idToken")) if isinstance(value, dict) else ""


def profile_set(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe SetChargingProfile (OCPP 2.0.1 K01)."""
    return profile_events(cp_id, received_ts, evse(call), call.get("chargingProfile")) if is_accepted(answer) else ()


def remotely_started(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe RequestStartTransaction (OCPP 2.0.1 F01): its profile applies to the transaction to come."""
    if evse(call) is None or not is_accepted(answer):
        return ()
    return profile_events(cp_id, received_ts, evse(call), call.get("chargingProfile"))


def profiles_cleared(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe ClearChargingProfile (OCPP 2.0.1 K10)."""
    if not is_accepted(answer):
        return ()
    found = call.get("chargingProfileCriteria")
    criteria = found if isinstance(found, dict) else {}
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
    """Observe ReportChargingProfiles (OCPP 2.0.1 K09): all profiles that the charger has, from any source."""
    profiles = call.get("chargingProfile")
    for profile in profiles if isinstance(profiles, list) else ():
        yield from profile_events(cp_id, received_ts, evse(call), profile)


def limit_notified(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe NotifyChargingLimit (OCPP 2.0.1 K12): an external limit, recorded as an external constraint."""
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
    return profile_events(cp_id, received_ts, evse(call), profile)


def limit_cleared(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe ClearedChargingLimit (OCPP 2.0.1 K13)."""
    source = text(call.get("chargingLimitSource"), 20)
    return (
        ev.ChargingProfilesCleared(
            cp_id=cp_id, received_ts=received_ts, connector_id=evse(call), profile_id=_external_id(source, evse(call))
        ),
    )


def _external_id(source: str, evse_id: str | None) -> str:
    """Return our id of an external limit; being text, it is never the id of a charger's profile."""
    return f"external {source} {evse_id or WHOLE_CHARGE_POINT}"


def reserved(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe ReserveNow (OCPP 2.0.1 H01)."""
    reservation_id = whole(call.get("id"))
    if not is_accepted(answer) or reservation_id is None:
        return ()
    return (
        ev.ReservationMade(
            cp_id=cp_id,
            received_ts=received_ts,
            reservation_id=reservation_id,
            connector_id=evse(call) or WHOLE_CHARGE_POINT,
            id_token=token(call.get("idToken")),
            parent_id_token=token(call.get("groupIdToken")) or None,
            expires_ts=charger_ts(call.get("expiryDateTime")),
        ),
    )
