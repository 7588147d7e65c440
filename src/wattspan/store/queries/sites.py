"""Sites, the site and labels of charge points, and saved views."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from wattspan.store.codec import from_json, to_json
from wattspan.store.queries import Check
from wattspan.store.schema import tables as t
from wattspan.store.upsert import insert, upsert

VERSION = "places_version"
"""The mark that rises with every change of a site, or of the names, sites and labels of charge points."""

_S = t.sites.c
_P = t.charge_point_places.c
_V = t.saved_views.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place with charge points. Of the grid's limit, A or kW is given, or both, or neither."""

    site_id: str
    name: str = ""
    address: str = ""
    time_zone: str = "UTC"
    latitude: float | None = None
    longitude: float | None = None
    grid_limit_a: float | None = None
    grid_limit_kw: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    created_ts: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What operators set of a charge point to find it by. `site_id` None: it has no site."""

    cp_id: str
    name: str = ""
    location: str = ""
    site_id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """Filters, order and columns of a page of the console, under a name. `query` belongs to the client."""

    view_id: str
    user_key: str
    name: str
    page: str
    query: Mapping[str, Any]
    is_shared: bool
    created_ts: float


def touch(connection: sa.Connection) -> None:
    """Let servers know that places changed, and wait for those who change places, too, until they are committed.

    Call it before anything that the change depends on is read.
    """
    statement = insert(connection.dialect, t.marks).values(name=VERSION, value=1)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": t.marks.c.value + 1}))


def version(connection: sa.Connection) -> int:
    """Return the mark that rises with every change of places."""
    return connection.execute(sa.select(t.marks.c.value).where(t.marks.c.name == VERSION)).scalar() or 0


def sites(connection: sa.Connection) -> list[Site]:
    """Return all sites, by id."""
    return [_site(each) for each in connection.execute(sa.select(t.sites).order_by(_S.site_id)).mappings()]


def site(connection: sa.Connection, site_id: str) -> Site | None:
    """Return a site, or None."""
    found = connection.execute(sa.select(t.sites).where(_S.site_id == site_id)).mappings().first()
    return None if found is None else _site(found)


def put_site(connection: sa.Connection, new: Site, check: Check) -> Site:
    """Add a site, or replace it; it keeps the time when it was added."""
    touch(connection)
    before = site(connection, new.site_id)
    check(before)
    values = asdict(new) | {"labels": to_json(dict(new.labels))}
    if before is not None:
        values["created_ts"] = before.created_ts
    connection.execute(upsert(connection.dialect, t.sites, list(values)), [values])
    return _site(values)


def remove_site(connection: sa.Connection, site_id: str, check: Check) -> None:
    """Delete a site; its charge points have no site then."""
    touch(connection)
    check(site(connection, site_id))
    connection.execute(sa.delete(t.sites).where(_S.site_id == site_id))
    connection.execute(sa.update(t.charge_point_places).where(_P.site_id == site_id).values(site_id=None))


def places(connection: sa.Connection, cp_ids: Sequence[str] | None = None) -> list[Place]:
    """Return the places of charge points that were not removed; `cp_ids` None: of all."""
    c = t.charge_points.c
    joined = t.charge_points.outerjoin(t.charge_point_places, _P.cp_id == c.cp_id)
    query = (
        sa.select(c.cp_id, c.name, c.location, _P.site_id, _P.labels).select_from(joined).where(c.removed_ts.is_(None))
    )
    if cp_ids is not None:
        query = query.where(c.cp_id.in_(cp_ids))
    return [
        Place(
            cp_id=row.cp_id,
            name=row.name,
            location=row.location,
            site_id=row.site_id,
            labels={} if row.labels is None else from_json(row.labels),
        )
        for row in connection.execute(query)
    ]


def put_place(connection: sa.Connection, cp_id: str, site_id: str | None, labels: Mapping[str, str] | None) -> bool:
    """Set the site and labels of a charge point. `site_id` "": none; None keeps it, as None keeps the labels.

    Return False, with nothing changed, if there is no such site.
    """
    touch(connection)
    if site_id and site(connection, site_id) is None:
        return False
    found = connection.execute(sa.select(t.charge_point_places).where(_P.cp_id == cp_id)).mappings().first()
    before = {"site_id": None, "labels": "{}"} if found is None else dict(found)
    values = {
        "cp_id": cp_id,
        "site_id": before["site_id"] if site_id is None else site_id or None,
        "labels": before["labels"] if labels is None else to_json(dict(labels)),
    }
    connection.execute(upsert(connection.dialect, t.charge_point_places, list(values)), [values])
    return True


def views(connection: sa.Connection, user_key: str) -> list[SavedView]:
    """Return the views of a user and those that others share, by name."""
    mine = sa.or_(_V.user_key == user_key, _V.is_shared)
    query = sa.select(t.saved_views).where(mine).order_by(_V.name, _V.view_id)
    return [_view(each) for each in connection.execute(query).mappings()]


def add_view(connection: sa.Connection, new: SavedView, max_views: int) -> bool:
    """Add a view. Return False if its user has `max_views` already."""
    count = sa.select(sa.func.count()).select_from(t.saved_views).where(_V.user_key == new.user_key)
    if connection.execute(count).scalar_one() >= max_views:
        return False
    connection.execute(sa.insert(t.saved_views).values({**asdict(new), "query": to_json(dict(new.query))}))
    return True


def rename_view(connection: sa.Connection, user_key: str, view_id: str, name: str) -> SavedView | None:
    """Rename a view of a user and return it, or None if there is none."""
    mine = sa.and_(_V.view_id == view_id, _V.user_key == user_key)
    connection.execute(sa.update(t.saved_views).where(mine).values(name=name))
    found = connection.execute(sa.select(t.saved_views).where(mine)).mappings().first()
    return None if found is None else _view(found)


def remove_view(connection: sa.Connection, user_key: str, view_id: str) -> bool:
    """Delete a view of a user. Return False if there was none."""
    mine = sa.and_(_V.view_id == view_id, _V.user_key == user_key)
    return connection.execute(sa.delete(t.saved_views).where(mine)).rowcount > 0


def _site(row: Mapping[Any, Any]) -> Site:
    return Site(**{**row, "labels": from_json(row["labels"])})


def _view(row: Mapping[Any, Any]) -> SavedView:
    return SavedView(**{**row, "query": from_json(row["query"])})
