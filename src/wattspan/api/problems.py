"""Errors as RFC 9457 problem documents: the one place that maps errors to statuses. Echoes no value of a request."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from opentelemetry import trace
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path

from wattspan.errors import (
    AlreadyRegistered,
    CommandError,
    CommandInvalid,
    CommandRefused,
    CommandTimeout,
    ConnectionLost,
    LastAdmin,
    LimitReached,
    NodeSilent,
    NodeUnreachable,
    NotConnected,
    NotRegistered,
    OperationUnsupported,
    Overloaded,
    RedisUnavailable,
    RegistryError,
    SerialConflict,
    Stale,
    StoreError,
    TransactionNotIdentified,
    WattspanError,
)
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 10
NODE_RETRY_AFTER_S = 5

T = TypeVar("T")
Handler = Callable[[Request, Any], Coroutine[Any, Any, JSONResponse]]


class Fault(BaseModel):
    """One fault of a request. `path` is a JSON pointer into the body, or names a parameter."""

    path: str
    message: str


class ProblemDocument(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = "about:blank"
    """`about:blank`, or `urn:wattspan:` and a fixed word that programs can rely on."""
    title: str
    status: int
    detail: str = ""
    errors: list[Fault] = []
    """The faults of the request, if any."""
    code: str = ""
    """The code of the charge point's CALLERROR, if it answered with one."""
    trace_id: str = ""


class Problem(WattspanError):
    """An HTTP request that is answered with a problem document. `kind` is a fixed word for programs, or ""."""

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
    """Return the response of a problem."""
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
    """Return the problem of something that does not exist."""
    return Problem(404, f"there is no such {what}")


def of_command(error: CommandError) -> Problem:
    """Return the problem of a command without a result: 404, 409, 422, 502, 503 or 504."""
    match error:
        case NotConnected():
            problem = Problem(409, "the charge point is not connected", kind="not-connected")
        case NodeUnreachable():
            headers = {"Retry-After": str(NODE_RETRY_AFTER_S)}
            problem = Problem(503, error.description, kind="node", headers=headers)
        case TransactionNotIdentified():
            problem = Problem(409, error.description, kind="transaction")
        case OperationUnsupported():
            problem = Problem(404, error.description, kind="no-such-command")
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


def of_registry(error: RegistryError) -> Problem:
    """Return the problem of a change that can't be made: 404 or 409."""
    match error:
        case NotRegistered():
            problem = not_found(error.what)
        case AlreadyRegistered(what="user"):
            problem = Problem(409, "the name is taken", kind="name-taken")
        case AlreadyRegistered():
            problem = Problem(409, f"the {error.what} is registered already", kind="exists")
        case LimitReached():
            problem = Problem(409, str(error), kind="limit")
        case SerialConflict():
            detail = "it is the identity or the registered serial number of another charge point"
            problem = Problem(409, detail, kind="serial-conflict")
        case LastAdmin():
            problem = Problem(409, "the last admin stays", kind="last-admin")
        case _:
            problem = Problem(409, str(error))
    return problem


def install(app: FastAPI) -> None:
    """Register the handlers that answer every error with a problem document."""

    async def store(_request: Request, exc: Any) -> JSONResponse:
        limited(log, logging.WARNING, "api store", "a request failed because of the database: %s", exc)
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        return answer(Problem(503, "the database is not available now", kind="store", headers=headers))

    async def invalid(_request: Request, exc: Any) -> JSONResponse:
        faults = [(_pointer(error["loc"]), str(error["msg"])) for error in exc.errors()]
        return answer(Problem(422, "the request is not valid", kind="invalid", faults=faults))

    async def http(request: Request, exc: Any) -> JSONResponse:
        detail = (
            exc.detail if isinstance(exc.detail, str) and exc.status_code < HTTPStatus.INTERNAL_SERVER_ERROR else ""
        )
        headers = exc.headers
        if exc.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {"Allow": ", ".join(sorted(await _methods(app, request.scope["path"])))}
        return answer(Problem(exc.status_code, detail, headers=headers))

    async def disconnected(_request: Request, _exc: Any) -> JSONResponse:
        return answer(Problem(400, "the connection closed before the request was complete", kind="incomplete"))

    handlers: dict[type[Exception], Handler] = {
        StoreError: store,
        RequestValidationError: invalid,
        HTTPException: http,
        **{kind: _answering(of) for kind, of in _PROBLEMS.items()},
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _answering(of: Callable[[Any], Problem]) -> Handler:
    async def handler(_request: Request, exc: Any) -> JSONResponse:
        return answer(of(exc))

    return handler


def _overloaded(error: Overloaded) -> Problem:
    return Problem(503, str(error), kind="busy", headers={"Retry-After": str(error.retry_after_s)})


def _redis(error: RedisUnavailable | NodeSilent) -> Problem:
    return Problem(503, str(error), kind="node", headers={"Retry-After": str(NODE_RETRY_AFTER_S)})


def _disconnected(_error: ClientDisconnect) -> Problem:
    return Problem(400, "the connection closed before the request was complete", kind="incomplete")


_PROBLEMS: Mapping[type[Exception], Callable[[Any], Problem]] = {
    Problem: lambda problem: problem,
    CommandError: of_command,
    RegistryError: of_registry,
    Overloaded: _overloaded,
    RedisUnavailable: _redis,
    NodeSilent: _redis,
    Stale: lambda stale: Problem(412, str(stale), kind="stale"),
    ClientDisconnect: _disconnected,
}
"""Errors that need nothing but themselves to become a problem."""


async def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document. It is built once, in a thread, for it takes half a second."""
    return await once(app, "openapi_document", app.openapi)


async def once(app: FastAPI, name: str, make: Callable[[], T]) -> T:
    """Return what `make` returned at the first call for `name`. It runs once, in a thread, whoever asks meanwhile."""
    made: asyncio.Future[T] | None = getattr(app.state, name, None)
    if made is None:
        made = asyncio.ensure_future(asyncio.to_thread(make))
        setattr(app.state, name, made)
    return await asyncio.shield(made)


async def _methods(app: FastAPI, path: str) -> set[str]:
    """Return the methods of a path over all its routes (RFC 9110 §10.2.1); the route that matched has only its own."""
    known = (await openapi_document(app))["paths"].items()
    found = {method.upper() for template, each in known if compile_path(template)[0].match(path) for method in each}
    return found | {"HEAD"} if "GET" in found else found or {"GET", "HEAD"}


def _pointer(location: Sequence[int | str]) -> str:
    where, *rest = location
    if where == "body":
        return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in rest)
    return ".".join(map(str, location))
