"""Pending charge points: who waits for approval, and how each is approved or rejected."""

from fastapi import APIRouter

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.models import charge_points as models
from wattspan.api.routes.charge_points import CpId, known
from wattspan.api.services import Given

router = APIRouter(prefix=PREFIX, tags=["charge points"])


@router.get("/charge-points/pending", **guarded(Right.READ))
async def list_pending(services: Given) -> list[models.PendingChargePoint]:
    """List the charge points that wait for approval, the longest waiting first."""
    return [models.pending(each) for each in await services.registry.pending()]


@router.post("/charge-points/pending/{cp_id}/approve", status_code=201, **guarded(Right.WRITE, 404, 409))
async def approve_charge_point(services: Given, cp_id: CpId) -> models.ChargePoint:
    """Register it without credentials. Rotate them once it is connected, and it has a secret that nobody saw."""
    filed = await services.registry.approve(cp_id)
    place = services.directory.place(cp_id)
    return models.whole(await known(services, cp_id), place, filed, services.now_ts(), None)


@router.post("/charge-points/pending/{cp_id}/reject", status_code=204, **guarded(Right.WRITE, 404))
async def reject_charge_point(services: Given, cp_id: CpId) -> None:
    """Turn it away until it is registered."""
    await services.registry.reject(cp_id)
