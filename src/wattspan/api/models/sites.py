"""Sites, labels, saved views."""

from collections.abc import Iterable
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from wattspan.api.models.common import At, Body, Shown, Text, datetime_of, storable
from wattspan.store.queries.sites import SavedView as StoredView
from wattspan.store.queries.sites import Site as StoredSite

MAX_LABELS = 20

LabelName = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[^:\x00-\x1f\x7f]+$")]
LabelValue = Annotated[str, Field(max_length=100), AfterValidator(storable)]
Labels = Annotated[dict[LabelName, LabelValue], Field(max_length=MAX_LABELS)]
"""Free labels, as names with values, which may be empty."""
SiteId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""The id of a site: short and stable, for it is the label `site` of metrics."""


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError("is no time zone of the IANA database, such as Europe/Paris") from None
    return name


class SiteBody(Body):
    """The fields of a site. Of the grid's limit, A for each phase or kW is given, or both, or neither."""

    name: Text = ""
    address: Text = ""
    time_zone: Annotated[str, Field(max_length=50), AfterValidator(_zone)] = "UTC"
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    grid_limit_a: Annotated[float, Field(gt=0, le=1e6)] | None = None
    grid_limit_kw: Annotated[float, Field(gt=0, le=1e6)] | None = None
    labels: Labels = Field(default_factory=dict)
    note: Text = ""


class SiteNow(Shown):
    """What the charge points of a site do now. `statuses` counts connectors."""

    charge_points: int
    connected: int
    connectors: int
    statuses: dict[str, int]
    sessions: int
    power_w: float


class Site(Shown):
    """A site, with what its charge points do now."""

    site_id: str
    name: str
    address: str
    time_zone: str
    latitude: float | None
    longitude: float | None
    grid_limit_a: float | None
    grid_limit_kw: float | None
    labels: dict[str, str]
    note: str
    created_at: At | None
    now: SiteNow


class LabelUse(Shown):
    """A label in use, its values, and on how many charge points it is."""

    name: str
    values: list[str]
    charge_points: int


ViewTitle = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(storable)]


class NewView(Body):
    """A view to save. `query` is the client's: filters, order, columns. `is_shared`: every user sees it."""

    name: ViewTitle
    page: Annotated[str, Field(min_length=1, max_length=50, pattern="^[a-z0-9/_-]+$")]
    query: dict[str, Any] = Field(default_factory=dict)
    is_shared: bool = False


class ViewName(Body):
    """The new name of a saved view."""

    name: ViewTitle


class View(Shown):
    """A saved view. `is_mine`: this user saved it and may delete it."""

    view_id: str
    name: str
    page: str
    query: dict[str, Any]
    is_shared: bool
    is_mine: bool


def site(stored: StoredSite, now: SiteNow) -> Site:
    """Return the JSON of a site."""
    return Site(
        site_id=stored.site_id,
        name=stored.name,
        address=stored.address,
        time_zone=stored.time_zone,
        latitude=stored.latitude,
        longitude=stored.longitude,
        grid_limit_a=stored.grid_limit_a,
        grid_limit_kw=stored.grid_limit_kw,
        labels=dict(stored.labels),
        note=stored.note,
        created_at=datetime_of(stored.created_ts),
        now=now,
    )


def view(stored: StoredView, user_key: str) -> View:
    """Return the JSON of a saved view."""
    return View(
        view_id=stored.view_id,
        name=stored.name,
        page=stored.page,
        query=dict(stored.query),
        is_shared=stored.is_shared,
        is_mine=stored.user_key == user_key,
    )


def labels_in_use(all_labels: Iterable[dict[str, str]]) -> list[LabelUse]:
    """Return the labels of charge points, by name."""
    found: dict[str, tuple[set[str], int]] = {}
    for labels in all_labels:
        for name, value in labels.items():
            values, count = found.get(name, (set(), 0))
            values.add(value)
            found[name] = (values, count + 1)
    return [
        LabelUse(name=name, values=sorted(values), charge_points=count)
        for name, (values, count) in sorted(found.items())
    ]
