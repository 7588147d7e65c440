"""Charge points: reads come from the fleet in memory, and of other nodes from the store; changes go to the registry."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Path, Response

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.etags import IfMatch, etag, matching
from wattspan.api.filters import Filter
from wattspan.api.models import charge_points as models
from wattspan.api.models.charge_points import ChargePoint, ChargePointRow
from wattspan.api.paging import Cursor, Limit, Page, page, text_of
from wattspan.api.problems import Problem, not_found
from wattspan.api.services import Given, Services
from wattspan.domain.model import ChargePoint as Known
from wattspan.errors import NotConnected, RedisUnavailable
from wattspan.store.queries import certificates as certificate_queries
from wattspan.store.queries import charge_points as charge_point_queries
from wattspan.store.queries import sites as site_queries
from wattspan.store.records import Registration

router = APIRouter(prefix=PREFIX, tags=["charge points"])

CpId = Annotated[str, Path(max_length=255, description="The charge point's identity.")]


async def known(services: Services, cp_id: str) -> Known:
    """Return a charge point of any node. Raises Problem 404."""
    found = await services.view.find(cp_id)
    if found is None:
        raise not_found("charge point")
    return found


@asynccontextmanager
async def commanded(services: Services, cp_id: str) -> AsyncIterator[None]:
    """Send commands to a charge point of any node within it. Raises Problem 404 for an unknown one.

    One of another node is looked for only when it is connected nowhere: that takes the store several queries.
    """
    if services.router is None or not services.router.is_elsewhere(cp_id):
        await known(services, cp_id)
        yield
        return
    try:
        yield
    except NotConnected:
        await known(services, cp_id)
        raise


@router.get("/charge-points", **guarded(Right.READ))
async def list_charge_points(
    services: Given, fleet: Filter, limit: Limit = 100, cursor: Cursor = None
) -> Page[ChargePointRow]:
    """List charge points by identity."""
    after, now_ts = text_of(cursor), services.now_ts()
    cps = await fleet.first(services, after, limit + 1)
    return page(cps, limit, lambda cp: cp.cp_id, lambda cp: models.row(cp, services.directory.place(cp.cp_id), now_ts))


@router.get("/charge-points/summary", **guarded(Right.READ))
async def sum_charge_points(services: Given, fleet: Filter) -> models.FleetSummary:
    """Return counts of the charge points that match the filter: by worst status, connectors by status, and so on."""
    return models.summary(await fleet.sum(services))


@router.post("/charge-points", status_code=201, **guarded(Right.WRITE, 409))
async def create_charge_point(services: Given, new: models.NewChargePoint, response: Response) -> models.Credentials:
    """Register a charge point. The answer is the only one that contains its secret."""
    await _check_site(services, new)
    filed, secret = await services.registry.register(new.cp_id, generate_secret=new.credentials, fields=new.given())
    await _put_place(services, new.cp_id, new)
    response.headers["ETag"] = etag(filed)
    return models.Credentials(cp_id=new.cp_id, secret=secret)


@router.get("/charge-points/{cp_id}", **guarded(Right.READ, 404))
async def read_charge_point(services: Given, cp_id: CpId, response: Response) -> ChargePoint:
    """Return one charge point, with its connectors as they are now."""
    await known(services, cp_id)
    filed = await services.store.read(charge_point_queries.registration, cp_id)
    return await _whole(services, await known(services, cp_id), filed, response)


@router.patch("/charge-points/{cp_id}", **guarded(Right.WRITE, 404, 412, 428))
async def update_charge_point(
    services: Given, cp_id: CpId, change: models.Annotations, response: Response, if_match: IfMatch = None
) -> ChargePoint:
    """Change the fields of a charge point that an operator sets."""
    cp = await known(services, cp_id)
    await _check_site(services, change)
    filed = await services.registry.update(cp_id, change.given(), matching("charge point", if_match))
    await _put_place(services, cp_id, change)
    return await _whole(services, cp, filed, response)


@router.delete("/charge-points/{cp_id}", status_code=204, **guarded(Right.WRITE, 404, 412))
async def delete_charge_point(services: Given, cp_id: CpId, if_match: IfMatch = None) -> None:
    """Decommission it: it may not connect, its connection closes, it leaves /metrics. Its transactions are kept."""
    await services.registry.decommission(cp_id, matching("charge point", if_match, needed=False))


@router.put("/charge-points/{cp_id}/credentials", **guarded(Right.WRITE, 404, 412))
async def set_credentials(
    services: Given, cp_id: CpId, new: models.NewCredentials, response: Response, if_match: IfMatch = None
) -> models.Credentials:
    """Replace its secret; no other answer contains it. The former one ends, but an open connection stays open."""
    check = matching("charge point", if_match, needed=False)
    filed, secret = await services.registry.set_secret(cp_id, new.secret, check)
    response.headers["ETag"] = etag(filed or _not_on_file(cp_id))
    return models.Credentials(cp_id=cp_id, secret=secret)


@router.post("/charge-points/{cp_id}/credentials/rotate", **guarded(Right.WRITE, 404, 409, 502, 504))
async def rotate_credentials(services: Given, cp_id: CpId) -> models.Rotation:
    """Give it a new secret, which nobody sees, over its own connection. The old one works for a grace period."""
    async with commanded(services, cp_id):
        return models.rotation(cp_id, await services.rotation.rotate(cp_id))


@router.delete("/charge-points/{cp_id}/credentials", status_code=204, **guarded(Right.WRITE, 404, 412))
async def remove_credentials(services: Given, cp_id: CpId, if_match: IfMatch = None) -> None:
    """Remove its secret: from now on it may connect without one."""
    await services.registry.remove_secret(cp_id, matching("charge point", if_match, needed=False))


@router.get("/charge-points/{cp_id}/connectors", **guarded(Right.READ, 404))
async def list_connectors(services: Given, cp_id: CpId) -> list[models.Connector]:
    """List its connectors as they are now."""
    cp = await known(services, cp_id)
    return [models.connector(cp, each, services.now_ts()) for each in cp.connectors.values()]


async def _check_site(services: Services, change: models.Annotations) -> None:
    if change.site_id and change.site_id not in services.directory.sites:
        await services.directory.refresh()  # another node may have added it
        if change.site_id not in services.directory.sites:
            raise _no_site()


async def _put_place(services: Services, cp_id: str, change: models.Annotations) -> None:
    """Store the site and labels that an operator sets, and show the names that changed."""
    has_place = change.site_id is not None or change.labels is not None
    if has_place and not await services.store.do(site_queries.put_place, cp_id, change.site_id, change.labels):
        raise _no_site()
    await services.directory.refresh()


def _no_site() -> Problem:
    return Problem(422, "the request is not valid", kind="invalid", faults=[("body.site_id", "there is no such site")])


async def _whole(services: Services, cp: Known, filed: Registration | None, response: Response) -> ChargePoint:
    response.headers["ETag"] = etag(filed or _not_on_file(cp.cp_id))
    requests = await services.store.read(certificate_queries.signing_requests, cp.cp_id)
    place = services.directory.place(cp.cp_id)
    try:
        connection = await services.view.connection(cp.cp_id)
    except RedisUnavailable:
        connection = None
    return models.whole(cp, place, filed, services.now_ts(), connection, requests)


def _not_on_file(cp_id: str) -> Registration:
    return Registration(cp_id=cp_id, registered_ts=None, secret=None)
