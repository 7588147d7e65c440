"""Charge points: reads come from the fleet in memory, changes go to the registry."""

import asyncio
from heapq import nsmallest
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.etags import IfMatch, etag, matching
from wattspan.api.models import charge_points as models
from wattspan.api.models.charge_points import ChargePoint, ChargePointRow
from wattspan.api.paging import Cursor, Limit, Page, page, text_of
from wattspan.api.problems import not_found
from wattspan.api.services import Given, Services
from wattspan.domain.model import ChargePoint as Known
from wattspan.store.queries import certificates as certificate_queries
from wattspan.store.queries import charge_points as charge_point_queries
from wattspan.store.records import Registration

router = APIRouter(prefix=PREFIX, tags=["charge points"])

SLICE = 1_000
"""Charge points searched between two pauses for messages."""

CpId = Annotated[str, Path(max_length=255, description="The charge point's identity.")]


def known(services: Services, cp_id: str) -> Known:
    """Return a charge point of the fleet. Raises Problem 404."""
    found = services.fleet.charge_points.get(cp_id)
    if found is None:
        raise not_found("charge point")
    return found


@router.get("/charge-points", **guarded(Right.READ))
async def list_charge_points(
    services: Given,
    limit: Limit = 100,
    cursor: Cursor = None,
    search: Annotated[str, Query(max_length=100, description="A part of identity, vendor, model or firmware.")] = "",
    connected: bool | None = None,
    charging: Annotated[bool | None, Query(description="Has an open transaction.")] = None,
    status: Annotated[str | None, Query(max_length=50, description="The OCPP status of any connector.")] = None,
) -> Page[ChargePointRow]:
    """List charge points by identity."""
    after, wanted = text_of(cursor), search.casefold()

    def matches(cp: Known) -> bool:
        return (
            cp.cp_id > after
            and connected in (None, cp.connected)
            and charging in (None, bool(cp.transactions))
            and (status is None or any(each.status == status for each in cp.connectors.values()))
            and (not wanted or any(wanted in word.casefold() for word in (cp.cp_id, cp.vendor, cp.model, cp.firmware)))
        )

    cps: list[Known] = []
    for index, cp in enumerate(list(services.fleet.charge_points.values())):
        if matches(cp):
            cps.append(cp)
        if index % SLICE == SLICE - 1:
            await asyncio.sleep(0)  # 10,000 take some 10 ms, in which messages would wait
    cps = nsmallest(limit + 1, cps, key=lambda cp: cp.cp_id)
    return page(cps, limit, lambda cp: cp.cp_id, models.row)


@router.post("/charge-points", status_code=201, **guarded(Right.WRITE, 409))
async def create_charge_point(services: Given, new: models.NewChargePoint, response: Response) -> models.Credentials:
    """Register a charge point. The answer is the only one that contains its secret."""
    filed, secret = await services.registry.register(new.cp_id, generate_secret=new.credentials, fields=new.given())
    response.headers["ETag"] = etag(filed)
    return models.Credentials(cp_id=new.cp_id, secret=secret)


@router.get("/charge-points/{cp_id}", **guarded(Right.READ, 404))
async def read_charge_point(services: Given, cp_id: CpId, response: Response) -> ChargePoint:
    """Return one charge point, with its connectors as they are now."""
    known(services, cp_id)
    filed = await services.store.read(charge_point_queries.registration, cp_id)
    return await _whole(services, known(services, cp_id), filed, response)


@router.patch("/charge-points/{cp_id}", **guarded(Right.WRITE, 404, 412, 428))
async def update_charge_point(
    services: Given, cp_id: CpId, change: models.Annotations, response: Response, if_match: IfMatch = None
) -> ChargePoint:
    """Change the fields of a charge point that an operator sets."""
    cp = known(services, cp_id)
    filed = await services.registry.update(cp_id, change.given(), matching("charge point", if_match))
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
    known(services, cp_id)
    return models.rotation(cp_id, await services.rotation.rotate(cp_id))


@router.delete("/charge-points/{cp_id}/credentials", status_code=204, **guarded(Right.WRITE, 404, 412))
async def remove_credentials(services: Given, cp_id: CpId, if_match: IfMatch = None) -> None:
    """Remove its secret: from now on it may connect without one."""
    await services.registry.remove_secret(cp_id, matching("charge point", if_match, needed=False))


@router.get("/charge-points/{cp_id}/connectors", **guarded(Right.READ, 404))
async def list_connectors(services: Given, cp_id: CpId) -> list[models.Connector]:
    """List its connectors as they are now."""
    cp = known(services, cp_id)
    return [models.connector(cp, each, services.now_ts()) for each in cp.connectors.values()]


async def _whole(services: Services, cp: Known, filed: Registration | None, response: Response) -> ChargePoint:
    response.headers["ETag"] = etag(filed or _not_on_file(cp.cp_id))
    requests = await services.store.read(certificate_queries.signing_requests, cp.cp_id)
    return models.whole(cp, filed, services.now_ts(), services.connections.connection(cp.cp_id), requests)


def _not_on_file(cp_id: str) -> Registration:
    return Registration(cp_id=cp_id, registered_ts=None, secret=None)
