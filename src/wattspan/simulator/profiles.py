"""Charging profiles: which are installed, and what they allow at a moment (OCPP 1.6 §3.13).

Pure; times are Unix seconds, and real ones: the periods of a profile do not run faster in a fast simulation.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from wattspan.simulator.link import Payload
from wattspan.simulator.vehicle import VOLTAGE_V

_RECURS_S = {"Daily": 86_400, "Weekly": 604_800}
_STATION, _DEFAULT, _OWN = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"


class Moment(NamedTuple):
    """When, and in which transaction: profiles may be relative to its start. None: no transaction."""

    ts: float
    transaction_id: int | str | None = None
    started_ts: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Installed:
    connector_id: int
    profile: Payload

    @property
    def place(self) -> tuple[int, object, object]:
        """What a new profile with the same replaces (OCPP 1.6 §5.16)."""
        return self.connector_id, self.profile["chargingProfilePurpose"], self.profile["stackLevel"]

    @property
    def level(self) -> int:
        return int(self.profile["stackLevel"])


class Profiles:
    """The profiles of one charge point."""

    def __init__(self) -> None:
        self._installed: list[_Installed] = []

    def installed(self) -> Iterator[tuple[int, Payload]]:
        """Every profile with the connector it is for."""
        return ((each.connector_id, each.profile) for each in self._installed)

    def set(self, connector_id: int, profile: Payload) -> bool:
        """Installs one; False where the purpose does not fit the connector.

        Raises KeyError, TypeError or ValueError for what is no profile.
        """
        _check(profile)
        purpose = profile["chargingProfilePurpose"]
        if (purpose == _STATION and connector_id) or (purpose == _OWN and not connector_id):
            return False
        new = _Installed(connector_id=connector_id, profile=profile)
        same = profile["chargingProfileId"]
        self._installed = [
            old for old in self._installed if old.profile["chargingProfileId"] != same and old.place != new.place
        ]
        self._installed.append(new)
        return True

    def clear(self, asked: Payload) -> bool:
        """ClearChargingProfile.req: removes all that fit every given field; whether there were any."""
        wanted: dict[str, Callable[[_Installed], object]] = {
            "id": lambda old: old.profile["chargingProfileId"],
            "connectorId": lambda old: old.connector_id,
            "chargingProfilePurpose": lambda old: old.profile["chargingProfilePurpose"],
            "stackLevel": lambda old: old.profile["stackLevel"],
        }
        kept = [old for old in self._installed if any(f in asked and of(old) != asked[f] for f, of in wanted.items())]
        found = len(kept) < len(self._installed)
        self._installed = kept
        return found

    def forget_transaction(self, connector_id: int) -> None:
        """A TxProfile ends with its transaction."""
        self._installed = [
            old
            for old in self._installed
            if not (old.connector_id == connector_id and old.profile["chargingProfilePurpose"] == _OWN)
        ]

    def limit_a(self, connector_id: int, moment: Moment, hardware_a: float) -> float:
        """What may flow a phase: the lower of the station's profile and the transaction's, the hardware's at most."""
        station = self._of(_STATION, (0,), moment)
        own = self._of(_OWN, (connector_id,), moment)
        if own is None:
            own = self._of(_DEFAULT, (connector_id,), moment)
        if own is None:
            own = self._of(_DEFAULT, (0,), moment)
        return min(limit for limit in (station, own, hardware_a) if limit is not None)

    def composite(self, connector_id: int, moment: Moment, duration_s: int, hardware_a: float) -> list[Payload]:
        """The periods of GetCompositeSchedule.conf in A: a new one wherever the limit changes."""
        edges = {0.0} | {edge for old in self._installed for edge in _edges(old.profile, moment, duration_s)}
        periods: list[Payload] = []
        for edge in sorted(edges):
            limit_a = round(self.limit_a(connector_id, moment._replace(ts=moment.ts + edge), hardware_a), 1)
            if not periods or periods[-1]["limit"] != limit_a:
                periods.append({"startPeriod": int(edge), "limit": limit_a})
        return periods

    def _of(self, purpose: str, connectors: tuple[int, ...], moment: Moment) -> float | None:
        fitting = (
            old
            for old in self._installed
            if old.profile["chargingProfilePurpose"] == purpose and old.connector_id in connectors
        )
        for old in sorted(fitting, key=lambda old: old.level, reverse=True):
            limit_a = _limit_a(old.profile, moment)
            if limit_a is not None:
                return limit_a
        return None


