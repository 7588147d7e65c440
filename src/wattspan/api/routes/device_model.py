"""The device model of a 2.x charge point as it reported it: components, variables, values, limits, monitors."""

import json
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.models.common import At, Payload, Shown, datetime_of
from wattspan.api.paging import Cursor, Limit, Page, bad_cursor, page, text_of
from wattspan.api.routes.charge_points import CpId, known
from wattspan.api.services import Given
from wattspan.domain.device_model import Variable as Name
from wattspan.store.queries.device_model import StoredVariable

router = APIRouter(prefix=PREFIX, tags=["configuration"])

Filter = Annotated[str | None, Query(max_length=100)]


class Variable(Shown):
    """A variable with what was reported of it. Secret values are not kept."""

    component: str
    component_instance: str
    variable: str
    variable_instance: str
    evse_id: str
    connector_id: str
    attributes: list[Payload]
    characteristics: Payload | None
    monitors: list[Payload]
    reported_at: At | None
    told_at: Annotated[At | None, Field(deprecated=True)]
    """The former name of `reported_at`; it is removed in the next release."""


@router.get("/charge-points/{cp_id}/device-model", **guarded(Right.READ, 404))
async def read_device_model(
    services: Given,
    cp_id: CpId,
    limit: Limit = 100,
    cursor: Cursor = None,
    component: Filter = None,
    variable: Filter = None,
) -> Page[Variable]:
    """List variables by name; empty for 1.6, and until the charge point sent a report (GetBaseReport)."""
    await known(services, cp_id)
    found = await services.store.device_model(
        cp_id, component=component, variable=variable, after=_name(cursor), limit=limit + 1
    )
    return page(found, limit, lambda each: json.dumps(each.of), _shown)


def _name(cursor: str | None) -> Name | None:
    text = text_of(cursor)
    if not text:
        return None
    try:
        return Name(*[part for part in json.loads(text) if isinstance(part, str) and "\0" not in part])
    except (TypeError, ValueError, RecursionError) as exc:
        raise bad_cursor() from exc


def _shown(found: StoredVariable) -> Variable:
    def shown(row: tuple[object, ...], names: tuple[str, ...]) -> Payload:
        return {name: value for name, value in zip(names, row, strict=True) if name != "of"}

    limits = found.characteristics
    return Variable(
        **found.of._asdict(),
        attributes=[shown(each, each._fields) for each in found.attributes],
        characteristics=None if limits is None else shown(limits, limits._fields),
        monitors=[shown(each, each._fields) for each in found.monitors],
        reported_at=datetime_of(found.reported_ts),
        told_at=datetime_of(found.reported_ts),
    )
