"""ASGI middleware that answers a body over the limit with a problem document. It does not know the limits.

Starlette answers such a body itself, as plain text and past all exception handlers, even in place of a 401.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wattspan.api import problems
from wattspan.api.problems import Problem

TOO_LARGE = 413


class TooLargeAsProblem:
    """The middleware. It is inside the request's span, whose trace id is in the problem document."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        replaced = False

        async def replace(message: Message) -> None:
            nonlocal replaced
            if _is_plain(message):
                replaced = True
                answer = problems.answer(Problem(TOO_LARGE, "the request's body is too large", kind="too-large"))
                await answer(scope, receive, send)
            elif not replaced:
                await send(message)

        await self._app(scope, receive, replace)


def _is_plain(message: Message) -> bool:
    if message["type"] != "http.response.start" or message["status"] != TOO_LARGE:
        return False
    return Headers(raw=message["headers"]).get("content-type", "").startswith("text/plain")
