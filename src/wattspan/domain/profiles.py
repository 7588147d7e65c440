"""Charging profiles that charge points accepted, by connector: set, replaced, cleared. Stored as they were sent.

1.6 names a profile's id `chargingProfileId` and has one schedule; 2.x names it `id` and has a list of schedules.
"""

from typing import Any

from wattspan.domain import events as ev
from wattspan.domain.fleet import Fleet


def profile_set(fleet: Fleet, e: ev.ChargingProfileSet) -> None:
    """Apply ChargingProfileSet: add the profile to its connector, and remove the ones it replaces."""
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
    """Apply ChargingProfilesCleared: remove the profiles that match every criterion."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    for connector in list(cp.connectors.values()):
        if e.connector_id in (None, connector.connector_id):
            kept = [profile for profile in connector.profiles if not _matches(e, profile)]
            if len(kept) != len(connector.profiles):
                connector.profiles = kept
                fleet.changed(cp, connector)


def schedule_updated(fleet: Fleet, e: ev.DynamicScheduleUpdated) -> None:
    """Apply DynamicScheduleUpdated: change the only period of a dynamic profile (OCPP 2.1 K28)."""
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    for connector in cp.connectors.values():
        if any(profile_id(profile) == e.profile_id for profile in connector.profiles):
            connector.profiles = [
                _updated(profile, e.update) if profile_id(profile) == e.profile_id else profile
                for profile in connector.profiles
            ]
            fleet.changed(cp, connector)


def profile_id(profile: ev.Payload) -> Any:
    """Return the profile's id under either version's key; None where it has none."""
    return profile.get("chargingProfileId", profile.get("id"))


def schedules(profile: ev.Payload) -> list[Any]:
    """Return its schedules: one in 1.6; in 2.x up to three, from which an ISO 15118 vehicle chooses."""
    schedule = profile.get("chargingSchedule")
    return schedule if isinstance(schedule, list) else [schedule]


def _updated(profile: ev.Payload, update: ev.Payload) -> ev.Payload:
    """Return a changed copy: the old profile may be part of a batch that is being written."""
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
    """Return whether the ids are equal, or on one connector purpose and level (OCPP 1.6 §3.13.2, §5.16)."""
    if profile_id(new) == profile_id(old):
        return True
    names = ("stackLevel", "chargingProfilePurpose", "transactionId")
    return same_connector and all(new.get(name) == old.get(name) for name in names)


def _matches(e: ev.ChargingProfilesCleared, profile: ev.Payload) -> bool:
    """Return whether the profile is to be cleared: by its id alone, or by all other criteria (OCPP 1.6 §5.5)."""
    if e.profile_id is not None:
        return bool(profile_id(profile) == e.profile_id)
    same_purpose = e.purpose in (None, profile.get("chargingProfilePurpose"))
    return same_purpose and e.stack_level in (None, profile.get("stackLevel"))
