"""The ASGI application: routes, problem documents, the OpenAPI document. `app` runs it."""

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
from wattspan.api.bodies import BoundedBodies
from wattspan.api.middleware import RequestTelemetry
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
    exports,
    files,
    fleet,
    history,
    id_tags,
    jobs,
    logins,
    message_history,
    messages,
    operations,
    pending,
    planning,
    security,
    server,
    sites,
    transactions,
    users,
)
from wattspan.api.services import Services
from wattspan.api.too_large import TooLargeAsProblem

MAX_BODY_BYTES = 1_048_576
DESCRIPTION = """The operators' API of a Wattspan central system.

Programs send a token (`Authorization: Bearer …`). Browsers log in at `/api/v1/session`, and send its CSRF token in
`X-CSRF-Token` with every write. Errors are problem documents (RFC 9457). Lists are paged: `next` of a page is `cursor`
of the following one. Times are RFC 3339 in UTC; names of fields end in their unit."""

ROUTERS = (
    pending.router,  # before the routes with {cp_id} in their path
    charge_points.router,
    fleet.router,
    commands.router,
    operations.router,
    jobs.router,
    configuration.router,
    device_model.router,
    planning.router,
    security.router,
    sites.router,
    history.router,
    exports.router,
    transactions.router,
    id_tags.router,
    files.router,
    events.router,
    messages.router,
    message_history.router,
    console.router,
    logins.router,
    users.router,
    audit.router,
    server.router,
)
OUTSIDE = (server.outside, files.outside, docs.outside, console.outside)
"""Routers without the API's prefix."""


def make_app(services: Services, version: str) -> ASGIApp:
    """Return the ASGI application of one central system's API."""
    app = copy(_shared_app(version))
    app.state = State()
    app.state.services = services
    return RequestTelemetry(TooLargeAsProblem(BoundedBodies(app, files.STREAMED)), services)


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
        openapi_url=None,  # routes/docs.py serves it, built off the event loop
        docs_url=None,  # the page would load scripts from another site
        redoc_url=None,
        max_body_size=MAX_BODY_BYTES,
        generate_unique_id_function=_name,
        redirect_slashes=False,
        dependencies=[Depends(_storable)],
        # middleware.py instead: without paths, with the usual names, and without spans that last as long as a stream.
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
    return problems.answer(Problem(500, "see the server's log", kind="internal"))


async def _storable(request: Request) -> None:
    """Refuse NUL, which PostgreSQL accepts in no text; its error would look like a failure of the database."""
    if "\0" in request.scope["path"] or b"%00" in request.scope["query_string"]:
        raise Problem(422, "the request is not valid", kind="invalid", faults=[("", "must not contain NUL")])


def _name(route: APIRoute) -> str:
    return route.name


def _document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, which is built once."""
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
