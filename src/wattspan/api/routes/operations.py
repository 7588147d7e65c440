"""One route for each operation, the same for every OCPP version."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.files import FIRMWARE
from wattspan.api.models import operations as models
from wattspan.api.models.commands import Answer, answer
from wattspan.api.problems import not_found
from wattspan.api.routes.charge_points import CpId, commanded
from wattspan.api.routes.commands import COMMAND, TimeoutS
from wattspan.api.services import Given, Services

router = APIRouter(prefix=PREFIX, tags=["commands"])

OPERATIONS: Mapping[str, tuple[str, type[models.OperationBody]]] = {
    "start": ("Start charging", models.Start),
    "stop": ("Stop charging", models.Stop),
    "unlock": ("Unlock a connector", models.Unlock),
    "reset": ("Restart the charge point", models.Reset),
    "reserve": ("Reserve a connector", models.Reserve),
    "cancel-reservation": ("Cancel a reservation", models.CancelReservation),
    "limit": ("Limit current or power", models.Limit),
    "clear-limit": ("Clear charging profiles", models.ClearLimit),
    "availability": ("Take into or out of service", models.Availability),
    "trigger": ("Ask for a message", models.Trigger),
    "local-list": ("Send the local list of id tags", models.SendLocalList),
    "logs": ("Have a log uploaded", models.Logs),
    "firmware": ("Update the firmware", models.Firmware),
}
"""Summary and body of each operation, by the last part of its path."""


async def located(services: Services, body: models.OperationBody) -> models.OperationBody:
    """Return the body, with the URL of the firmware that its `firmware_id` names. Raises Problem 404."""
    if not isinstance(body, models.Firmware) or body.firmware_id is None:
        return body
    found = await services.files.find(FIRMWARE, body.firmware_id)
    if found is None:
        raise not_found("firmware")
    url = f"{services.server.api_url()}/files/firmware/{body.firmware_id}/{quote(found[0].name)}"
    return body.model_copy(update={"location": body.location or url})


def _add(name: str, summary: str, model: type[models.OperationBody]) -> None:
    async def perform(services: Given, cp_id: CpId, body: Any, timeout_s: TimeoutS = None) -> Answer:
        async with commanded(services, cp_id):
            operation = (await located(services, body)).operation()
            return answer(await services.operations.perform(cp_id, operation, timeout_s=timeout_s))

    perform.__annotations__["body"] = model
    perform.__name__ = name.replace("-", "_")
    router.add_api_route(
        f"/charge-points/{{cp_id}}/{name}",
        perform,
        methods=["POST"],
        summary=summary,
        description=model.__doc__,
        **guarded(Right.COMMAND, *COMMAND),
    )


for _name, (_summary, _model) in OPERATIONS.items():
    _add(_name, _summary, _model)
