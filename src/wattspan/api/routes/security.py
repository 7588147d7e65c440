"""Security events, certificates, and the progress of firmware updates and log uploads."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.models import security as models
from wattspan.api.models.common import At, seconds
from wattspan.api.paging import Cursor, Limit, Page, number_of, page
from wattspan.api.routes.charge_points import CpId, known
from wattspan.api.routes.commands import COMMAND
from wattspan.api.services import Given, Services
from wattspan.errors import CommandRefused, StoreUnavailable
from wattspan.store.queries import certificates as certificate_queries
from wattspan.store.queries import file_transfers as transfer_queries
from wattspan.store.queries import security_events as event_queries

router = APIRouter(prefix=PREFIX, tags=["security"])

READ_INSTALLED = "GetInstalledCertificateIds"
TYPES_16 = ("CentralSystemRootCertificate", "ManufacturerRootCertificate")
"""The types of OCPP 1.6, which are read one at a time. 2.x returns all types at once."""


@router.get("/security-events", **guarded(Right.READ))
async def list_security_events(
    services: Given,
    limit: Limit = 100,
    cursor: Cursor = None,
    cp_id: Annotated[str | None, Query(max_length=255)] = None,
    type: Annotated[
        str | None, Query(max_length=50, description="The event's type, e.g. TamperDetectionActivated.")
    ] = None,
    from_at: Annotated[At | None, Query(description="By the server's clock.")] = None,
    until_at: Annotated[At | None, Query(description="By the server's clock, exclusive.")] = None,
) -> Page[models.SecurityEvent]:
    """List the security events that charge points reported, newest first."""
    await services.caught_up()
    found = await services.store.read(
        event_queries.list_security_events,
        *(cp_id, type, seconds(from_at), seconds(until_at), number_of(cursor), limit + 1),
    )
    return page(found, limit, lambda each: each.id, models.security_event)


@router.get("/charge-points/{cp_id}/certificates", **guarded(Right.READ, 404))
async def list_certificates(services: Given, cp_id: CpId) -> models.Certificates:
    """List the certificates that the server issued, newest first, and those that the charge point last reported."""
    await known(services, cp_id)
    return await _certificates(services, cp_id)


@router.post("/charge-points/{cp_id}/certificates/read", **guarded(Right.COMMAND, *COMMAND))
async def read_certificates(services: Given, cp_id: CpId) -> models.Certificates:
    """Ask the charge point which certificates it has installed, and keep its answer (GetInstalledCertificateIds)."""
    connected = await known(services, cp_id)
    if connected.protocol == "ocpp1.6":
        refused: CommandRefused | None = None
        for each in TYPES_16:
            try:
                await services.commands.send_payload(cp_id, READ_INSTALLED, {"certificateType": each})
            except CommandRefused as exc:  # some know one of the types only
                if refused is not None:
                    raise
                refused = exc
    else:
        await services.commands.send_payload(cp_id, READ_INSTALLED, {})
    await _durable(services)
    return await _certificates(services, cp_id)


@router.get("/charge-points/{cp_id}/transfers", **guarded(Right.READ, 404))
async def list_transfers(services: Given, cp_id: CpId) -> list[models.Transfer]:
    """List firmware updates and log uploads with every status, newest first; the last 200 statuses are kept."""
    await known(services, cp_id)
    await services.caught_up()
    return models.transfers(await services.store.read(transfer_queries.list_transfer_statuses, cp_id))


async def _certificates(services: Services, cp_id: str) -> models.Certificates:
    issued = await services.store.read(certificate_queries.list_certificates, cp_id)
    return models.certificates(issued, await services.store.read(certificate_queries.list_installed, cp_id))


async def _durable(services: Services) -> None:
    """Return once all changes until now are in the store. Raises StoreUnavailable."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(fault: StoreUnavailable | None) -> None:
        if not future.done():
            future.set_result(None) if fault is None else future.set_exception(fault)

    services.core.record([], done)
    await future
