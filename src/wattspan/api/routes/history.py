"""The history: series, timelines, availability, planned outages."""

import asyncio
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Annotated

from fastapi import APIRouter, Path, Query

from wattspan.api import PREFIX
from wattspan.api.access.guard import Who, guarded
from wattspan.api.access.rights import Right
from wattspan.api.filters import Filter, real_connectors
from wattspan.api.models import history as models
from wattspan.api.models.common import At, datetime_of
from wattspan.api.problems import Problem, not_found
from wattspan.api.routes.charge_points import known
from wattspan.api.services import Given, Services
from wattspan.domain.model import ChargePoint
from wattspan.history import intervals as counting
from wattspan.history.timelines import COMMAND, CONNECTION, STATUS
from wattspan.store.queries import series as series_queries
from wattspan.store.queries import timelines as timeline_queries
from wattspan.store.queries import transactions as transaction_queries
from wattspan.store.queries.timelines import PlannedOutage, StateChange
from wattspan.store.series.blocks import MINUTE_S, WHOLE, Block
from wattspan.store.series.ranges import Group, Range, tier_for

router = APIRouter(prefix=PREFIX, tags=["history"])

MAX_POINTS = 3_000
"""Steps of a series."""
MAX_SERIES = 500
MAX_CHARGE_POINTS = 500
"""Charge points whose timelines are shown at once."""
MAX_CHANGES = 50_000
MAX_SESSIONS = 5_000
READ_AT_ONCE = 500
"""Charge points read in one query, so that none takes long."""
DAY_S = 86_400.0
DEFAULT_POINTS = 500

From = Annotated[At | None, Query(description="The begin; by default a day before the end.")]
OutageId = Annotated[int, Path(ge=1, lt=2**63, description="The outage's number.")]
Until = Annotated[At | None, Query(description="The end; by default now.")]


