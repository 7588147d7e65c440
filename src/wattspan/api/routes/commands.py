"""Any command of the charge point's OCPP version, as JSON."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query
from pydantic import Field

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.models.commands import Answer, answer
from wattspan.api.models.common import Payload, Shown
from wattspan.api.problems import Problem
from wattspan.api.routes.charge_points import CpId, commanded, known
from wattspan.api.services import Given, Services
from wattspan.errors import NotConnected
from wattspan.versions import VERSIONS
from wattspan.versions.base import Version

router = APIRouter(prefix=PREFIX, tags=["commands"])

COMMAND = (404, 409, 502, 504)
"""Statuses of the problems that any command may get."""

Action = Annotated[str, Path(max_length=50, pattern="^[A-Za-z0-9]+$", description="OCPP's name of the command.")]
TimeoutS = Annotated[
    float | None,
    Query(ge=1, le=300, description="Seconds to wait for the answer; by default `command_timeout_s`."),
]


class SupportedCommands(Shown):
    """The commands that a connected charge point can be sent. `commands` are OCPP's names."""

    protocol: str
    version: str
    commands: list[str]


@router.get("/charge-points/{cp_id}/commands", **guarded(Right.READ, 404, 409))
async def list_commands(services: Given, cp_id: CpId) -> SupportedCommands:
    """List the commands of the OCPP version that the charge point negotiated."""
    await known(services, cp_id)
    version = await _version(services, cp_id, "a command")
    return SupportedCommands(protocol=version.subprotocol, version=version.name, commands=sorted(version.commands))


async def _version(services: Services, cp_id: str, action: str) -> Version:
    """Return the OCPP version of a charge point's connection to any node. Raises NotConnected, RedisUnavailable."""
    connection = await services.view.connection(cp_id)
    if connection is None:
        raise NotConnected(cp_id, action)
    return VERSIONS[connection.protocol]


class CommandSchema(Shown):
    """The JSON schema of a command's payload."""

    action: str
    schema_: Payload = Field(serialization_alias="schema")


@router.get("/charge-points/{cp_id}/commands/{action}", **guarded(Right.READ, 404, 409))
async def read_command(services: Given, cp_id: CpId, action: Action) -> CommandSchema:
    """Return the schema of a command's payload, in the OCPP version that the charge point negotiated."""
    await known(services, cp_id)
    version = await _version(services, cp_id, action)
    document = version.schemas.document(action) if action in version.commands else None
    if document is None:
        raise Problem(404, f"OCPP {version.name} has no such command", kind="no-such-command")
    return CommandSchema(action=action, schema_=document)


@router.post("/charge-points/{cp_id}/commands/{action}", **guarded(Right.COMMAND, *COMMAND))
async def send_command(
    services: Given,
    cp_id: CpId,
    action: Action,
    payload: Annotated[Payload, Body(description="The payload, as the OCPP version defines it.")],
    timeout_s: TimeoutS = None,
) -> Answer:
    """Send a command and return the answer. Commands to one charge point are sent one after another."""
    async with commanded(services, cp_id):
        return answer(await services.commands.send_payload(cp_id, action, payload, timeout_s=timeout_s))
