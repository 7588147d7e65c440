"""The ASGI application: routes, problems, the OpenAPI document. What runs it is `app`'s."""

from copy import copy
from functools import cache
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from wattspan.api import problems
from wattspan.api.access.guard import COOKIE
from wattspan.api.observing import Observing
from wattspan.api.problems import Problem, ProblemDocument
from wattspan.api.routes import (
    audit,
    charge_points,
    commands,
    configuration,
    console,
    device_model,
    docs,
    events,
    files,
    id_tags,
    messages,
    planning,
    server,
    transactions,
    users,
)
from wattspan.api.routes import logins as sessions
from wattspan.api.routes import operations as wishes
from wattspan.api.routes import pending as newcomers
from wattspan.api.services import Services
from wattspan.api.too_large import TooLargeAsProblem

MAX_BODY_BYTES = 1_048_576
DESCRIPTION = """The operator's side of a Wattspan central system.

Programs bring a token (`Authorization: Bearer …`); browsers log in at `/api/v1/session`, and their writes bring the
session's token in `X-CSRF-Token`. Errors are problem documents (RFC 9457). Lists come in pages: `next` of one is
`cursor` of the following. Times are RFC 3339 in UTC, units are in the names."""

ROUTERS = (
    newcomers.router,  # before those with {cp_id} in their path
    charge_points.router,
    commands.router,
    wishes.router,
    configuration.router,
    device_model.router,
    planning.router,
    transactions.router,
    id_tags.router,
    files.router,
    events.router,
    messages.router,
    console.router,
    sessions.router,
    users.router,
    audit.router,
    server.router,
)
OUTSIDE = (server.outside, files.outside, docs.outside, console.outside)
"""Below no prefix."""


def make_app(services: Services, version: str) -> ASGIApp:
    """Return the whole API of one central system."""
    app = copy(_shared_app(version))
    app.state = State()
    app.state.services = services
    return Observing(TooLargeAsProblem(app), services)


@cache
def _shared_app(version: str) -> FastAPI:
    """Return the routes, error handlers and OpenAPI document that all central systems of the process share.

    FastAPI builds a router's models when a request first reaches it. That holds up the event loop for 0.2 s in all, so
    it happens here, before a charge point is connected.
    """
    app = FastAPI(
        title="Wattspan",
        version=version,
        description=DESCRIPTION,
        openapi_url=None,  # docs.py has it: made off the loop
        docs_url=None,  # its page would fetch scripts from elsewhere
        redoc_url=None,
        max_body_size=MAX_BODY_BYTES,
        generate_unique_id_function=_name,
        redirect_slashes=False,
        dependencies=[Depends(_storable)],
        # Ours instead (observing.py): without paths, names as they are everywhere, streams that do not span for days.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    for router in (*ROUTERS, *OUTSIDE):
        app.include_router(router)
    app.mount("/static", console.Files(directory=console.STATIC), name="static")
    problems.install(app)
    app.add_exception_handler(Exception, _broken)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    for route in app.router.routes:
        route.matches({"type": "http", "method": "GET", "path": "/", "headers": []})
    return app


async def _broken(_request: Request, _exc: Exception) -> JSONResponse:
    return problems.answer(Problem(500, "see the central system's log", kind="internal"))


async def _storable(request: Request) -> None:
    """Refuse what PostgreSQL takes in no text; its error would be told as the database's own trouble."""
    if "\0" in request.scope["path"] or b"%00" in request.scope["query_string"]:
        raise Problem(422, "the request is not as it should be", kind="invalid", faults=[("", "NUL is not taken")])


def _name(route: APIRoute) -> str:
    return route.name


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document; made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        components = document.setdefault("components", {})
        schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        components.setdefault("schemas", {}).update({**schema.pop("$defs", {}), "ProblemDocument": schema})
        components["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer"},
            "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
        }
        app.openapi_schema = document
    return app.openapi_schema
