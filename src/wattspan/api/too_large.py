"""A body over the limit is told of as every other fault is. Which limits are in force it must not know.

Starlette answers it by itself, beside all handlers of exceptions and as plain text: even in the place of a 401.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wattspan.api import problems
from wattspan.api.problems import Problem

TOO_LARGE = 413


class TooLargeAsProblem:
    """The layer around the API; inside the span, whose trace id the answer has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        replaced = False

        async def tell(message: Message) -> None:
            nonlocal replaced
            if _is_plain(message):
                replaced = True
                answer = problems.answer(Problem(TOO_LARGE, "the request's body is too large", kind="too-large"))
                await answer(scope, receive, send)
            elif not replaced:
                await send(message)

        await self._app(scope, receive, tell)


def _is_plain(message: Message) -> bool:
    if message["type"] != "http.response.start" or message["status"] != TOO_LARGE:
        return False
    return Headers(raw=message["headers"]).get("content-type", "").startswith("text/plain")
