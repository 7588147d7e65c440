"""Configuration keys (OCPP 1.6 §9), asked of the charge point itself. What 2.x has instead is its device model."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.models.commands import Answer, answer
from wattspan.api.models.common import Body, Shown
from wattspan.api.problems import Problem
from wattspan.api.routes.charge_points import CpId, known
from wattspan.api.routes.commands import COMMAND
from wattspan.api.services import Given, Services

router = APIRouter(prefix=PREFIX, tags=["configuration"])

SECRET = frozenset({"authorizationkey"})
"""Keys whose value is told to nobody, should a charge point tell it (they are to be write-only)."""


class Key(Shown):
    """A configuration key. `value` null: none, or a secret."""

    key: str
    readonly: bool
    value: str | None


class Configuration(Shown):
    """What the charge point answered."""

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
    key: Annotated[list[str] | None, Query(max_length=100, description="Which; all when not given.")] = None,
) -> Configuration:
    """Ask for configuration keys."""
    _must_have_keys(services, cp_id)
    result = await services.commands.send_payload(cp_id, "GetConfiguration", {"key": key} if key else {})
    told = result.payload.get("configurationKey")
    unknown = result.payload.get("unknownKey")
    return Configuration(
        keys=[_key(each) for each in told if isinstance(each, dict)] if isinstance(told, list) else [],
        unknown=[str(each) for each in unknown] if isinstance(unknown, list) else [],
        trace_id=result.trace_id,
    )


@router.put("/charge-points/{cp_id}/configuration/{key}", **guarded(Right.COMMAND, *COMMAND))
async def change_configuration(
    services: Given, cp_id: CpId, key: Annotated[str, Path(max_length=50)], new: Value
) -> Answer:
    """Set a configuration key. Accepted, RebootRequired, Rejected or NotSupported is the answer's status."""
    _must_have_keys(services, cp_id)
    payload = {"key": key, "value": new.value}
    return answer(await services.commands.send_payload(cp_id, "ChangeConfiguration", payload))


def _must_have_keys(services: Services, cp_id: str) -> None:
    known(services, cp_id)
    live = services.live(cp_id)
    if live is not None and "GetConfiguration" not in live.version.commands:
        raise Problem(404, f"OCPP {live.version.name} has a device model instead of keys", kind="no-such-command")


def _key(told: dict[str, Any]) -> Key:
    name, value = str(told.get("key", "")), told.get("value")
    shown = None if value is None or name.casefold() in SECRET else str(value)
    return Key(key=name, readonly=bool(told.get("readonly")), value=shown)
