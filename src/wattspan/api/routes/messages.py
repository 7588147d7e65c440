"""A charge point's messages as they pass, for whoever watches; nothing is kept. Id tokens and secrets are masked."""

from datetime import UTC, datetime
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

router = APIRouter(prefix=PREFIX, tags=["events"])

LONGEST = 20_000
"""Bytes of a message that is shown whole."""

_KEYWORDS = guarded(Right.COMMAND, 404)


@router.get(
    "/charge-points/{cp_id}/messages",
    **{**_KEYWORDS, "responses": {**_KEYWORDS["responses"], **STREAM}},
    status_code=200,
    response_class=EventStream,
)
async def watch_messages(services: Given, request: Request, cp_id: CpId) -> Response:
    """Each message from now on as an event `Message`: `at`, `direction` ("in" is from the charge point), `frame`."""
    known(services, cp_id)
    listener = Listener(None)

    def passed(direction: str, data: bytes) -> None:
        at = datetime.fromtimestamp(services.now_ts(), UTC).isoformat(timespec="milliseconds")
        told = {"at": at, "direction": direction, "frame": content(data)}
        listener.put(Frame(0, cp_id, sse("Message", told, None)))

    return EventStream(services, request, listener, services.watch(cp_id, passed), Right.COMMAND)


def content(data: bytes) -> Any:
    """The message as JSON, masked; of one that is none, or is very long, only how long it is."""
    if len(data) > LONGEST:
        return {"bytes": len(data)}
    try:
        return mask(orjson.loads(data))
    except (orjson.JSONDecodeError, RecursionError):
        return {"unreadable": len(data)}
