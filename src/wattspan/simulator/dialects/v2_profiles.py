"""Charging profiles from 2.x's words to 1.6's, in which the charge point keeps them, and back."""

from collections.abc import Iterator

from wattspan.simulator.link import Payload
from wattspan.simulator.profiles import Profiles

_STATION_16, _STATION_2 = "ChargePointMaxProfile", "ChargingStationMaxProfile"


def told_as_16(profile: Payload) -> Payload:
    """ChargingProfileType of 2.x. Its first schedule counts: several are for a vehicle to choose from (K15)."""
    kept = {name: value for name, value in profile.items() if name != "id"}
    purpose = profile["chargingProfilePurpose"]
    return kept | {
        "chargingProfileId": profile["id"],
        "chargingProfilePurpose": _STATION_16 if purpose == _STATION_2 else purpose,
        "chargingSchedule": profile["chargingSchedule"][0],
    }


def criteria_as_16(asked: Payload) -> Payload:
    """What ClearChargingProfileRequest looks for, as ClearChargingProfile.req says it."""
    criteria = asked.get("chargingProfileCriteria", {})
    names = {"evseId": "connectorId", "stackLevel": "stackLevel"}
    told = {old: criteria[new] for new, old in names.items() if new in criteria}
    if "chargingProfileId" in asked:
        told["id"] = asked["chargingProfileId"]
    if "chargingProfilePurpose" in criteria:
        purpose = criteria["chargingProfilePurpose"]
        told["chargingProfilePurpose"] = _STATION_16 if purpose == _STATION_2 else purpose
    return told


def reports(profiles: Profiles, asked: Payload) -> Iterator[Payload]:
    """ReportChargingProfilesRequest for each EVSE that has profiles which are asked for (K09)."""
    criteria = asked["chargingProfile"]
    by_evse: dict[int, list[Payload]] = {}
    for evse, kept in profiles.installed():
        told = _told_as_2(kept)
        if asked.get("evseId", evse) == evse and _wanted(told, criteria):
            by_evse.setdefault(evse, []).append(told)
    for number, (evse, found) in enumerate(by_evse.items(), start=1):
        yield {
            "requestId": asked["requestId"],
            "chargingLimitSource": "CSO",
            "evseId": evse,
            "chargingProfile": found,
            "tbc": number < len(by_evse),
        }


def _wanted(profile: Payload, criteria: Payload) -> bool:
    ids, sources = criteria.get("chargingProfileId"), criteria.get("chargingLimitSource", ["CSO"])
    if "CSO" not in sources or (ids is not None and profile["id"] not in ids):
        return False
    return all(criteria.get(name, profile[name]) == profile[name] for name in ("chargingProfilePurpose", "stackLevel"))


def _told_as_2(kept: Payload) -> Payload:
    told = {name: value for name, value in kept.items() if name != "chargingProfileId"}
    purpose = kept["chargingProfilePurpose"]
    return told | {
        "id": kept["chargingProfileId"],
        "chargingProfilePurpose": _STATION_2 if purpose == _STATION_16 else purpose,
        "chargingSchedule": [kept["chargingSchedule"]],
    }