def _limit_a(profile: Payload, moment: Moment) -> float | None:
    """The period in force of one profile, in A a phase; None: it says nothing for this moment."""
    if profile.get("transactionId") not in {None, moment.transaction_id} or not _valid(profile, moment.ts):
        return None
    schedule = profile["chargingSchedule"]
    since_s = moment.ts - _origin_ts(profile, moment)
    if since_s < 0 or since_s >= schedule.get("duration", float("inf")):
        return None
    running = [period for period in schedule["chargingSchedulePeriod"] if period["startPeriod"] <= since_s]
    if not running:
        return None
    period = max(running, key=lambda period: int(period["startPeriod"]))
    in_amperes = schedule["chargingRateUnit"] == "A"
    return float(period["limit"]) / (1 if in_amperes else VOLTAGE_V * period.get("numberPhases", 3))


def _valid(profile: Payload, ts: float) -> bool:
    begins, ends = profile.get("validFrom"), profile.get("validTo")
    return (begins is None or _unix(begins) <= ts) and (ends is None or ts < _unix(ends))


def _origin_ts(profile: Payload, moment: Moment) -> float:
    """Where the schedule's seconds count from."""
    kind, schedule = profile["chargingProfileKind"], profile["chargingSchedule"]
    if kind == "Relative" or "startSchedule" not in schedule:
        return moment.started_ts if moment.started_ts is not None else moment.ts
    start_ts = _unix(schedule["startSchedule"])
    if kind == "Recurring":
        again_s = _RECURS_S[profile.get("recurrencyKind", "Daily")]
        return start_ts + (moment.ts - start_ts) // again_s * again_s
    return start_ts


def _edges(profile: Payload, moment: Moment, duration_s: int) -> Iterator[float]:
    """Seconds from the moment at which this profile may change what it says; a recurring one for a week at most."""
    schedule = profile["chargingSchedule"]
    origin_s = _origin_ts(profile, moment) - moment.ts
    marks = [period["startPeriod"] for period in schedule["chargingSchedulePeriod"]]
    marks += [schedule["duration"]] if "duration" in schedule else []
    again_s = (
        _RECURS_S.get(profile.get("recurrencyKind", ""), 0) if profile["chargingProfileKind"] == "Recurring" else 0
    )
    rounds = range(min(8, int(duration_s // again_s) + 2)) if again_s else range(1)
    edges = [origin_s + again_s * turn + mark for turn in rounds for mark in marks]
    edges += [_unix(profile[end]) - moment.ts for end in ("validFrom", "validTo") if end in profile]
    return (edge for edge in edges if 0 < edge < duration_s)


def _check(profile: Payload) -> None:
    """Reads every field that will be read later, when there is nobody to complain to."""
    schedule = profile["chargingSchedule"]
    words: dict[str, set[str | None]] = {
        "chargingProfilePurpose": {_STATION, _DEFAULT, _OWN},
        "chargingProfileKind": {"Absolute", "Recurring", "Relative"},
        "recurrencyKind": {*_RECURS_S, None},
    }
    for field, known in words.items():
        if profile.get(field) not in known:
            raise ValueError(field)
    if schedule["chargingRateUnit"] not in {"A", "W"}:
        raise ValueError(schedule["chargingRateUnit"])
    int(profile["chargingProfileId"]), int(profile["stackLevel"]), int(schedule.get("duration", 0))
    for period in schedule["chargingSchedulePeriod"]:
        int(period["startPeriod"]), float(period["limit"]), 1 / int(period.get("numberPhases", 3))
    for text in (profile.get("validFrom"), profile.get("validTo"), schedule.get("startSchedule")):
        if text is not None:
            _unix(text)


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
