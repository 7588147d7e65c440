"""The guard at each route: who asks, may they, and how the route is documented. A route without a guard is public."""

import hmac
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request

from wattspan.api.access.auth_service import AuthService
from wattspan.api.access.rights import Principal, Right
from wattspan.api.problems import MEDIA_TYPE, Problem, ProblemDocument

COOKIE = "wattspan_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
ONLY_HEAD = "only_head"
"""In a request's state: HEAD was asked, so what never ends must not begin."""
RIGHT = "x-right"
"""Where the OpenAPI document says which right a route asks for."""


async def identified(request: Request) -> Principal | None:
    """Whoever asks: by bearer token, or else by the session cookie."""
    keeper: AuthService = request.app.state.services.keeper
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and given.strip():
        return await keeper.by_token(given.strip())
    cookie = request.cookies.get(COOKIE)
    return await keeper.by_session(cookie) if cookie else None


def from_elsewhere(request: Request) -> bool:
    """Whether a browser says that another site sent the request (Fetch Metadata)."""
    return request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


class _Needs:
    """Lets through who has the right; a session's write must bring its CSRF token. Everybody else gets 401 or 403."""

    def __init__(self, right: Right) -> None:
        self.right = right

    async def __call__(self, request: Request) -> None:
        principal = await identified(request)
        if principal is None:
            challenge = {"WWW-Authenticate": 'Bearer realm="wattspan"'}
            raise Problem(401, "log in, or bring a token", kind="who", headers=challenge)
        request.state.principal = principal
        if principal.csrf and request.method not in SAFE:
            given = request.headers.get(CSRF_HEADER, "")
            if from_elsewhere(request) or not hmac.compare_digest(given.encode(), principal.csrf.encode()):
                raise Problem(403, f"a session's writes bring its token in {CSRF_HEADER}", kind="csrf")
        if self.right not in principal.rights:
            raise Problem(403, f"this asks for the right {self.right.value!r}", kind="right")


def _principal(request: Request) -> Principal:
    found: Principal = request.state.principal
    return found


Who = Annotated[Principal, Depends(_principal)]
"""A route's parameter: who asks. Only behind a guard."""


def guarded(right: Right, *statuses: int, **more: Any) -> dict[str, Any]:
    """Keywords for a route that asks for `right` and may answer with problems of these statuses besides the usual."""
    extra: dict[str, Any] = {RIGHT: right.value, "security": [{"token": []}, {"session": []}]}
    return {
        "dependencies": [Depends(_Needs(right))],
        "openapi_extra": extra,
        "responses": problems(401, 403, 422, 503, *statuses),
        **more,
    }


def public(*statuses: int, **more: Any) -> dict[str, Any]:
    """Keywords for a route that asks for nothing."""
    extra: dict[str, Any] = {RIGHT: "public", "security": []}
    return {"openapi_extra": extra, "responses": problems(422, 503, *statuses), **more}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How problems of these statuses are documented."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    return {
        each: {"description": HTTPStatus(each).phrase, "content": content} for each in sorted({*statuses, 400, 413})
    }


__all__ = [
    "COOKIE",
    "CSRF_HEADER",
    "ONLY_HEAD",
    "RIGHT",
    "ProblemDocument",
    "Who",
    "from_elsewhere",
    "guarded",
    "identified",
    "public",
]
