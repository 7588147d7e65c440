"""What operators ask of a charge point, whatever OCPP version it speaks: one route for each row of `convenience`."""

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.files import FIRMWARE
from wattspan.api.models.commands import Answer, answer
from wattspan.api.models.operations import Firmware
from wattspan.api.operations import OPERATIONS, Operation, OperationContext
from wattspan.api.problems import Problem, not_found
from wattspan.api.routes.charge_points import CpId, known
from wattspan.api.routes.commands import COMMAND, TimeoutS
from wattspan.api.services import Given, Services

router = APIRouter(prefix=PREFIX, tags=["commands"])


async def _around(services: Services, cp_id: str, wish: Operation, asked: Any) -> OperationContext:
    firmware_at = ""
    if isinstance(asked, Firmware) and asked.firmware_id is not None:
        found = await services.files.find(FIRMWARE, asked.firmware_id)
        if found is None:
            raise not_found("firmware")
        firmware_at = f"{services.api_url()}/files/firmware/{asked.firmware_id}/{quote(found[0].name)}"
    return OperationContext(
        cp=known(services, cp_id),
        now_ts=services.now_ts(),
        upload_to=lambda: f"{services.api_url()}/files/uploads/{services.files.ticket(cp_id, services.now_ts())}",
        firmware_at=firmware_at,
        id_tags=await services.store.id_tags() if wish.sends_id_tags else (),
    )


def _add(name: str, wish: Operation) -> None:
    async def ask(services: Given, cp_id: CpId, asked: Any, timeout_s: TimeoutS = None) -> Answer:
        known(services, cp_id)
        live = services.live(cp_id)
        if live is None:
            raise Problem(409, "the charge point is not connected", kind="not-connected")
        around = await _around(services, cp_id, wish, asked)
        action, payload = (wish.v16 if live.version.name == "1.6" else wish.v2)(asked, around)
        return answer(await services.commands.send_payload(cp_id, action, payload, timeout_s=timeout_s))

    ask.__annotations__["asked"] = wish.model
    ask.__name__ = name.replace("-", "_")
    router.add_api_route(
        f"/charge-points/{{cp_id}}/{name}",
        ask,
        methods=["POST"],
        summary=wish.summary,
        description=wish.model.__doc__,
        **guarded(Right.COMMAND, *COMMAND),
    )


for _name, _wish in OPERATIONS.items():
    _add(_name, _wish)
