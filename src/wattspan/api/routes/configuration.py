"""Configuration keys (OCPP 1.6 §9), read from the charge point itself. 2.x has a device model instead."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.models.commands import Answer, answer
from wattspan.api.models.common import Body, Shown
from wattspan.api.routes.charge_points import CpId, commanded
from wattspan.api.routes.commands import COMMAND
from wattspan.api.services import Given
from wattspan.csms.operations.parameters import ChangeConfiguration, GetConfiguration

router = APIRouter(prefix=PREFIX, tags=["configuration"])

SECRET = frozenset({"authorizationkey"})
"""Keys whose value is never shown, even if a charge point reports it: they are write-only (security whitepaper)."""


class Key(Shown):
    """A configuration key. `value` null: it has none, or is a secret."""

    key: str
    readonly: bool
    value: str | None


class Configuration(Shown):
    """The configuration keys that the charge point reported, and those it does not know."""

    keys: list[Key]
    unknown: list[str]
    trace_id: str


class Value(Body):
    """A key's new value."""

    value: Annotated[str, Field(max_length=500)]


@router.get("/charge-points/{cp_id}/configuration", **guarded(Right.COMMAND, *COMMAND))
async def read_configuration(
    services: Given,
    cp_id: CpId,
    key: Annotated[list[str] | None, Query(max_length=100, description="The keys to read; none: all.")] = None,
) -> Configuration:
    """Read configuration keys from the charge point."""
    async with commanded(services, cp_id):
        result = await services.operations.perform(cp_id, GetConfiguration(keys=key or ()))
    reported = result.payload.get("configurationKey")
    unknown = result.payload.get("unknownKey")
    return Configuration(
        keys=[_key(each) for each in reported if isinstance(each, dict)] if isinstance(reported, list) else [],
        unknown=[str(each) for each in unknown] if isinstance(unknown, list) else [],
        trace_id=result.trace_id,
    )


@router.put("/charge-points/{cp_id}/configuration/{key}", **guarded(Right.COMMAND, *COMMAND))
async def change_configuration(
    services: Given, cp_id: CpId, key: Annotated[str, Path(max_length=50)], new: Value
) -> Answer:
    """Set a configuration key. The status is Accepted, RebootRequired, Rejected or NotSupported."""
    async with commanded(services, cp_id):
        return answer(await services.operations.perform(cp_id, ChangeConfiguration(key=key, value=new.value)))


def _key(reported: dict[str, Any]) -> Key:
    name, value = str(reported.get("key", "")), reported.get("value")
    shown = None if value is None or name.casefold() in SECRET else str(value)
    return Key(key=name, readonly=bool(reported.get("readonly")), value=shown)
