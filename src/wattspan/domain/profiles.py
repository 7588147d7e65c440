"""Charging profiles that charge points accepted, by connector: set, replaced, cleared. Kept as they were sent.

1.6 calls a profile's id `chargingProfileId` and its schedule is one; 2.x calls it `id` and the schedules are a list.
"""

from typing import Any

from wattspan.domain import events as ev
from wattspan.domain.fleet import Fleet


def profile_set(fleet: Fleet, e: ev.ChargingProfileSet) -> None:
    """A profile was accepted: it joins those of its connector, in the place of the one it replaces."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    connector = cp.connector(e.connector_id)
    for other in cp.connectors.values():
        kept = [old for old in other.profiles if not _replaces(e.profile, old, same_connector=other is connector)]
        if len(kept) != len(other.profiles):
            other.profiles = kept
            fleet.changed(cp, other)
    connector.profiles = [*connector.profiles, e.profile]
    fleet.changed(cp, connector)


def profiles_cleared(fleet: Fleet, e: ev.ChargingProfilesCleared) -> None:
    """Profiles were cleared: those that meet every criterion leave."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    for connector in list(cp.connectors.values()):
        if e.connector_id in (None, connector.connector_id):
            kept = [profile for profile in connector.profiles if not _matches(e, profile)]
            if len(kept) != len(connector.profiles):
                connector.profiles = kept
                fleet.changed(cp, connector)


def schedule_updated(fleet: Fleet, e: ev.DynamicScheduleUpdated) -> None:
    """A dynamic profile's one period was changed (OCPP 2.1 K28)."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    for connector in cp.connectors.values():
        if any(profile_id(profile) == e.profile_id for profile in connector.profiles):
            connector.profiles = [
                _updated(profile, e.update) if profile_id(profile) == e.profile_id else profile
                for profile in connector.profiles
            ]
            fleet.changed(cp, connector)


def profile_id(profile: ev.Payload) -> Any:
    """The profile's id in either version's words; None where it has none."""
    return profile.get("chargingProfileId", profile.get("id"))


def schedules(profile: ev.Payload) -> list[Any]:
    """Its schedules: one in 1.6, up to three for an ISO 15118 vehicle to choose from in 2.x."""
    told = profile.get("chargingSchedule")
    return told if isinstance(told, list) else [told]


def _updated(profile: ev.Payload, update: ev.Payload) -> ev.Payload:
    """A new profile: the old one may be on its way to the store."""
    changed = [
        {**schedule, "chargingSchedulePeriod": [{**_first_period(schedule), **update}]}
        for schedule in schedules(profile)
        if isinstance(schedule, dict)
    ]
    return {**profile, "chargingSchedule": changed}


def _first_period(schedule: dict[str, Any]) -> dict[str, Any]:
    periods = schedule.get("chargingSchedulePeriod")
    first = periods[0] if isinstance(periods, list) and periods else None
    return first if isinstance(first, dict) else {"startPeriod": 0}


def _replaces(new: ev.Payload, old: ev.Payload, *, same_connector: bool) -> bool:
    """Same id anywhere, or same purpose and stack level on the same connector (OCPP 1.6 §3.13.2, §5.16)."""
    if profile_id(new) == profile_id(old):
        return True
    names = ("stackLevel", "chargingProfilePurpose", "transactionId")
    return same_connector and all(new.get(name) == old.get(name) for name in names)


def _matches(e: ev.ChargingProfilesCleared, profile: ev.Payload) -> bool:
    """An id clears that profile alone; else every criterion given must hold (OCPP 1.6 §5.5)."""
    if e.profile_id is not None:
        return bool(profile_id(profile) == e.profile_id)
    same_purpose = e.purpose in (None, profile.get("chargingProfilePurpose"))
    return same_purpose and e.stack_level in (None, profile.get("stackLevel"))
