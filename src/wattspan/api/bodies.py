"""ASGI middleware that bounds the memory of request bodies that have begun, over all requests. It knows no route.

A route with a JSON body waits for the whole of it before anyone is asked who they are.
"""

import asyncio
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FREE_BYTES = 65_536
"""What each body may have in any case."""
MAX_WAITING_BYTES = 16 << 20
"""What all bodies together may have beyond that."""
BODY_S = 60.0
"""How long a body may take, s."""
RETRY_AFTER_S = 10


class BoundedBodies:
    """The middleware. Paths that begin with one of `streamed` are left out: their routes write a body to disk."""

    def __init__(self, app: ASGIApp, streamed: tuple[str, ...]) -> None:
        self._app = app
        self._streamed = streamed
        self.waiting_bytes = 0
        """What all bodies have at present beyond FREE_BYTES each."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(self._streamed):
            await self._app(scope, receive, send)
            return
        body = _Body(self, receive)
        try:
            await self._app(scope, body.receive, send)
        finally:
            self.waiting_bytes -= body.excess_bytes


class _Body:
    """The body of one request."""

    def __init__(self, bodies: BoundedBodies, receive: Receive) -> None:
        self._bodies = bodies
        self._receive = receive
        self._until_s = asyncio.get_running_loop().time() + BODY_S
        self._bytes = 0
        self._complete = False
        self.excess_bytes = 0

    async def receive(self) -> Message:
        """Return the next part. Raises HTTPException 408 when it takes too long, 503 when there is too much of all."""
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until_s):
                message = await self._receive()
        except TimeoutError as exc:
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time") from exc
        self._complete = not message.get("more_body", False)
        self._bytes += len(message.get("body", b""))
        self._count()
        return message

    def _count(self) -> None:
        excess = max(0, self._bytes - FREE_BYTES)
        self._bodies.waiting_bytes += excess - self.excess_bytes
        self.excess_bytes = excess
        if excess and self._bodies.waiting_bytes > MAX_WAITING_BYTES:
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers=headers)
