"""The composite schedule of a connector: its limits over a period of time. For display: a charger computes its own.

It evaluates `limits` at each time where a limit may change; only `limits` knows what a profile means. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from wattspan.domain.limits import limit_a
from wattspan.domain.model import ChargePoint, Connector
from wattspan.domain.timestamps import charger_ts

MAX_CHANGES = 5_000
"""Times evaluated; of profiles that change more often within the period, later changes are left out."""
MAX_PERIODS = 1_024
"""Periods evaluated of one schedule (the most that OCPP 2.1 allows)."""
DAY_S = 86_400.0
_EVERY_S = {"Daily": DAY_S, "Weekly": 7 * DAY_S}


class Period(NamedTuple):
    """A limit in A, from `start_s` seconds into the schedule on; None: no limit is known."""

    start_s: float
    limit_a: float | None


def composite(cp: ChargePoint, connector: Connector, from_ts: float, duration_s: float) -> list[Period]:
    """Return the limits from `from_ts` on for `duration_s`; adjacent periods differ in their limit.

    Current.Offered is left out, because it is the limit of the present moment only.
    """
    alone = replace(connector, offered_a=None)
    shared = cp.connectors.get("0")
    profiles = [*connector.profiles, *(shared.profiles if shared is not None else ())]
    until_ts = from_ts + duration_s
    times = {from_ts}
    for profile in profiles:
        for ts in _change_times(profile, connector, from_ts, until_ts):
            if len(times) >= MAX_CHANGES:
                break
            if from_ts < ts < until_ts:
                times.add(ts)
    periods: list[Period] = []
    for ts in sorted(times):
        limit = limit_a(cp, alone, ts)
        if not periods or periods[-1].limit_a != limit:
            periods.append(Period(ts - from_ts, limit))
    return periods


def _change_times(profile: Mapping[str, Any], connector: Connector, from_ts: float, until_ts: float) -> Iterator[float]:
    """Yield the times at which a profile's limit may change; some may lie outside the period."""
    for name in ("validFrom", "validTo"):
        ts = charger_ts(profile.get(name))
        if ts is not None:
            yield ts
    for schedule in _schedules(profile):
        offsets = list(_offsets(schedule))
        for start_ts in _starts(profile, schedule, connector, from_ts, until_ts):
            yield start_ts
            for offset_s in offsets:
                yield start_ts + offset_s


def _schedules(profile: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Return the schedules that are objects: 1.6 has one, 2.x a list."""
    schedule = profile.get("chargingSchedule")
    listed = schedule if isinstance(schedule, list | tuple) else [schedule]
    return [each for each in listed if isinstance(each, Mapping)]


def _starts(
    profile: Mapping[str, Any], schedule: Mapping[str, Any], connector: Connector, from_ts: float, until_ts: float
) -> Iterator[float]:
    start_ts = charger_ts(schedule.get("startSchedule"))
    if profile.get("chargingProfileKind") == "Relative" or start_ts is None:
        yield from_ts if connector.transaction is None else connector.transaction.began_ts
        return
    if profile.get("chargingProfileKind") != "Recurring":
        yield start_ts
        return
    every_s = _EVERY_S.get(str(profile.get("recurrencyKind")), DAY_S)
    at_ts = from_ts - (from_ts - start_ts) % every_s
    while at_ts < until_ts:
        yield at_ts
        at_ts += every_s


def _offsets(schedule: Mapping[str, Any]) -> Iterator[float]:
    periods = schedule.get("chargingSchedulePeriod")
    starts = (
        [each.get("startPeriod") for each in periods[:MAX_PERIODS] if isinstance(each, Mapping)]
        if (isinstance(periods, list | tuple))
        else []
    )
    for offset_s in [*starts, schedule.get("duration")]:
        if isinstance(offset_s, int | float) and not isinstance(offset_s, bool):
            yield float(offset_s)
