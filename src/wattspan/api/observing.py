"""Around every request: its span, its figures, its row in the audit log, and headers that every answer has.

A pure ASGI layer: the span is current for the route, so a command is its child. The path goes to no span and no metric:
it may name an id tag. The audit row is written before the answer leaves.
"""

import logging
import time
from collections.abc import Mapping
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wattspan.api.access.guard import ONLY_HEAD, SAFE
from wattspan.api.access.rights import Principal
from wattspan.api.services import Services
from wattspan.errors import StoreError
from wattspan.store.queries import audit as audit_queries
from wattspan.store.records import AuditEntry
from wattspan.telemetry import catalogue

log = logging.getLogger(__name__)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
UNMATCHED = "unmatched"
LONGEST_TARGET = 500
UNKNOWN_A_MINUTE = 60
"""Audit rows a minute for writes of whom nobody knows: a flood of them must not fill the disk."""
SERVER_ERROR = 500
CUT_OFF = 499
"""Stands for no answer: the client went away, or the server ended."""

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
_PROPAGATOR = TraceContextTextMapPropagator()


class Observing:
    """The layer. `scope["state"]` is where the guard leaves who asked."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services
        self._unknown = 0
        self._minute = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(self, scope, send)
        token = otel_context.attach(exchange.context)
        try:
            await self._app(exchange.scope, receive, exchange.send)
        finally:
            otel_context.detach(token)
            try:
                await exchange.note()
            finally:
                exchange.end()

    def begin(self, scope: Scope) -> Span:
        """The request's span, in the trace that it brings along, if any."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        around = _PROPAGATOR.extract(headers, otel_context.Context())
        return self._services.tracer.start_span(_method(scope), around, SpanKind.SERVER)

    def count(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Raise the counters of an answer."""
        counts, key = self._services.core.counters.http_requests, (method, str(status), endpoint)
        counts[key] = counts.get(key, 0) + 1
        self._services.recorder.took(catalogue.HTTP_SECONDS, seconds, method, endpoint)

    async def write_down(self, scope: Scope, status: int, trace_id: str) -> None:
        """Who did what: a row for every write, refused or not."""
        principal: Principal | None = scope.get("state", {}).get("principal")
        if principal is None and not self._may_note_unknown():
            return
        route = scope.get("route")
        entry = AuditEntry(
            at_ts=self._services.now_ts(),
            who="" if principal is None else principal.name,
            auth_method="" if principal is None else principal.means,
            action=getattr(route, "name", None) or f"{_method(scope)} {UNMATCHED}",
            target=_storable(scope["path"])[:LONGEST_TARGET],
            status=status,
            trace_id=trace_id,
        )
        try:
            await self._services.store.do(audit_queries.add_entry, entry)
        except StoreError:
            log.exception("the audit log could not be written: %s by %s", entry.action, entry.who or "nobody known")

    def _may_note_unknown(self) -> bool:
        minute = self._services.now_ts() // 60
        if minute != self._minute:
            self._minute, self._unknown = minute, 0
        self._unknown += 1
        return self._unknown <= UNKNOWN_A_MINUTE


class _Exchange:
    """One request and its answer."""

    def __init__(self, layer: Observing, scope: Scope, send: Send) -> None:
        self._layer = layer
        self._method = _method(scope)
        self.scope = _for_head(scope) if self._method == "HEAD" else scope
        """As the routes see it."""
        self._send = send
        self._noted = self._method in SAFE
        self._began_s = time.perf_counter()
        self._status = 0
        self._ended = False
        self.span = layer.begin(scope)
        self.context = trace.set_span_in_context(self.span, otel_context.Context())

    async def send(self, message: Message) -> None:
        """On its way out; the answer's beginning gets headers, and waits for the audit row."""
        if message["type"] != "http.response.start":
            await self._send(message)
            return
        self._status = message["status"]
        told = self.span.get_span_context()
        headers = [*message.get("headers", ()), *_HEADERS]
        named = {name.lower() for name, _ in headers}
        if b"cache-control" not in named:
            headers.append((b"cache-control", b"no-store"))
        if told.is_valid:
            header = f"00-{told.trace_id:032x}-{told.span_id:016x}-{told.trace_flags & 0xFF:02x}"
            headers.append((b"traceresponse", header.encode()))
        await self.note()
        await self._send({**message, "headers": headers})
        if _is_event_stream(message):
            self.end()  # it may last for days, and no span spans a connection

    async def note(self) -> None:
        """Once, and for writes: the row in the audit log. One that was cut off before it was answered has one too."""
        if self._noted:
            return
        self._noted = True
        told = self.span.get_span_context()
        trace_id = f"{told.trace_id:032x}" if told.is_valid else ""
        await self._layer.write_down(self.scope, self._status or CUT_OFF, trace_id)

    def end(self) -> None:
        """Once: the span ends and the figures count."""
        if self._ended:
            return
        self._ended = True
        status, method = self._status or CUT_OFF, self._method
        endpoint = endpoint_of(self.scope)
        span = self.span
        span.update_name(f"{method} {endpoint}")
        attributes: Mapping[str, Any] = {
            catalogue.HTTP_METHOD: method,
            catalogue.HTTP_ROUTE: endpoint,
            catalogue.HTTP_STATUS: status,
        }
        span.set_attributes(attributes)
        if status >= SERVER_ERROR:
            span.set_attribute(catalogue.FAILURE, str(status))
            span.set_status(StatusCode.ERROR)
        span.end()
        self._layer.count(method, endpoint, status, time.perf_counter() - self._began_s)


def endpoint_of(scope: Scope) -> str:
    """The template of the route that took the request; of files that are mounted, where they are mounted."""
    route = scope.get("route")
    root = scope.get("root_path", "")
    if route is None and scope.get("app_root_path", root) != root:
        return f"{root}/{{path}}"
    return getattr(route, "path_format", None) or getattr(route, "path", None) or UNMATCHED


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "other"


def _for_head(scope: Scope) -> Scope:
    """HEAD is GET without the body (RFC 9110 §9.3.2), which uvicorn leaves out; some chargers ask it of firmware."""
    return {**scope, "method": "GET", "state": {**scope.get("state", {}), ONLY_HEAD: True}}


def _is_event_stream(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream") for name, value in message["headers"]
    )


def _storable(text: str) -> str:
    """Without what no database takes."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