@router.get("/series", **guarded(Right.READ, 404))
async def read_series(  # noqa: PLR0913, PLR0917  one argument a parameter of the query
    services: Given,
    fleet: Filter,
    from_at: From = None,
    until_at: Until = None,
    step_s: Annotated[
        int | None, Query(ge=60, le=2_678_400, description="Seconds of a step, a multiple of 60; by default fitting.")
    ] = None,
    metric: Annotated[list[models.Channel] | None, Query(description="By default power_w.")] = None,
    by: Annotated[models.By, Query(description="What each series is of.")] = models.By.TOTAL,
    connector_id: Annotated[str | None, Query(max_length=20, description="Only with `by` connector.")] = None,
) -> models.SeriesRange:
    """Return series of the charge points that match the filter, summed by `by`. Steps begin at multiples of a step.

    Sums over several charge points are made when they are read: nothing about sites is stored.
    """
    from_ts, until_ts = _range(services, from_at, until_at)
    step = _step(services, step_s, from_ts, until_ts)
    first_ts = int(from_ts // step * step)
    count = -(-int(until_ts - first_ts) // step)
    if count > MAX_POINTS:
        raise _too_much(f"more than {MAX_POINTS} steps")
    cps = await fleet.find(services)
    groups = {cp.cp_id: _groups(services, cp, by, connector_id) for cp in cps}
    if by in (models.By.CHARGE_POINT, models.By.CONNECTOR):
        series_total = sum(len(each) for each in groups.values())
        if series_total > MAX_SERIES:
            raise _too_much(f"more than {MAX_SERIES} series")
    channels = [each.value for each in dict.fromkeys(metric or [models.Channel.POWER])]
    wanted = Range(from_ts=first_ts, step_s=step, count=count, channels=channels)
    cp_ids = sorted(groups)
    for first in range(0, len(cp_ids), READ_AT_ONCE):
        part = {cp_id: groups[cp_id] for cp_id in cp_ids[first : first + READ_AT_ONCE]}
        unwritten: dict[str, list[Block]] = {}
        if services.history is not None:
            for block in services.history.series.open_blocks(list(part)):
                unwritten.setdefault(block.cp_id, []).append(block)
        await services.store.read(series_queries.add_range, wanted, part, services.now_ts(), unwritten)
    return await asyncio.to_thread(_series, wanted, by)


@router.get("/timelines", **guarded(Right.READ, 404))
async def read_timelines(
    services: Given,
    fleet: Filter,
    from_at: From = None,
    until_at: Until = None,
    step_s: Annotated[
        int | None, Query(ge=60, le=86_400, description="Show only the longest state of each step of so many seconds.")
    ] = None,
    kind: Annotated[list[models.Kind] | None, Query(description="By default all kinds.")] = None,
    connector_id: Annotated[str | None, Query(max_length=20, description="Only this connector.")] = None,
) -> models.Timelines:
    """Return the states of connectors and connections, with sessions and commands, of up to 500 charge points."""
    from_ts, until_ts = _range(services, from_at, until_at)
    cp_ids = sorted(cp.cp_id for cp in await fleet.find(services))
    if len(cp_ids) > MAX_CHARGE_POINTS:
        raise _too_much(f"more than {MAX_CHARGE_POINTS} charge points")
    kinds = set(kind or ("connection", "status", "command", "session"))
    changes = await services.store.read(
        timeline_queries.changes, cp_ids, from_ts, until_ts, MAX_CHANGES, sorted(kinds & {CONNECTION, STATUS, COMMAND})
    )
    sessions = []
    if "session" in kinds:
        sessions = await services.store.read(transaction_queries.overlapping, cp_ids, from_ts, until_ts, MAX_SESSIONS)
    found = counting.intervals(changes, from_ts, until_ts)
    if step_s is not None:
        found = {place: counting.by_step(each, from_ts, float(step_s)) for place, each in found.items()}
    places = set(found) | {(each.cp_id, each.connector_id) for each in changes} | {each[:2] for each in sessions}
    timelines = [
        models.Timeline(
            cp_id=place[0],
            connector_id=place[1],
            intervals=[models.interval(each) for each in found.get(place, ())],
            commands=[models.mark(each) for each in changes if each.kind == COMMAND and _place(each) == place],
            sessions=[_session(each) for each in sessions if each[:2] == place],
        )
        for place in sorted(places)
        if connector_id in (None, place[1])
    ]
    return models.Timelines.model_validate(
        {
            "from_at": datetime_of(from_ts),
            "until_at": datetime_of(until_ts),
            "complete": len(changes) < MAX_CHANGES and len(sessions) < MAX_SESSIONS,
            "timelines": timelines,
        }
    )


@router.get("/availability", **guarded(Right.READ))
async def read_availability(
    services: Given,
    fleet: Filter,
    from_at: Annotated[At | None, Query(description="The begin; by default 30 days before the end.")] = None,
    until_at: Until = None,
) -> models.AvailabilityRange:
    """Return the availability of each connector and of all together, as NEVI counts it (97 %)."""
    until_ts = services.now_ts() if until_at is None else min(until_at.timestamp(), services.now_ts())
    from_ts = max(0.0, until_ts - 30 * DAY_S) if from_at is None else from_at.timestamp()
    if from_ts >= until_ts:
        raise _bad_range()
    counted = await availability_of(services, [cp.cp_id for cp in await fleet.find(services)], from_ts, until_ts)
    known_s = sum(each.known_s for each in counted.values())
    out_s = sum(each.outage_s - each.excluded_s for each in counted.values())
    return models.AvailabilityRange.model_validate(
        {
            "from_at": datetime_of(from_ts),
            "until_at": datetime_of(until_ts),
            "target": models.NEVI_TARGET,
            "availability": 1.0 - out_s / known_s if known_s else None,
            "connectors": [
                models.availability(cp_id, connector_id, each, services.directory.place(cp_id).site_id)
                for (cp_id, connector_id), each in sorted(counted.items())
            ],
        }
    )


async def availability_of(
    services: Services, cp_ids: Sequence[str], from_ts: float, until_ts: float
) -> dict[counting.Place, counting.Availability]:
    """Return the availability of the connectors of charge points."""
    counted: dict[counting.Place, counting.Availability] = {}
    ordered = sorted(cp_ids)
    for first in range(0, len(ordered), READ_AT_ONCE):
        part = ordered[first : first + READ_AT_ONCE]
        planned = await services.store.read(timeline_queries.planned_outages, part, from_ts, until_ts)
        counted |= await services.store.read(_counted, part, from_ts, until_ts, planned)
    return counted


def _counted(
    connection: object, cp_ids: Sequence[str], from_ts: float, until_ts: float, planned: Sequence[PlannedOutage]
) -> dict[counting.Place, counting.Availability]:
    changes = timeline_queries.edges(connection, cp_ids, from_ts, until_ts)  # type: ignore[arg-type]
    return counting.availability(counting.intervals(changes, from_ts, until_ts), planned)


@router.get("/planned-outages", **guarded(Right.READ))
async def list_planned_outages(
    services: Given,
    from_at: Annotated[At | None, Query(description="The begin; by default now.")] = None,
    until_at: Annotated[At | None, Query(description="The end; by default a year after the begin.")] = None,
    cp_id: Annotated[str | None, Query(max_length=255, description="Only of this charge point.")] = None,
) -> list[models.PlannedOutage]:
    """List planned outages that reach into a range."""
    from_ts = services.now_ts() if from_at is None else from_at.timestamp()
    until_ts = from_ts + 366 * DAY_S if until_at is None else until_at.timestamp()
    cp_ids = None if cp_id is None else [cp_id]
    found = await services.store.read(timeline_queries.planned_outages, cp_ids, from_ts, until_ts)
    return [models.planned_outage(each) for each in found]


@router.post("/planned-outages", status_code=201, **guarded(Right.WRITE, 404))
async def add_planned_outage(services: Given, who: Who, new: models.NewPlannedOutage) -> models.PlannedOutage:
    """Exclude a time from availability. It may lie in the past."""
    await known(services, new.cp_id)
    outage = PlannedOutage(
        cp_id=new.cp_id,
        connector_id=new.connector_id,
        from_ts=new.from_at.timestamp(),
        until_ts=new.until_at.timestamp(),
        reason=new.reason,
        created_by=who.name,
    )
    if outage.from_ts >= outage.until_ts:
        raise _bad_range()
    return models.planned_outage(await services.store.do(timeline_queries.add_planned_outage, outage))


@router.delete("/planned-outages/{outage_id}", status_code=204, **guarded(Right.WRITE, 404))
async def delete_planned_outage(
    services: Given, outage_id: Annotated[int, Path(ge=1, lt=2**63, description="The outage's number.")]
) -> None:
    """Delete a planned outage."""
    if not await services.store.do(timeline_queries.remove_planned_outage, outage_id):
        raise not_found("planned outage")


def _range(services: Services, from_at: At | None, until_at: At | None) -> tuple[float, float]:
    until_ts = services.now_ts() if until_at is None else until_at.timestamp()
    from_ts = max(0.0, until_ts - DAY_S) if from_at is None else from_at.timestamp()
    if from_ts >= until_ts:
        raise _bad_range()
    return from_ts, until_ts


def _bad_range() -> Problem:
    return Problem(422, "the range is empty", faults=[("query.from_at", "must be before the end")])


def _too_much(what: str) -> Problem:
    return Problem(422, f"{what}: narrow the range or the filter, or choose a longer step", kind="too-much")


def _step(services: Services, wanted_s: int | None, from_ts: float, until_ts: float) -> int:
    """Return the step: as asked for, or as fits the range, and never shorter than what is kept of that time."""
    if wanted_s is None:
        fitting = [60, 300, 900, 3600, 21_600, 86_400]
        span_s = until_ts - from_ts
        wanted_s = next((each for each in fitting if span_s / each <= DEFAULT_POINTS), 86_400)
    if wanted_s % MINUTE_S:
        raise Problem(422, "the step is not valid", faults=[("query.step_s", "must be a multiple of 60")])
    tier = tier_for(wanted_s, from_ts, services.now_ts())
    return wanted_s if wanted_s % tier == 0 else tier


def _groups(services: Services, cp: ChargePoint, by: models.By, connector_id: str | None) -> Mapping[str, Group]:
    """Return what the series of each place of a charge point belong to."""
    if by is models.By.CONNECTOR:
        ids = [each.connector_id for each in real_connectors(cp)]
        return {each: (cp.cp_id, each) for each in ids if connector_id in (None, each)}
    if by is models.By.CHARGE_POINT:
        return {WHOLE: (cp.cp_id,)}
    if by is models.By.SITE:
        return {WHOLE: (services.directory.place(cp.cp_id).site_id or "",)}
    return {WHOLE: ()}


def _series(wanted: Range, by: models.By) -> models.SeriesRange:
    series = []
    for group, columns in sorted(wanted.totals.items()):
        ids: dict[str, str | None] = {}
        if by is models.By.SITE:
            ids = {"site_id": group[0] or None}
        elif by is not models.By.TOTAL:
            ids = dict(zip(("cp_id", "connector_id"), group, strict=False))
        for name, column in zip(wanted.channels, columns, strict=True):
            values = [None if isnan(value) else round(value, 3) for value in column]
            series.append(models.Series(metric=models.Channel(name), values=values, **ids))
    return models.SeriesRange.model_validate(
        {
            "from_at": datetime_of(wanted.from_ts),
            "until_at": datetime_of(wanted.until_ts),
            "step_s": wanted.step_s,
            "series": series,
        }
    )


def _place(change: StateChange) -> counting.Place:
    return change.cp_id, change.connector_id


def _session(found: transaction_queries.Session) -> models.SessionMark:
    return models.SessionMark.model_validate(
        {
            "number": found.number,
            "began_at": datetime_of(found.began_ts),
            "ended_at": datetime_of(found.ended_ts),
            "energy_wh": found.energy_wh,
        }
    )
