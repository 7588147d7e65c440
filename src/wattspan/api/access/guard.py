"""Authentication and authorization of each route, and how the route documents them. A route without it is public."""

import hmac
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request

from wattspan.api.access.auth_service import AuthService
from wattspan.api.access.rights import CHANGING, Principal, Right
from wattspan.api.problems import MEDIA_TYPE, Problem, ProblemDocument

COOKIE = "wattspan_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
ONLY_HEAD = "only_head"
"""Set in the state of a HEAD request, for which an endless response must not begin."""
RIGHT = "x-right"
"""The OpenAPI extension that names the right a route requires."""


def read_only() -> Problem:
    """Return the problem of a write or a command where the server only observes, as the proxy does."""
    text = "this server observes charge points of another central system, and can't command or change them"
    return Problem(403, text, kind="read-only")


async def identify(request: Request) -> Principal | None:
    """Return who sent the request, by bearer token or else by the login's cookie; None: nobody known.

    Nobody is known by several Authorization headers: a proxy might have checked another one than we would.
    """
    auth: AuthService = request.app.state.services.auth
    headers = request.headers.getlist("authorization")
    if len(headers) > 1:
        return None
    scheme, _, given = "".join(headers).partition(" ")
    if scheme.lower() == "bearer" and given.strip():
        return await auth.by_token(given.strip())
    cookie = request.cookies.get(COOKIE)
    return await auth.by_login(cookie) if cookie else None


def from_elsewhere(request: Request) -> bool:
    """Return whether the browser reports that another site sent the request (Fetch Metadata)."""
    return request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


class _Require:
    """Requires a right, and of a login's write its CSRF token. Raises Problem 401 or 403."""

    def __init__(self, right: Right) -> None:
        self.right = right

    async def __call__(self, request: Request) -> None:
        principal = await identify(request)
        if principal is None:
            challenge = {"WWW-Authenticate": 'Bearer realm="wattspan"'}
            raise Problem(401, "log in, or send a token", kind="who", headers=challenge)
        request.state.principal = principal
        if self.right in CHANGING and request.method not in SAFE and request.app.state.services.read_only:
            raise read_only()
        if principal.csrf and request.method not in SAFE:
            given = request.headers.get(CSRF_HEADER, "")
            if from_elsewhere(request) or not hmac.compare_digest(given.encode(), principal.csrf.encode()):
                raise Problem(403, f"writes of a login send its CSRF token in {CSRF_HEADER}", kind="csrf")
        if self.right not in principal.rights:
            raise Problem(403, f"this requires the right {self.right.value!r}", kind="right")


async def _principal(request: Request) -> Principal:  # not plain `def`: FastAPI would run that in a thread
    found: Principal = request.state.principal
    return found


Who = Annotated[Principal, Depends(_principal)]
"""The type of a route's `who` parameter: who sent the request. Only for guarded routes."""


def guarded(right: Right, *statuses: int, **more: Any) -> dict[str, Any]:
    """Return the keywords of a route that requires `right` and documents problems of these statuses."""
    extra: dict[str, Any] = {RIGHT: right.value, "security": [{"token": []}, {"session": []}]}
    return {
        "dependencies": [Depends(_Require(right))],
        "openapi_extra": extra,
        "responses": problems(401, 403, 422, 503, *statuses),
        **more,
    }


def public(*statuses: int, **more: Any) -> dict[str, Any]:
    """Return the keywords of a route that requires nothing."""
    extra: dict[str, Any] = {RIGHT: "public", "security": []}
    return {"openapi_extra": extra, "responses": problems(422, 503, *statuses), **more}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of problems of these statuses."""
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
    "identify",
    "public",
    "read_only",
]
