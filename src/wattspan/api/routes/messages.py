"""A charge point's messages as they are sent and received. Nothing is kept; id tokens and secrets are masked."""

from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.events import Frame, Listener, sse
from wattspan.api.routes.charge_points import CpId, known
from wattspan.api.routes.events import STREAM, EventStream
from wattspan.api.services import Given
from wattspan.csms.plugins.audit import mask
from wattspan.domain.timestamps import wire_time

router = APIRouter(prefix=PREFIX, tags=["events"])

MAX_BYTES = 20_000
"""The longest message that is shown whole."""

_KEYWORDS = guarded(Right.COMMAND, 404)


@router.get(
    "/charge-points/{cp_id}/messages",
    **{**_KEYWORDS, "responses": {**_KEYWORDS["responses"], **STREAM}},
    status_code=200,
    response_class=EventStream,
)
async def watch_messages(services: Given, request: Request, cp_id: CpId) -> Response:
    """Stream each message as an event `Message`: `at`, `direction` ("in" is from the charge point), `frame`."""
    await known(services, cp_id)
    listener = Listener(None)

    def on_message(direction: str, data: bytes) -> None:
        message = {"at": wire_time(services.now_ts()), "direction": direction, "frame": content(data)}
        listener.put(Frame(0, cp_id, sse("Message", message, None)))

    watch = services.watch_anywhere or services.connections.watch
    stop_watching = watch(cp_id, on_message)
    return EventStream(services, request, listener, stop_watching, Right.COMMAND)


def content(data: bytes) -> Any:
    """Return the message as masked JSON; if it is not JSON, or is very long, only its length."""
    if len(data) > MAX_BYTES:
        return {"bytes": len(data)}
    try:
        return mask(orjson.loads(data))
    except (orjson.JSONDecodeError, RecursionError):
        return {"unreadable": len(data)}
