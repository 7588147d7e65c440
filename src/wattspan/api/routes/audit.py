"""The audit log: who did what, when, under which trace."""

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
    target: Annotated[str | None, Query(max_length=255, description="Within the path that was asked for.")] = None,
) -> Page[models.AuditEntry]:
    """The newest rows first."""
    found = await services.store.read(audit_queries.list_entries, who, target, number_of(cursor), limit + 1)
    return page(found, limit, lambda entry: entry.id, models.audit_entry)
