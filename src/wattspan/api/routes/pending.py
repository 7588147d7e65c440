"""Charge points that wait for an operator: who they are, and a yes or no to each."""

from fastapi import APIRouter

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.models import charge_points as models
from wattspan.api.problems import Problem, not_found
from wattspan.api.routes.charge_points import CpId
from wattspan.api.services import Given, Services
from wattspan.store.queries import charge_points as charge_point_queries

router = APIRouter(prefix=PREFIX, tags=["charge points"])


def _waiting(services: Services, cp_id: str) -> None:
    """Raises Problem 404 unless it waits."""
    if all(each.cp_id != cp_id for each in services.waiting()):
        raise not_found("charge point that waits")


@router.get("/charge-points/pending", **guarded(Right.READ))
async def list_pending(services: Given) -> list[models.PendingChargePoint]:
    """Charge points that wait for approval, the longest waiting first."""
    return [models.pending(each) for each in services.waiting()]


@router.post("/charge-points/pending/{cp_id}/approve", status_code=201, **guarded(Right.WRITE, 404, 409))
async def approve_charge_point(services: Given, cp_id: CpId) -> models.ChargePoint:
    """Register it, without credentials: rotate them once it is back, and it has a secret that nobody saw."""
    _waiting(services, cp_id)
    filed = await services.store.do(charge_point_queries.add_charge_point, cp_id, None, {}, services.now_ts())
    if filed is None:
        raise Problem(409, "it is registered already", kind="exists")
    cp = services.fleet.charge_point(cp_id, services.now_ts())
    services.dismiss(cp_id, True)
    return models.whole(cp, filed, services.now_ts(), None)


@router.post("/charge-points/pending/{cp_id}/reject", status_code=204, **guarded(Right.WRITE, 404))
async def reject_charge_point(services: Given, cp_id: CpId) -> None:
    """Turn it away, until it is registered."""
    _waiting(services, cp_id)
    await services.store.do(charge_point_queries.reject, cp_id, services.now_ts())
    services.dismiss(cp_id, False)
