"""Charge points: read from the fleet in memory, changed in the books."""

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
from wattspan.api.problems import Problem, not_found
from wattspan.api.services import Given, Services
from wattspan.csms.security.credentials import hash_secret, new_secret
from wattspan.domain.model import ChargePoint as Known
from wattspan.store.queries import charge_points as charge_point_queries
from wattspan.store.records import Registration

router = APIRouter(prefix=PREFIX, tags=["charge points"])

SLICE = 1_000
"""Charge points looked at between two pauses."""

CpId = Annotated[str, Path(max_length=255, description="The charge point's identity.")]


def known(services: Services, cp_id: str) -> Known:
    """A charge point of the fleet. Raises Problem 404."""
    found = services.fleet.charge_points.get(cp_id)
    if found is None:
        raise not_found("charge point")
    return found


@router.get("/charge-points", **guarded(Right.READ))
async def list_charge_points(
    services: Given,
    limit: Limit = 100,
    cursor: Cursor = None,
    search: Annotated[str, Query(max_length=100, description="Within identity, vendor, model or firmware.")] = "",
    connected: bool | None = None,
    charging: Annotated[bool | None, Query(description="Has a transaction running.")] = None,
    status: Annotated[str | None, Query(max_length=50, description="OCPP's word, of any connector.")] = None,
) -> Page[ChargePointRow]:
    """Charge points by identity."""
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
            await asyncio.sleep(0)  # 10,000 take some 10 ms, and messages wait
    cps = nsmallest(limit + 1, cps, key=lambda cp: cp.cp_id)
    return page(cps, limit, lambda cp: cp.cp_id, models.row)


@router.post("/charge-points", status_code=201, **guarded(Right.WRITE, 409))
async def create_charge_point(services: Given, new: models.NewChargePoint, response: Response) -> models.Credentials:
    """Register a charge point. Its secret is told this once."""
    secret = new_secret() if new.credentials else None
    stored = None if secret is None else hash_secret(secret, machine_made=True)
    filed = await services.store.do(
        charge_point_queries.add_charge_point, new.cp_id, stored, new.given(), services.now_ts()
    )
    if filed is None:
        raise Problem(409, "it is registered already", kind="exists")
    services.fleet.charge_point(new.cp_id, services.now_ts())
    services.dismiss(new.cp_id, True)
    response.headers["ETag"] = etag(filed)
    return models.Credentials(cp_id=new.cp_id, secret=secret)


@router.get("/charge-points/{cp_id}", **guarded(Right.READ, 404))
async def read_charge_point(services: Given, cp_id: CpId, response: Response) -> ChargePoint:
    """One charge point, with its connectors as they are now."""
    known(services, cp_id)
    filed = await services.store.read(charge_point_queries.registration, cp_id)
    cp = known(services, cp_id)
    response.headers["ETag"] = etag(filed or _unfiled(cp_id))
    return models.whole(cp, filed, services.now_ts(), services.live(cp_id))


@router.patch("/charge-points/{cp_id}", **guarded(Right.WRITE, 404, 412, 428))
async def update_charge_point(
    services: Given, cp_id: CpId, change: models.Annotations, response: Response, if_match: IfMatch = None
) -> ChargePoint:
    """Change what is noted of a charge point."""
    cp = known(services, cp_id)
    check = matching("charge point", if_match)
    filed = await services.store.do(charge_point_queries.change_charge_point, cp_id, change.given(), check)
    response.headers["ETag"] = etag(filed or _unfiled(cp_id))
    return models.whole(cp, filed, services.now_ts(), services.live(cp_id))


@router.delete("/charge-points/{cp_id}", status_code=204, **guarded(Right.WRITE, 404, 412))
async def delete_charge_point(services: Given, cp_id: CpId, if_match: IfMatch = None) -> None:
    """Decommission it: it may not connect, its connection closes, it leaves /metrics. Its transactions stay."""
    check = matching("charge point", if_match, needed=False)
    await services.store.do(charge_point_queries.remove_charge_point, cp_id, check, services.now_ts())
    await services.decommission()


@router.put("/charge-points/{cp_id}/credentials", **guarded(Right.WRITE, 404, 412))
async def set_credentials(
    services: Given, cp_id: CpId, new: models.NewCredentials, response: Response, if_match: IfMatch = None
) -> models.Credentials:
    """Set its secret, told this once; the former one ends. A charge point that is connected stays so."""
    secret = new.secret or new_secret()
    stored = await asyncio.to_thread(hash_secret, secret, new.secret is None)
    filed = await _with_secret(services, cp_id, stored, if_match)
    response.headers["ETag"] = etag(filed)
    return models.Credentials(cp_id=cp_id, secret=secret)


@router.post("/charge-points/{cp_id}/credentials/rotate", **guarded(Right.WRITE, 404, 409, 502, 504))
async def rotate_credentials(services: Given, cp_id: CpId) -> models.Rotation:
    """Give it a new secret over its own connection; the old one works on for a while. Nobody else is told it."""
    known(services, cp_id)
    return models.rotation(cp_id, await services.rotation.rotate(cp_id))


@router.delete("/charge-points/{cp_id}/credentials", status_code=204, **guarded(Right.WRITE, 404, 412))
async def remove_credentials(services: Given, cp_id: CpId, if_match: IfMatch = None) -> None:
    """From now on it may connect without."""
    await _with_secret(services, cp_id, None, if_match)


@router.get("/charge-points/{cp_id}/connectors", **guarded(Right.READ, 404))
async def list_connectors(services: Given, cp_id: CpId) -> list[models.Connector]:
    """Its connectors as they are now."""
    cp = known(services, cp_id)
    return [models.connector(cp, each, services.now_ts()) for each in cp.connectors.values()]


async def _with_secret(services: Services, cp_id: str, stored: str | None, if_match: str | None) -> Registration:
    check = matching("charge point", if_match, needed=False)
    filed = await services.store.do(charge_point_queries.set_secret, cp_id, stored, check, services.now_ts())
    return filed or _unfiled(cp_id)


def _unfiled(cp_id: str) -> Registration:
    return Registration(cp_id=cp_id, registered_ts=None, secret=None)
