"""Charging profiles: which are installed, and which limit they set at a time (OCPP 1.6 §3.13).

Pure; it must not know connectors or sessions. Profiles are in 1.6's format. Times are real Unix seconds: the periods of
a profile do not run faster in a fast simulation.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from wattspan.simulator.rpc import Payload
from wattspan.simulator.vehicle import VOLTAGE_V

_RECURRENCE_S = {"Daily": 86_400, "Weekly": 604_800}
_MAX_PROFILE, _DEFAULT_PROFILE, _TX_PROFILE = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"


class EvaluationTime(NamedTuple):
    """A time, and the transaction that is open then; profiles may be relative to its start. None: none is open."""

    ts: float
    transaction_id: int | str | None = None
    started_ts: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Installed:
    connector_id: int
    profile: Payload

    @property
    def key(self) -> tuple[int, object, object]:
        """A new profile with the same key replaces this one (OCPP 1.6 §5.16)."""
        return self.connector_id, self.profile["chargingProfilePurpose"], self.profile["stackLevel"]

    @property
    def level(self) -> int:
        return int(self.profile["stackLevel"])


class Profiles:
    """The charging profiles of one charge point."""

    def __init__(self) -> None:
        self._installed: list[_Installed] = []

    def installed(self) -> Iterator[tuple[int, Payload]]:
        """Return every profile with its connector's number; 0: the whole charge point."""
        return ((each.connector_id, each.profile) for each in self._installed)

    def set(self, connector_id: int, profile: Payload) -> bool:
        """Install a profile; return False if its purpose does not fit the connector.

        Raises ArithmeticError, LookupError, TypeError or ValueError if it is invalid.
        """
        _check(profile)
        purpose = profile["chargingProfilePurpose"]
        if (purpose == _MAX_PROFILE and connector_id) or (purpose == _TX_PROFILE and not connector_id):
            return False
        new = _Installed(connector_id=connector_id, profile=profile)
        profile_id = profile["chargingProfileId"]
        self._installed = [
            old for old in self._installed if old.profile["chargingProfileId"] != profile_id and old.key != new.key
        ]
        self._installed.append(new)
        return True

    def clear(self, request: Payload) -> bool:
        """Remove the profiles that match every field of a ClearChargingProfile.req; return whether there were any."""
        fields: dict[str, Callable[[_Installed], object]] = {
            "id": lambda old: old.profile["chargingProfileId"],
            "connectorId": lambda old: old.connector_id,
            "chargingProfilePurpose": lambda old: old.profile["chargingProfilePurpose"],
            "stackLevel": lambda old: old.profile["stackLevel"],
        }
        kept = [
            old
            for old in self._installed
            if any(name in request and value(old) != request[name] for name, value in fields.items())
        ]
        found = len(kept) < len(self._installed)
        self._installed = kept
        return found

    def remove_transaction_profile(self, connector_id: int) -> None:
        """Remove the TxProfile of a connector; it ends with its transaction."""
        self._installed = [
            old
            for old in self._installed
            if not (old.connector_id == connector_id and old.profile["chargingProfilePurpose"] == _TX_PROFILE)
        ]

    def limit_a(self, connector_id: int, at: EvaluationTime, max_current_a: float) -> float:
        """Return the limit per phase in A: the lowest of station profile, transaction profile and `max_current_a`."""
        station = self._limit_by(_MAX_PROFILE, (0,), at)
        transaction = self._limit_by(_TX_PROFILE, (connector_id,), at)
        if transaction is None:
            transaction = self._limit_by(_DEFAULT_PROFILE, (connector_id,), at)
        if transaction is None:
            transaction = self._limit_by(_DEFAULT_PROFILE, (0,), at)
        return min(limit for limit in (station, transaction, max_current_a) if limit is not None)

    def composite(self, connector_id: int, at: EvaluationTime, duration_s: int, max_current_a: float) -> list[Payload]:
        """Return the periods of GetCompositeSchedule.conf in A: one for each change of the limit."""
        edges = {0.0} | {edge for old in self._installed for edge in _edges(old.profile, at, duration_s)}
        periods: list[Payload] = []
        for edge in sorted(edges):
            limit_a = round(self.limit_a(connector_id, at._replace(ts=at.ts + edge), max_current_a), 1)
            if not periods or periods[-1]["limit"] != limit_a:
                periods.append({"startPeriod": int(edge), "limit": limit_a})
        return periods

    def _limit_by(self, purpose: str, connectors: tuple[int, ...], at: EvaluationTime) -> float | None:
        matching = (
            old
            for old in self._installed
            if old.profile["chargingProfilePurpose"] == purpose and old.connector_id in connectors
        )
        for old in sorted(matching, key=lambda old: old.level, reverse=True):
            limit_a = _limit_a(old.profile, at)
            if limit_a is not None:
                return limit_a
        return None


