"""Errors as RFC 9457 problem documents: which error is which status, told once. No value of a request is told back."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from opentelemetry import trace
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path

from wattspan.errors import (
    CommandError,
    CommandInvalid,
    CommandRefused,
    CommandTimeout,
    ConnectionLost,
    NotConnected,
    Stale,
    StoreError,
    WattspanError,
)
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 10


class Fault(BaseModel):
    """One thing that is wrong with a request. `path` is a JSON pointer into the body, or names a parameter."""

    path: str
    message: str


class ProblemDocument(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = "about:blank"
    """`about:blank`, or `urn:wattspan:` and a word a program can go by."""
    title: str
    status: int
    detail: str = ""
    errors: list[Fault] = []
    """Faults of the request, where it has any."""
    code: str = ""
    """The charge point's CALLERROR code, where it answered with one."""
    trace_id: str = ""


class Problem(WattspanError):
    """An answer that is a problem. `kind` is a word for programs, "" for what the status says already."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "",
        code: str = "",
        faults: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.code = code
        self.faults = tuple(faults)
        self.headers = dict(headers or {})


def answer(problem: Problem) -> JSONResponse:
    """The problem as a response."""
    context = trace.get_current_span().get_span_context()
    document = ProblemDocument(
        type=f"urn:wattspan:{problem.kind}" if problem.kind else "about:blank",
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        errors=[Fault(path=path, message=message) for path, message in problem.faults],
        code=problem.code,
        trace_id=f"{context.trace_id:032x}" if context.is_valid else "",
    )
    return JSONResponse(document.model_dump(), problem.status, problem.headers, MEDIA_TYPE)


def not_found(what: str) -> Problem:
    """There is no such thing."""
    return Problem(404, f"there is no such {what}")


def of_command(error: CommandError) -> Problem:
    """A command that got no result: 404, 409, 422, 502 or 504."""
    match error:
        case NotConnected():
            problem = Problem(409, "the charge point is not connected", kind="not-connected")
        case CommandInvalid(faults=()):
            problem = Problem(404, "the charge point's OCPP version has no such command", kind="no-such-command")
        case CommandInvalid():
            problem = Problem(422, "the payload breaks its schema", kind="schema", faults=error.faults)
        case CommandRefused():
            problem = Problem(502, "the charge point answered with an error", kind="call-error", code=error.code)
        case CommandTimeout():
            detail = f"the charge point did not answer within {error.timeout_s:g} s"
            problem = Problem(504, detail, kind="timeout")
        case ConnectionLost():
            problem = Problem(502, "the connection closed before the answer came", kind="connection-lost")
        case _:
            problem = Problem(502, "the command failed", kind="command-failed", code=error.error_type)
    return problem


def install(app: FastAPI) -> None:
    """Have every error answered as a problem."""

    async def problem(_request: Request, exc: Any) -> JSONResponse:
        return answer(exc)

    async def command(_request: Request, exc: Any) -> JSONResponse:
        return answer(of_command(exc))

    async def stale(_request: Request, exc: Any) -> JSONResponse:
        return answer(Problem(412, str(exc), kind="stale"))

    async def store(_request: Request, exc: Any) -> JSONResponse:
        limited(log, logging.WARNING, "api store", "a request met the database's fault: %s", exc)
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        return answer(Problem(503, "the database can't be used just now", kind="store", headers=headers))

    async def invalid(_request: Request, exc: Any) -> JSONResponse:
        faults = [(_pointer(error["loc"]), str(error["msg"])) for error in exc.errors()]
        return answer(Problem(422, "the request is not as it should be", kind="invalid", faults=faults))

    async def http(request: Request, exc: Any) -> JSONResponse:
        detail = (
            exc.detail if isinstance(exc.detail, str) and exc.status_code < HTTPStatus.INTERNAL_SERVER_ERROR else ""
        )
        headers = exc.headers
        if exc.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {"Allow": ", ".join(sorted(await _methods(app, request.scope["path"])))}
        return answer(Problem(exc.status_code, detail, headers=headers))

    async def gone(_request: Request, _exc: Any) -> JSONResponse:
        return answer(Problem(400, "the connection closed before the request was whole", kind="incomplete"))

    handlers = {
        Problem: problem,
        CommandError: command,
        Stale: stale,
        StoreError: store,
        RequestValidationError: invalid,
        HTTPException: http,
        ClientDisconnect: gone,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document; made once, in a thread: it takes half a second, and chargers would wait."""
    if app.openapi_schema is None:
        return await asyncio.to_thread(app.openapi)
    return app.openapi_schema


async def _methods(app: FastAPI, path: str) -> set[str]:
    """Those that a path takes, by all its routes (RFC 9110 §10.2.1); the first that matched knows its own alone."""
    known = (await described(app))["paths"].items()
    found = {method.upper() for template, each in known if compile_path(template)[0].match(path) for method in each}
    return found | {"HEAD"} if "GET" in found else found or {"GET", "HEAD"}


def _pointer(location: Sequence[int | str]) -> str:
    where, *rest = location
    if where == "body":
        return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in rest)
    return ".".join(map(str, location))
