"""ASGI middleware around every request: its span, its metrics, its audit row and the headers of every response.

The span is current for the route, so that a command is its child. The path is in no span and no metric, for it may
contain an id tag. The audit row is written before the response is sent.
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
from wattspan.http.protocol import REFUSED_STATUS
from wattspan.store.queries import audit as audit_queries
from wattspan.store.records import AuditEntry
from wattspan.telemetry import catalogue

log = logging.getLogger(__name__)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
UNMATCHED = "unmatched"
MAX_TARGET_CHARACTERS = 500
MAX_ANONYMOUS_ROWS = 60
"""Audit rows a minute for writes without authentication, so that a flood of them does not fill the disk."""
SERVER_ERROR = 500
NO_RESPONSE = 499
"""The status recorded when there is no response: the client disconnected, or the server stopped."""

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
_PROPAGATOR = TraceContextTextMapPropagator()


class RequestTelemetry:
    """The middleware. The guard puts the principal into `scope["state"]`."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services
        self._anonymous_rows = 0
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
                await exchange.audit()
            finally:
                exchange.end()

    def begin(self, scope: Scope) -> Span:
        """Start the request's span, within the trace that the request names, if any."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        parent = _PROPAGATOR.extract(headers, otel_context.Context())
        return self._services.tracer.start_span(_method(scope), parent, SpanKind.SERVER)

    def count(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Count a response and record its duration."""
        counts, key = self._services.core.counters.http_requests, (method, str(status), endpoint)
        counts[key] = counts.get(key, 0) + 1
        self._services.recorder.took(catalogue.HTTP_SECONDS, seconds, method, endpoint)

    async def audit(self, scope: Scope, status: int, trace_id: str) -> None:
        """Write the audit row of a write, whether it was refused or not."""
        principal: Principal | None = scope.get("state", {}).get("principal")
        if principal is None and not self._may_audit_anonymous():
            return
        route = scope.get("route")
        entry = AuditEntry(
            at_ts=self._services.now_ts(),
            who="" if principal is None else principal.name,
            auth_method="" if principal is None else principal.auth_method,
            action=getattr(route, "name", None) or f"{_method(scope)} {UNMATCHED}",
            target=_storable(scope["path"])[:MAX_TARGET_CHARACTERS],
            status=status,
            trace_id=trace_id,
        )
        try:
            await self._services.store.do(audit_queries.add_entry, entry)
        except StoreError:
            log.exception(
                "the audit log could not be written: %s by %s", entry.action, entry.who or "an unknown client"
            )

    def _may_audit_anonymous(self) -> bool:
        minute = self._services.now_ts() // 60
        if minute != self._minute:
            self._minute, self._anonymous_rows = minute, 0
        self._anonymous_rows += 1
        return self._anonymous_rows <= MAX_ANONYMOUS_ROWS


class _Exchange:
    """One request and its response."""

    def __init__(self, layer: RequestTelemetry, scope: Scope, send: Send) -> None:
        self._layer = layer
        self._method = _method(scope)
        self.scope = _for_head(scope) if self._method == "HEAD" else scope
        """The scope that the routes get."""
        self._send = send
        self._audited = self._method in SAFE
        self._began_s = time.perf_counter()
        self._status = 0
        self._ended = False
        self.span = layer.begin(scope)
        self.context = trace.set_span_in_context(self.span, otel_context.Context())

    async def send(self, message: Message) -> None:
        """Send a message; the start of the response gets headers, after the audit row was written."""
        if message["type"] != "http.response.start":
            await self._send(message)
            return
        self._status = self.scope.get("state", {}).get(REFUSED_STATUS, message["status"])
        context = self.span.get_span_context()
        headers = [*message.get("headers", ()), *_HEADERS]
        named = {name.lower() for name, _ in headers}
        if b"cache-control" not in named:
            headers.append((b"cache-control", b"no-store"))
        if context.is_valid:
            header = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 0xFF:02x}"
            headers.append((b"traceresponse", header.encode()))
        await self.audit()
        await self._send({**message, "headers": headers})
        if _is_event_stream(message):
            self.end()  # the stream may last for days, and no span should

    async def audit(self) -> None:
        """Write the audit row of a write, once; also when there was no response."""
        if self._audited:
            return
        self._audited = True
        context = self.span.get_span_context()
        trace_id = f"{context.trace_id:032x}" if context.is_valid else ""
        await self._layer.audit(self.scope, self._status or NO_RESPONSE, trace_id)

    def end(self) -> None:
        """End the span and count the response, once."""
        if self._ended:
            return
        self._ended = True
        status, method = self._status or NO_RESPONSE, self._method
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
    """Return the path template of the route that matched; of mounted files, the mount's."""
    route = scope.get("route")
    root = scope.get("root_path", "")
    if route is None and scope.get("app_root_path", root) != root:
        return f"{root}/{{path}}"
    return getattr(route, "path_format", None) or getattr(route, "path", None) or UNMATCHED


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "other"


def _for_head(scope: Scope) -> Scope:
    """Return the scope of HEAD as GET, whose body uvicorn drops. Some charge points send it for firmware."""
    return {**scope, "method": "GET", "state": {**scope.get("state", {}), ONLY_HEAD: True}}


def _is_event_stream(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream") for name, value in message["headers"]
    )


def _storable(text: str) -> str:
    """Return the text without what databases do not accept."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
