"""What the charging profiles of a connector come to over a stretch of time. For display: a charger works out its own.

It asks `limits` at each moment where something may change; what a profile means is known there alone. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from wattspan.domain.limits import limit_a
from wattspan.domain.model import ChargePoint, Connector
from wattspan.domain.timestamps import charger_ts

MAX_TIMELINE_ENTRIES = 5_000
"""Moments looked at; profiles that change more often in the time asked for are told as far as these go."""
LONGEST_PERIODS = 1_024
"""Periods looked at of one schedule (the most that OCPP 2.1 allows)."""
DAY_S = 86_400.0
_EVERY_S = {"Daily": DAY_S, "Weekly": 7 * DAY_S}


class Period(NamedTuple):
    """A limit from `start_s` seconds into the schedule on; None: none known."""

    start_s: float
    limit_a: float | None


def composite(cp: ChargePoint, connector: Connector, from_ts: float, duration_s: float) -> list[Period]:
    """The limits from `from_ts` on, each period another limit than the one before.

    What a charger offers now (Current.Offered) says nothing of later, and is left out.
    """
    alone = replace(connector, offered_a=None)
    shared = cp.connectors.get("0")
    profiles = [*connector.profiles, *(shared.profiles if shared is not None else ())]
    until_ts = from_ts + duration_s
    moments = {from_ts}
    for profile in profiles:
        for moment in _moments(profile, connector, from_ts, until_ts):
            if len(moments) >= MAX_TIMELINE_ENTRIES:
                break
            if from_ts < moment < until_ts:
                moments.add(moment)
    periods: list[Period] = []
    for moment in sorted(moments):
        limit = limit_a(cp, alone, moment)
        if not periods or periods[-1].limit_a != limit:
            periods.append(Period(moment - from_ts, limit))
    return periods


def _moments(profile: Mapping[str, Any], connector: Connector, from_ts: float, until_ts: float) -> Iterator[float]:
    """When a profile may change its mind; moments outside the time asked for may be among them."""
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
    """1.6 has one, 2.x a list."""
    told = profile.get("chargingSchedule")
    listed = told if isinstance(told, list | tuple) else [told]
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
        [each.get("startPeriod") for each in periods[:LONGEST_PERIODS] if isinstance(each, Mapping)]
        if (isinstance(periods, list | tuple))
        else []
    )
    for told in [*starts, schedule.get("duration")]:
        if isinstance(told, int | float) and not isinstance(told, bool):
            yield float(told)