def _limit_a(profile: Payload, at: EvaluationTime) -> float | None:
    """Return the limit that a profile sets now, in A per phase, or None if it sets none."""
    if profile.get("transactionId") not in {None, at.transaction_id} or not _valid(profile, at.ts):
        return None
    schedule = profile["chargingSchedule"]
    since_s = at.ts - _origin_ts(profile, at)
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
    return (begins is None or _parse_ts(begins) <= ts) and (ends is None or ts < _parse_ts(ends))


def _origin_ts(profile: Payload, at: EvaluationTime) -> float:
    """Return the time that the schedule's seconds count from."""
    kind, schedule = profile["chargingProfileKind"], profile["chargingSchedule"]
    if kind == "Relative" or "startSchedule" not in schedule:
        return at.started_ts if at.started_ts is not None else at.ts
    start_ts = _parse_ts(schedule["startSchedule"])
    if kind == "Recurring":
        period_s = _RECURRENCE_S[profile.get("recurrencyKind", "Daily")]
        return start_ts + (at.ts - start_ts) // period_s * period_s
    return start_ts


def _edges(profile: Payload, at: EvaluationTime, duration_s: int) -> Iterator[float]:
    """Return the seconds from `at` at which the limit may change, for up to 8 repetitions of a recurring profile."""
    schedule = profile["chargingSchedule"]
    origin_s = _origin_ts(profile, at) - at.ts
    marks = [period["startPeriod"] for period in schedule["chargingSchedulePeriod"]]
    marks += [schedule["duration"]] if "duration" in schedule else []
    period_s = (
        _RECURRENCE_S.get(profile.get("recurrencyKind", ""), 0) if profile["chargingProfileKind"] == "Recurring" else 0
    )
    repetitions = range(min(8, int(duration_s // period_s) + 2)) if period_s else range(1)
    edges = [origin_s + period_s * n + mark for n in repetitions for mark in marks]
    edges += [_parse_ts(profile[end]) - at.ts for end in ("validFrom", "validTo") if end in profile]
    return (edge for edge in edges if 0 < edge < duration_s)


def _check(profile: Payload) -> None:
    """Read every field that is used later, so that an invalid profile is refused when it is installed.

    Raises ArithmeticError, LookupError, TypeError or ValueError.
    """
    schedule = profile["chargingSchedule"]
    values: dict[str, set[str | None]] = {
        "chargingProfilePurpose": {_MAX_PROFILE, _DEFAULT_PROFILE, _TX_PROFILE},
        "chargingProfileKind": {"Absolute", "Recurring", "Relative"},
        "recurrencyKind": {*_RECURRENCE_S, None},
    }
    for field, known in values.items():
        if profile.get(field) not in known:
            raise ValueError(field)
    if schedule["chargingRateUnit"] not in {"A", "W"}:
        raise ValueError(schedule["chargingRateUnit"])
    int(profile["chargingProfileId"]), int(profile["stackLevel"]), int(schedule.get("duration", 0))
    for period in schedule["chargingSchedulePeriod"]:
        int(period["startPeriod"]), float(period["limit"]), 1 / int(period.get("numberPhases", 3))
    for text in (profile.get("validFrom"), profile.get("validTo"), schedule.get("startSchedule")):
        if text is not None:
            _parse_ts(text)


def _parse_ts(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
