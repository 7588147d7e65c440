"""The audit log: who did what, when, in which trace."""

from typing import Annotated

from fastapi import APIRouter, Query

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.models import records as models
from wattspan.api.paging import Cursor, Limit, Page, number_of, page
from wattspan.api.services import Given
from wattspan.store.queries import audit as audit_queries

router = APIRouter(prefix=PREFIX, tags=["audit log"])


@router.get("/audit", **guarded(Right.ADMIN))
async def read_audit_log(
    services: Given,
    limit: Limit = 100,
    cursor: Cursor = None,
    who: Annotated[str | None, Query(max_length=64)] = None,
    target: Annotated[str | None, Query(max_length=255, description="A part of the request's path.")] = None,
) -> Page[models.AuditEntry]:
    """List the audit log, newest rows first."""
    found = await services.store.read(audit_queries.list_entries, who, target, number_of(cursor), limit + 1)
    return page(found, limit, lambda row: row.id, models.audit_entry)
