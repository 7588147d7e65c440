"""The messages of the last hours of a charge point, masked, each CALL beside its answer."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.models import messages as models
from wattspan.api.models.common import At
from wattspan.api.paging import Cursor, Limit, Page, number_of, page
from wattspan.api.problems import Problem
from wattspan.api.routes.charge_points import CpId, known
from wattspan.api.services import Given, Services
from wattspan.history.exchanges import MessageExchange, exchanges, matches

router = APIRouter(prefix=PREFIX, tags=["events"])

MEDIA_TYPE = "text/plain"
"""Generated clients know no media type of JSON Lines, and would leave the answer out."""
LINES = {200: {"description": "JSON Lines", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}}

From = Annotated[At | None, Query(description="The begin; by default the oldest message.")]
Until = Annotated[At | None, Query(description="The end; by default now.")]

_KEYWORDS = guarded(Right.COMMAND, 404)


@router.get("/charge-points/{cp_id}/message-history", **_KEYWORDS)
async def list_messages(  # noqa: PLR0913, PLR0917  one argument a parameter of the query
    services: Given,
    cp_id: CpId,
    limit: Limit = 100,
    cursor: Cursor = None,
    action: Annotated[str | None, Query(max_length=50, description="OCPP's name; case does not matter.")] = None,
    search: Annotated[str, Query(max_length=100, description="A part of CALL or answer; case does not matter.")] = "",
    from_at: From = None,
    until_at: Until = None,
) -> Page[models.MessageExchange]:
    """List the messages of the last hours, newest first. How long they are kept: `message_retention_hours`.

    Under load some are not kept; `ocpp_central_history_dropped_total` counts them.
    """
    lines = await _lines(services, cp_id, from_at, until_at)
    found = await asyncio.to_thread(_found, lines, action, search.casefold(), from_at, until_at)
    before = number_of(cursor)
    chosen = [each for each in reversed(found) if before is None or each[0] < before][: limit + 1]
    return page(chosen, limit, lambda each: each[0], lambda each: models.message_exchange(*each))


@router.get(
    "/charge-points/{cp_id}/message-history/download",
    **{**_KEYWORDS, "responses": {**_KEYWORDS["responses"], **LINES}},
    response_class=Response,
)
async def download_messages(services: Given, cp_id: CpId, from_at: From = None, until_at: Until = None) -> Response:
    """Return the kept messages and connections as JSON Lines, which `wattspan replay` reads."""
    lines = await _lines(services, cp_id, from_at, until_at)
    headers = {"Content-Disposition": 'attachment; filename="messages.jsonl"'}
    return Response(
        b"".join(line + b"\n" for line in lines), media_type=f"{MEDIA_TYPE}; charset=utf-8", headers=headers
    )


async def _lines(services: Services, cp_id: str, from_at: At | None, until_at: At | None) -> list[bytes]:
    await known(services, cp_id)
    if services.history is None or not services.history.keeps_messages:
        raise Problem(404, "this server keeps no messages (message_retention_hours)", kind="not-kept")
    from_ts = services.now_ts() - services.history.messages.retention_s if from_at is None else from_at.timestamp()
    until_ts = services.now_ts() + 1.0 if until_at is None else until_at.timestamp()
    return await services.history.messages.lines(cp_id, from_ts, until_ts)


def _found(
    lines: Sequence[bytes], action: str | None, text: str, from_at: At | None, until_at: At | None
) -> list[tuple[int, MessageExchange]]:
    """Return the exchanges that match, with their microseconds, which name them in a cursor."""
    found = [
        each
        for each in exchanges(lines)
        if matches(each, action, text)
        and (from_at is None or each.ts >= from_at.timestamp())
        and (until_at is None or each.ts < until_at.timestamp())
    ]
    return _numbered(found)


def _numbered(found: Sequence[MessageExchange]) -> list[tuple[int, MessageExchange]]:
    """Return exchanges with rising numbers: the microseconds of their times, one more where two have the same."""
    made: list[tuple[int, MessageExchange]] = []
    last = 0
    for each in found:
        last = max(last + 1, int(each.ts * 1e6))
        made.append((last, each))
    return made
