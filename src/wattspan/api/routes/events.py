"""The fleet's events as they happen, as server-sent events."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from wattspan.api import PREFIX
from wattspan.api.access.guard import ONLY_HEAD, Who, guarded, identified
from wattspan.api.access.rights import Right
from wattspan.api.events import Listener
from wattspan.api.services import Given, Services
from wattspan.errors import StoreError

router = APIRouter(prefix=PREFIX, tags=["events"])

BEAT_S = 15.0
"""How often a comment is sent, so that nobody in between closes the connection, and asked whether it may go on."""
GOODBYE_S = 1.0
MEDIA_TYPE = "text/event-stream"
TOGETHER = 64
"""Events written at once."""


class EventStream(Response):
    """Writes to one listener until it goes, is dropped, or may listen no more."""

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
        """Ends when the client goes, or the listener is dropped; a writer that is stuck then is cancelled."""
        if scope["state"].get(ONLY_HEAD):
            self._leave()
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        ends = [
            asyncio.ensure_future(each)
            for each in (self._gone(receive), self._write(send), self._listener.dropped.wait())
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._leave()
            stuck = not ends[1].done() and self._listener.queue.full()
            for each in ends:
                each.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        if not stuck:
            async with asyncio.timeout(GOODBYE_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await _body(send, b"retry: 2000\n\n")
        loop = asyncio.get_running_loop()
        beat_at = loop.time() + BEAT_S
        while True:
            pieces = await self._next(beat_at)
            if loop.time() >= beat_at:  # amid events too: a busy fleet's stream never falls silent
                if not await self._still_allowed():
                    return
                beat_at = loop.time() + BEAT_S
                pieces.append(b": still here\n\n")
            await _body(send, b"".join(pieces))

    async def _next(self, until: float) -> list[bytes]:
        """Some events; none when there were none until then."""
        queue = self._listener.queue
        try:
            async with asyncio.timeout_at(until):
                pieces = [await queue.get()]
        except TimeoutError:
            return []
        while len(pieces) < TOGETHER and not queue.empty():
            pieces.append(queue.get_nowait())
        return pieces

    async def _still_allowed(self) -> bool:
        """Whether session or token still stand; while the store can't say, whoever was let in stays."""
        try:
            principal = await identified(self._request)
        except StoreError:
            return True
        return principal is not None and self._right in principal.rights


async def _body(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


_KEYWORDS = guarded(Right.READ)
STREAM = {200: {"description": "Events for ever.", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}}


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
    cp_id: Annotated[str | None, Query(max_length=255, description="Of one charge point alone.")] = None,
    last_event_id: Annotated[str | None, Header(max_length=100, description="Resume after this event.")] = None,
) -> Response:
    """Events as they happen: `event` is the kind, `data` JSON. `Figures`, once a second, are what connectors measure
    now and have no id. `Reset`: what was missed is not kept, read the rest anew. Who does not keep up is dropped."""
    listener = services.feed.listen(cp_id, last_event_id, who.name)
    return EventStream(services, request, listener, partial(services.feed.leave, listener))
