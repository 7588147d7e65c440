"""The current a connector may draw now. It reads the state and changes nothing; times come from the caller."""

from collections.abc import Iterable, Mapping
from typing import Any

from wattspan.domain.model import ChargePoint, Connector
from wattspan.domain.timestamps import charger_ts

Profile = Mapping[str, Any]

NOMINAL_V = 230.0
"""Turns a limit in W into A per phase; OCPP 1.6 leaves the voltage open."""
DEFAULT_PHASES = 3
"""OCPP 1.6 §7.14: numberPhases not given means 3."""

_RECURS_S: Mapping[str, float] = {"Daily": 86_400.0, "Weekly": 604_800.0}


def limit_a(cp: ChargePoint, connector: Connector, now_ts: float) -> float | None:
    """The lower of Current.Offered and the period in force of the accepted profiles, in A; None: no limit known.

    OCPP 1.6 §3.13: a TxProfile beats TxDefaultProfile, the connector's own TxDefaultProfile that of connector 0, and of
    one purpose the highest stack level that is in force; ChargePointMaxProfile caps all of it.
    """
    whole = cp.connectors.get("0")
    shared = whole.profiles if whole is not None and whole is not connector else []
    if not connector.profiles and not shared:
        return connector.offered_a
    limits = [
        connector.offered_a,
        _in_force("ChargePointMaxProfile", [*connector.profiles, *shared], connector, now_ts),
    ]
    for purpose, profiles in (
        ("TxProfile", connector.profiles),
        ("TxDefaultProfile", connector.profiles),
        ("TxDefaultProfile", shared),
    ):
        limit = _in_force(purpose, profiles, connector, now_ts)
        if limit is not None:
            limits.append(limit)
            break
    return min((limit for limit in limits if limit is not None), default=None)


def _in_force(purpose: str, profiles: Iterable[Profile], connector: Connector, now_ts: float) -> float | None:
    """The limit of the highest stack level among the profiles of that purpose that say something about now."""
    stacked = [profile for profile in profiles if profile.get("chargingProfilePurpose") == purpose]
    for profile in sorted(stacked, key=lambda profile: _number(profile.get("stackLevel")) or 0.0, reverse=True):
        if _concerns(profile, connector) and _is_valid(profile, now_ts):
            limit = _limit_of(profile, connector, now_ts)
            if limit is not None:
                return limit
    return None


def _concerns(profile: Profile, connector: Connector) -> bool:
    """A TxProfile needs a running transaction, and the one it names if it names one."""
    if profile.get("chargingProfilePurpose") != "TxProfile":
        return True
    if connector.transaction is None:
        return False
    named = profile.get("transactionId")
    return named is None or str(named) == connector.transaction.transaction_id


def _is_valid(profile: Profile, now_ts: float) -> bool:
    valid_from, valid_to = charger_ts(profile.get("validFrom")), charger_ts(profile.get("validTo"))
    return (valid_from is None or valid_from <= now_ts) and (valid_to is None or now_ts < valid_to)


def _limit_of(profile: Profile, connector: Connector, now_ts: float) -> float | None:
    schedule = profile.get("chargingSchedule")
    if not isinstance(schedule, Mapping):
        return None
    elapsed_s = _elapsed_s(profile, schedule, connector, now_ts)
    duration_s = _number(schedule.get("duration"))
    if elapsed_s is None or elapsed_s < 0.0 or (duration_s is not None and elapsed_s >= duration_s):
        return None
    periods = schedule.get("chargingSchedulePeriod")
    running: Profile | None = None
    for period in periods if isinstance(periods, list | tuple) else ():
        if isinstance(period, Mapping) and (_number(period.get("startPeriod")) or 0.0) <= elapsed_s:
            running = period
    return None if running is None else _in_amperes(running, schedule.get("chargingRateUnit"))


def _elapsed_s(profile: Profile, schedule: Profile, connector: Connector, now_ts: float) -> float | None:
    """Seconds into the schedule (OCPP 1.6 §3.13.1): absolute, recurring, or relative to the start."""
    start_ts = charger_ts(schedule.get("startSchedule"))
    kind = profile.get("chargingProfileKind")
    if kind == "Relative" or start_ts is None:
        return 0.0 if connector.transaction is None else now_ts - connector.transaction.began_ts
    if kind == "Recurring":
        every_s = _RECURS_S.get(str(profile.get("recurrencyKind")), _RECURS_S["Daily"])
        return (now_ts - start_ts) % every_s
    return now_ts - start_ts


def _in_amperes(period: Profile, unit: object) -> float | None:
    limit = _number(period.get("limit"))
    if limit is None or unit != "W":
        return limit
    return limit / (NOMINAL_V * (_number(period.get("numberPhases")) or DEFAULT_PHASES))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
