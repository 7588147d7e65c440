"""Charging profiles that charge points accepted, by connector: set, replaced, cleared."""

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


def _replaces(new: ev.Payload, old: ev.Payload, *, same_connector: bool) -> bool:
    """Same id anywhere, or same purpose and stack level on the same connector (OCPP 1.6 §3.13.2, §5.16)."""
    if new.get("chargingProfileId") == old.get("chargingProfileId"):
        return True
    names = ("stackLevel", "chargingProfilePurpose", "transactionId")
    return same_connector and all(new.get(name) == old.get(name) for name in names)


def _matches(e: ev.ChargingProfilesCleared, profile: ev.Payload) -> bool:
    """An id clears that profile alone; else every criterion given must hold (OCPP 1.6 §5.5)."""
    if e.profile_id is not None:
        return profile.get("chargingProfileId") == e.profile_id
    same_purpose = e.purpose in (None, profile.get("chargingProfilePurpose"))
    return same_purpose and e.stack_level in (None, profile.get("stackLevel"))
