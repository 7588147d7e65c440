"""The current a connector may draw now. It reads the state and changes nothing; times come from the caller.

Profiles are as they were sent, with the keys of 1.6 or of 2.x. Of the fields that 2.1 added only limits are read: a
setpoint or a discharge limit does not limit charging. PriorityCharging and LocalGeneration profiles, which raise a
limit only while the charger activates them, are left out: the figure may be too low then, never too high.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from wattspan.domain.model import ChargePoint, Connector
from wattspan.domain.profiles import schedules
from wattspan.domain.timestamps import charger_ts

Profile = Mapping[str, Any]

NOMINAL_V = 230.0
"""Converts a limit in W to A per phase; OCPP 1.6 does not define the voltage."""
DEFAULT_PHASES = 3
"""OCPP 1.6 §7.14: numberPhases not given means 3."""

_CAPS = (
    ("ChargePointMaxProfile", "ChargingStationMaxProfile"),
    ("ChargingStationExternalConstraints",),
)
"""Purposes that cap all others, each with its names in 1.6 and 2.x."""
_PERIOD_LIMITS = ("limit", "limit_L2", "limit_L3")

_RECURS_S: Mapping[str, float] = {"Daily": 86_400.0, "Weekly": 604_800.0}


def limit_a(cp: ChargePoint, connector: Connector, now_ts: float) -> float | None:
    """Return the lower of Current.Offered and the accepted profiles' active period, in A; None: no limit is known.

    OCPP 1.6 §3.13: TxProfile overrides TxDefaultProfile, the connector's own TxDefaultProfile that of connector 0, and
    within a purpose the highest active stack level counts; ChargePointMaxProfile caps the result, and so do the
    external constraints of 2.x (2.0.1 K01.FR.39).
    """
    whole = cp.connectors.get("0")
    shared = whole.profiles if whole is not None and whole is not connector else []
    if not connector.profiles and not shared:
        return connector.offered_a
    every = [*connector.profiles, *shared]
    limits = [connector.offered_a, *(_in_force(names, every, connector, now_ts) for names in _CAPS)]
    for purpose, profiles in (
        ("TxProfile", connector.profiles),
        ("TxDefaultProfile", connector.profiles),
        ("TxDefaultProfile", shared),
    ):
        limit = _in_force((purpose,), profiles, connector, now_ts)
        if limit is not None:
            limits.append(limit)
            break
    return min((limit for limit in limits if limit is not None), default=None)


def _in_force(
    purposes: tuple[str, ...], profiles: Iterable[Profile], connector: Connector, now_ts: float
) -> float | None:
    """Return the limit of the highest stack level that is active now among the profiles of these purposes."""
    stacked = [profile for profile in profiles if profile.get("chargingProfilePurpose") in purposes]
    for profile in sorted(stacked, key=lambda profile: _number(profile.get("stackLevel")) or 0.0, reverse=True):
        if _applies(profile, connector) and _is_valid(profile, now_ts):
            limit = _limit_of(profile, connector, now_ts)
            if limit is not None:
                return limit
    return None


def _applies(profile: Profile, connector: Connector) -> bool:
    """Return whether the profile applies: a TxProfile needs a running transaction, and the one it names if any."""
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
    """Return the limit of the first schedule: only the charger knows which of several an ISO 15118 vehicle chose."""
    schedule = next(iter(schedules(profile)), None)
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
    """Return the seconds into the schedule (OCPP 1.6 §3.13.1): absolute, recurring, or relative to the start."""
    start_ts = charger_ts(schedule.get("startSchedule"))
    kind = profile.get("chargingProfileKind")
    if kind == "Dynamic":
        return 0.0  # OCPP 2.1 K28: its only period is always active
    if kind == "Relative" or start_ts is None:
        return 0.0 if connector.transaction is None else now_ts - connector.transaction.began_ts
    if kind == "Recurring":
        every_s = _RECURS_S.get(str(profile.get("recurrencyKind")), _RECURS_S["Daily"])
        return (now_ts - start_ts) % every_s
    return now_ts - start_ts


def _in_amperes(period: Profile, unit: object) -> float | None:
    """Return the limit per phase; where phases have their own limits (2.1), the lowest of them, in W as well."""
    own = [limit for name in _PERIOD_LIMITS if (limit := _number(period.get(name))) is not None]
    if not own or unit != "W":
        return min(own, default=None)
    phases = 1 if len(own) > 1 else _number(period.get("numberPhases")) or DEFAULT_PHASES
    return min(own) / (NOMINAL_V * phases)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
