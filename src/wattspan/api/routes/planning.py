"""Reservations, charging profiles with their composite schedule, and the version of the local list."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from wattspan.api import PREFIX
from wattspan.api.access.guard import Who, guarded
from wattspan.api.access.rights import Right
from wattspan.api.models import records
from wattspan.api.models.common import At, Payload, Shown, datetime_of
from wattspan.api.problems import not_found
from wattspan.api.routes.charge_points import CpId, commanded, known
from wattspan.api.routes.commands import COMMAND
from wattspan.api.services import Given
from wattspan.csms.operations.parameters import GetLocalListVersion
from wattspan.csms.operations.results import local_list_version
from wattspan.domain.composite import composite
from wattspan.store.queries import reservations as reservation_queries

router = APIRouter(prefix=PREFIX, tags=["planning"])

MAX_RESERVATIONS = 1_000

ConnectorId = Annotated[str, Path(max_length=20)]


class Stack(Shown):
    """The charging profiles of a connector, as they were sent and accepted, lowest stack level first."""

    connector_id: str
    profiles: list[Payload]


class Period(Shown):
    """A period of a composite schedule. `limit_a` null: no profile limits it."""

    start_at: At | None
    start_s: float
    limit_a: float | None


class Schedule(Shown):
    """The composite schedule, for display: the charge point computes its own."""

    connector_id: str
    from_at: At | None
    duration_s: int
    periods: list[Period]


class ListVersion(Shown):
    """The version of the local list that the charge point reports. 0: it is empty, -1: it is not supported."""

    version: int | None
    trace_id: str


@router.get("/reservations", **guarded(Right.READ))
async def list_reservations(
    services: Given, who: Who, cp_id: Annotated[str | None, Query(max_length=255)] = None
) -> list[records.Reservation]:
    """List the open reservations: neither expired, cancelled nor used."""
    found = await services.store.read(reservation_queries.open_reservations, cp_id, services.now_ts(), MAX_RESERVATIONS)
    return [records.reservation(each, whole=who.sees_id_tokens) for each in found]


@router.get("/charge-points/{cp_id}/charging-profiles", **guarded(Right.READ, 404))
async def list_charging_profiles(services: Given, cp_id: CpId) -> list[Stack]:
    """List the charging profiles of each connector; 0 is the charge point as a whole."""
    return [
        Stack(connector_id=each.connector_id, profiles=[dict(profile) for profile in sorted(each.profiles, key=_level)])
        for each in (await known(services, cp_id)).connectors.values()
        if each.profiles
    ]


@router.get("/charge-points/{cp_id}/connectors/{connector_id}/composite-schedule", **guarded(Right.READ, 404))
async def read_composite_schedule(
    services: Given,
    cp_id: CpId,
    connector_id: ConnectorId,
    duration_s: Annotated[int, Query(ge=60, le=604_800)] = 86_400,
) -> Schedule:
    """Return the limit over time from now on, by the profiles that the charge point accepted."""
    cp = await known(services, cp_id)
    connector = cp.connectors.get(connector_id)
    if connector is None:
        raise not_found("connector")
    from_ts = services.now_ts()
    periods = composite(cp, connector, from_ts, duration_s)
    return Schedule(
        connector_id=connector_id,
        from_at=datetime_of(from_ts),
        duration_s=duration_s,
        periods=[
            Period(start_at=datetime_of(from_ts + each.start_s), start_s=each.start_s, limit_a=each.limit_a)
            for each in periods
        ],
    )


@router.get("/charge-points/{cp_id}/local-list", **guarded(Right.COMMAND, *COMMAND))
async def read_local_list_version(services: Given, cp_id: CpId) -> ListVersion:
    """Ask the charge point for the version of its local list."""
    async with commanded(services, cp_id):
        result = await services.operations.perform(cp_id, GetLocalListVersion())
    return ListVersion(version=local_list_version(result), trace_id=result.trace_id)


def _level(profile: Any) -> float:
    level = profile.get("stackLevel")
    return level if isinstance(level, int | float) else 0.0
