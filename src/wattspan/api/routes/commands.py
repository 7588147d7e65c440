"""Any command of the charge point's OCPP version, as it goes on the wire."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query
from pydantic import Field

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.models.commands import Answer, answer
from wattspan.api.models.common import Payload, Shown
from wattspan.api.problems import Problem
from wattspan.api.routes.charge_points import CpId, known
from wattspan.api.services import Given

router = APIRouter(prefix=PREFIX, tags=["commands"])

COMMAND = (404, 409, 502, 504)
"""Statuses of problems that any command may be answered with."""

Action = Annotated[str, Path(max_length=50, pattern="^[A-Za-z0-9]+$", description="OCPP's name of the command.")]
TimeoutS = Annotated[
    float | None, Query(ge=1, le=300, description="Seconds for the answer; as configured if not given.")
]


class Speaks(Shown):
    """What a connected charge point may be asked. `commands` are OCPP's names."""

    protocol: str
    version: str
    commands: list[str]


@router.get("/charge-points/{cp_id}/commands", **guarded(Right.READ, 404, 409))
async def list_commands(services: Given, cp_id: CpId) -> Speaks:
    """The commands of the version that the charge point speaks now."""
    known(services, cp_id)
    live = services.live(cp_id)
    if live is None:
        raise Problem(409, "the charge point is not connected", kind="not-connected")
    version = live.version
    return Speaks(protocol=version.subprotocol, version=version.name, commands=sorted(version.commands))


class CommandSchema(Shown):
    """A command's payload as OCPP has it: a JSON schema."""

    action: str
    schema_: Payload = Field(serialization_alias="schema")


@router.get("/charge-points/{cp_id}/commands/{action}", **guarded(Right.READ, 404, 409))
async def read_command(services: Given, cp_id: CpId, action: Action) -> CommandSchema:
    """What the command's payload may be, in the version that the charge point speaks now."""
    known(services, cp_id)
    live = services.live(cp_id)
    if live is None:
        raise Problem(409, "the charge point is not connected", kind="not-connected")
    document = live.version.schemas.document(action) if action in live.version.commands else None
    if document is None:
        raise Problem(404, f"OCPP {live.version.name} has no such command", kind="no-such-command")
    return CommandSchema(action=action, schema_=document)


@router.post("/charge-points/{cp_id}/commands/{action}", **guarded(Right.COMMAND, *COMMAND))
async def send_command(
    services: Given,
    cp_id: CpId,
    action: Action,
    payload: Annotated[Payload, Body(description="The payload, as the charge point's OCPP version has it.")],
    timeout_s: TimeoutS = None,
) -> Answer:
    """Send a command and wait for the answer. Commands to one charge point go out one after another."""
    known(services, cp_id)
    return answer(await services.commands.send_payload(cp_id, action, payload, timeout_s=timeout_s))
