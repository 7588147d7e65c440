"""Sites, labels, saved views."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Path, Response

from wattspan.api import PREFIX
from wattspan.api.access.guard import Who, guarded
from wattspan.api.access.rights import Right
from wattspan.api.etags import IfMatch, creating_or_matching, etag, matching
from wattspan.api.filters import FleetFilter
from wattspan.api.fleet_sums import FleetSums
from wattspan.api.models import sites as models
from wattspan.api.paging import Page
from wattspan.api.problems import Problem, not_found
from wattspan.api.services import Given, Services
from wattspan.store.queries import sites as site_queries
from wattspan.store.queries.sites import SavedView, Site

router = APIRouter(prefix=PREFIX, tags=["sites"])

MAX_SITES = 5_000
MAX_VIEWS = 100
"""Views that one user may save."""

SiteId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="The site's id.")]
ViewId = Annotated[str, Path(max_length=32, description="The view's id.")]


@router.get("/sites", **guarded(Right.READ))
async def list_sites(services: Given) -> Page[models.Site]:
    """List all sites by id, with what their charge points do now."""
    by_site, none = await FleetFilter().sum_by_site(services), FleetSums()
    sites = services.directory.sites.values()
    return Page(items=[models.site(each, _now(by_site.get(each.site_id, none))) for each in sites])


@router.get("/sites/{site_id}", **guarded(Right.READ, 404))
async def read_site(services: Given, site_id: SiteId, response: Response) -> models.Site:
    """Return one site, with what its charge points do now."""
    found = await services.store.read(site_queries.site, site_id)
    if found is None:
        raise not_found("site")
    return await _whole(services, found, response)


@router.put("/sites/{site_id}", **guarded(Right.WRITE, 412, 428))
async def put_site(
    services: Given, site_id: SiteId, body: models.SiteBody, response: Response, if_match: IfMatch = None
) -> models.Site:
    """Add a site, or replace it; If-Match is required to replace one."""
    if site_id not in services.directory.sites and len(services.directory.sites) >= MAX_SITES:
        raise Problem(409, f"there are {MAX_SITES} sites already", kind="limit")
    new = Site(site_id=site_id, created_ts=services.now_ts(), **body.model_dump())
    stored = await services.store.do(site_queries.put_site, new, creating_or_matching(if_match))
    await services.directory.refresh()
    return await _whole(services, stored, response)


@router.delete("/sites/{site_id}", status_code=204, **guarded(Right.WRITE, 404, 412))
async def delete_site(services: Given, site_id: SiteId, if_match: IfMatch = None) -> None:
    """Delete a site. Its charge points stay, without a site."""
    await services.store.do(site_queries.remove_site, site_id, matching("site", if_match, needed=False))
    await services.directory.refresh()


@router.get("/labels", **guarded(Right.READ))
async def list_labels(services: Given) -> list[models.LabelUse]:
    """List the labels of charge points that are in use, with their values."""
    return models.labels_in_use(
        dict(services.directory.place(cp_id).labels) for cp_id in list(services.fleet.charge_points)
    )


@router.get("/views", **guarded(Right.READ))
async def list_views(services: Given, who: Who) -> list[models.View]:
    """List the views that this user saved, and those that others share."""
    key = who.name.casefold()
    return [models.view(each, key) for each in await services.store.read(site_queries.views, key)]


@router.post("/views", status_code=201, **guarded(Right.READ, 409))
async def save_view(services: Given, who: Who, new: models.NewView) -> models.View:
    """Save a view of a list. To share it requires the right to write."""
    if new.is_shared and Right.WRITE not in who.rights:
        raise Problem(403, "sharing a view requires the right 'write'", kind="right")
    view = SavedView(
        view_id=secrets.token_hex(8), user_key=who.name.casefold(), created_ts=services.now_ts(), **new.model_dump()
    )
    if not await services.store.do(site_queries.add_view, view, MAX_VIEWS):
        raise Problem(409, f"this user has {MAX_VIEWS} views already", kind="limit")
    return models.view(view, view.user_key)


@router.patch("/views/{view_id}", **guarded(Right.READ, 404))
async def rename_view(services: Given, who: Who, view_id: ViewId, body: models.ViewName) -> models.View:
    """Rename a view that this user saved."""
    key = who.name.casefold()
    found = await services.store.do(site_queries.rename_view, key, view_id, body.name)
    if found is None:
        raise not_found("view")
    return models.view(found, key)


@router.delete("/views/{view_id}", status_code=204, **guarded(Right.READ, 404))
async def delete_view(services: Given, who: Who, view_id: ViewId) -> None:
    """Delete a view that this user saved."""
    if not await services.store.do(site_queries.remove_view, who.name.casefold(), view_id):
        raise not_found("view")


async def _whole(services: Services, found: Site, response: Response) -> models.Site:
    response.headers["ETag"] = etag(found)
    return models.site(found, _now(await FleetFilter(site_id=(found.site_id,)).sum(services)))


def _now(sums: FleetSums) -> models.SiteNow:
    return models.SiteNow(
        charge_points=sums.charge_points,
        connected=sums.connected,
        connectors=sums.connectors,
        statuses=dict(sums.statuses),
        sessions=sums.sessions,
        power_w=sums.power_w,
    )
