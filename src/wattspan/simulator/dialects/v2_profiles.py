"""Converts charging profiles from 2.x to the format of 1.6, which `profiles` uses, and back. Pure."""

from collections.abc import Iterator

from wattspan.simulator.profiles import Profiles
from wattspan.simulator.rpc import Payload

_STATION_16, _STATION_2 = "ChargePointMaxProfile", "ChargingStationMaxProfile"


def to_v16_profile(profile: Payload) -> Payload:
    """Return a ChargingProfileType of 2.x in 1.6's format.

    Only its first schedule is used: several are a choice for the vehicle (K15). Raises LookupError if one is missing.
    """
    shared = {name: value for name, value in profile.items() if name != "id"}
    purpose = profile["chargingProfilePurpose"]
    return shared | {
        "chargingProfileId": profile["id"],
        "chargingProfilePurpose": _STATION_16 if purpose == _STATION_2 else purpose,
        "chargingSchedule": profile["chargingSchedule"][0],
    }


def to_v16_criteria(request: Payload) -> Payload:
    """Return the criteria of ClearChargingProfileRequest as a ClearChargingProfile.req."""
    criteria = request.get("chargingProfileCriteria", {})
    names = {"evseId": "connectorId", "stackLevel": "stackLevel"}
    converted = {old: criteria[new] for new, old in names.items() if new in criteria}
    if "chargingProfileId" in request:
        converted["id"] = request["chargingProfileId"]
    if "chargingProfilePurpose" in criteria:
        purpose = criteria["chargingProfilePurpose"]
        converted["chargingProfilePurpose"] = _STATION_16 if purpose == _STATION_2 else purpose
    return converted


def reports(profiles: Profiles, request: Payload) -> Iterator[Payload]:
    """Return one ReportChargingProfilesRequest for each EVSE that has matching profiles (K09)."""
    criteria = request["chargingProfile"]
    by_evse: dict[int, list[Payload]] = {}
    for evse, profile in profiles.installed():
        profile_v2 = _to_v2_profile(profile)
        if request.get("evseId", evse) == evse and _matches(profile_v2, criteria):
            by_evse.setdefault(evse, []).append(profile_v2)
    for number, (evse, found) in enumerate(by_evse.items(), start=1):
        yield {
            "requestId": request["requestId"],
            "chargingLimitSource": "CSO",
            "evseId": evse,
            "chargingProfile": found,
            "tbc": number < len(by_evse),
        }


def _matches(profile: Payload, criteria: Payload) -> bool:
    ids, sources = criteria.get("chargingProfileId"), criteria.get("chargingLimitSource", ["CSO"])
    if "CSO" not in sources or (ids is not None and profile["id"] not in ids):
        return False
    return all(criteria.get(name, profile[name]) == profile[name] for name in ("chargingProfilePurpose", "stackLevel"))


def _to_v2_profile(profile: Payload) -> Payload:
    shared = {name: value for name, value in profile.items() if name != "chargingProfileId"}
    purpose = profile["chargingProfilePurpose"]
    return shared | {
        "id": profile["chargingProfileId"],
        "chargingProfilePurpose": _STATION_2 if purpose == _STATION_16 else purpose,
        "chargingSchedule": [profile["chargingSchedule"]],
    }
