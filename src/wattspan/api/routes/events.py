"""The fleet's events as server-sent events."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from wattspan.api import PREFIX
from wattspan.api.access.guard import ONLY_HEAD, Who, guarded, identify
from wattspan.api.access.rights import Right
from wattspan.api.events import Listener
from wattspan.api.services import Given, Services
from wattspan.errors import StoreError

router = APIRouter(prefix=PREFIX, tags=["events"])

KEEPALIVE_S = 15.0
"""How often a comment is sent, so that no proxy closes the connection, and the right to listen is checked again."""
CLOSE_S = 1.0
MEDIA_TYPE = "text/event-stream"
MAX_BATCH = 64
"""Events written at once."""


class EventStream(Response):
    """Sends a listener's events until the client disconnects, is dropped, or loses the right to listen."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        services: Services,
        request: Request,
        listener: Listener,
        leave: Callable[[], None],
        right: Right = Right.READ,
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._services = services
        self._request = request
        self._listener = listener
        self._leave = leave
        self._right = right

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Return when the client disconnects or the listener is dropped; a writer that is blocked then is cancelled."""
        if scope["state"].get(ONLY_HEAD):
            self._leave()
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        ends = [
            asyncio.ensure_future(each)
            for each in (self._disconnected(receive), self._write(send), self._listener.dropped.wait())
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._leave()
            is_blocked = not ends[1].done() and self._listener.queue.full()
            for each in ends:
                each.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        if not is_blocked:
            async with asyncio.timeout(CLOSE_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _disconnected(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await _body(send, b"retry: 2000\n\n")
        loop = asyncio.get_running_loop()
        keepalive_at = loop.time() + KEEPALIVE_S
        while True:
            chunks = await self._next(keepalive_at)
            if loop.time() >= keepalive_at:  # also between events: a busy stream is never idle
                if not await self._is_still_allowed():
                    return
                keepalive_at = loop.time() + KEEPALIVE_S
                chunks.append(b": keep-alive\n\n")
            await _body(send, b"".join(chunks))

    async def _next(self, until: float) -> list[bytes]:
        """Return the queued events, at most MAX_BATCH; none if there were none until then."""
        try:
            async with asyncio.timeout_at(until):
                return await self._listener.next_chunks(MAX_BATCH)
        except TimeoutError:
            return []

    async def _is_still_allowed(self) -> bool:
        """Return whether login or token are still valid; while the store is unavailable they count as valid."""
        try:
            principal = await identify(self._request)
        except StoreError:
            return True
        return principal is not None and self._right in principal.rights


async def _body(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


_KEYWORDS = guarded(Right.READ, 429)
STREAM = {200: {"description": "A stream of events.", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}}


@router.get(
    "/events",
    **{**_KEYWORDS, "responses": {**_KEYWORDS["responses"], **STREAM}},
    status_code=200,
    response_class=EventStream,
)
async def listen(
    services: Given,
    who: Who,
    request: Request,
    cp_id: Annotated[str | None, Query(max_length=255, description="Events of this charge point only.")] = None,
    last_event_id: Annotated[str | None, Header(max_length=100, description="Resume after this event.")] = None,
) -> Response:
    """Stream events: `event` is the kind, `data` is JSON. `Figures`, at most once a second and without an id, are what
    connectors measure now, and their status; `Seen`, every ten seconds, lists the charge points that sent messages.
    `PlaceChanged` is the name, location, site and labels of a charge point after an operator changed them;
    `SitesChanged`, without an id, says that sites were added, changed or removed. `Reset`: missed events are not kept,
    so read the state again. Slow clients are dropped."""
    listener = services.feed.listen(cp_id, last_event_id, who.name)
    return EventStream(services, request, listener, partial(services.feed.leave, listener))
