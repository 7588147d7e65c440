"""ASGI middleware around every request: its span, its metrics, its audit row and the headers of every response.

The span is current for the route, so that a command is its child. The path is in no span and no metric, for it may
contain an id tag. The audit row is written before the response is sent.
"""

import logging
import re
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.metrics import Histogram
from opentelemetry.trace import Span, SpanKind, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wattspan.api.access.guard import ONLY_HEAD, SAFE
from wattspan.api.access.rights import Principal
from wattspan.api.services import Services
from wattspan.errors import StoreError
from wattspan.http.protocol import REFUSED_STATUS
from wattspan.store.queries import audit as audit_queries
from wattspan.store.records import AuditEntry
from wattspan.telemetry import catalogue
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
UNMATCHED = "unmatched"
MAX_TARGET_CHARACTERS = 500
MAX_NAME_CHARACTERS = 100
MAX_METHOD_CHARACTERS = 20
MAX_AGENT_CHARACTERS = 200
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
_PORT = re.compile(r":(\d{1,5})$")
_DURATION_ATTRIBUTES = (
    catalogue.HTTP_METHOD,
    catalogue.URL_SCHEME,
    catalogue.HTTP_ROUTE,
    catalogue.HTTP_STATUS,
    catalogue.HTTP_VERSION,
    catalogue.FAILURE,
)
"""Those that the conventions require or recommend for the histogram."""
Attributes = Mapping[str, str | int]


class RequestTelemetry:
    """The middleware. The guard puts the principal into `scope["state"]`."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        from opentelemetry import propagate  # noqa: PLC0415  its import fails for unknown propagators

        self._app = app
        self._services = services
        self._extract = propagate.extract
        """As OTEL_PROPAGATORS says."""
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

    def begin(self, scope: Scope) -> tuple[Span, Attributes, otel_context.Context]:
        """Start the request's span, within the trace that the request names, if any.

        Returns it with its first attributes and the context of the request, which has the request's baggage.
        """
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        parent = self._extract(headers, otel_context.Context())
        attributes = _attributes(scope, headers)
        span = self._services.tracer.start_span(_span_name(scope, ""), parent, SpanKind.SERVER, attributes)
        return span, attributes, trace.set_span_in_context(span, parent)

    def count(self, method: str, endpoint: str, status: int, seconds: float, attributes: Attributes) -> None:
        """Count a response and record its duration. `attributes` are those of the span."""
        self._duration().record(seconds, {key: attributes[key] for key in _DURATION_ATTRIBUTES if key in attributes})
        counts, key = self._services.core.counters.http_requests, (method, str(status), endpoint)
        counts[key] = counts.get(key, 0) + 1
        self._services.recorder.took(catalogue.HTTP_SECONDS, seconds, method, endpoint)

    @cache  # noqa: B019 - there is one middleware for each server
    def _duration(self) -> Histogram:
        """Return the histogram of the HTTP conventions."""
        return self._services.meter.create_histogram(
            catalogue.HTTP_SERVER_DURATION,
            "s",
            "Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=catalogue.HTTP_SERVER_BOUNDS,
        )

    async def audit(self, scope: Scope, status: int, trace_id: str) -> None:
        """Write the audit row of a write, whether it was refused or not. `who` of a failed login is the name tried."""
        state = scope.get("state", {})
        principal: Principal | None = state.get("principal")
        if principal is None and not self._may_audit_anonymous():
            return
        route = scope.get("route")
        entry = AuditEntry(
            at_ts=self._services.now_ts(),
            who=_storable(str(state.get("tried", ""))[:MAX_NAME_CHARACTERS]) if principal is None else principal.name,
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
        self.span, self._attributes, self.context = layer.begin(scope)

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
        status, endpoint, span = self._status, endpoint_of(self.scope), self.span
        found: dict[str, Any] = {}
        if endpoint != UNMATCHED:
            found[catalogue.HTTP_ROUTE] = endpoint
            span.update_name(_span_name(self.scope, endpoint))
        if status:
            found[catalogue.HTTP_STATUS] = status
        if not status or status >= SERVER_ERROR:
            found[catalogue.FAILURE] = str(status) if status else "no_response"
            span.set_status(StatusCode.ERROR)
            self._log_failure(endpoint, found[catalogue.FAILURE])
        attributes = {**self._attributes, **found}
        principal: Principal | None = self.scope.get("state", {}).get("principal")
        if principal is not None:
            found[catalogue.USER_NAME] = principal.name
        span.set_attributes(found)
        span.end()
        seconds = time.perf_counter() - self._began_s
        self._layer.count(self._method, endpoint, status or NO_RESPONSE, seconds, attributes)

    def _log_failure(self, endpoint: str, error: str) -> None:
        """Log a request that failed in the server, in its trace."""
        name, method = catalogue.REQUEST_FAILED_EVENT, _method(self.scope)
        fields = {
            catalogue.EVENT_NAME: name,
            catalogue.HTTP_METHOD: method,
            catalogue.HTTP_ROUTE: endpoint,
            catalogue.FAILURE: error,
        }
        with trace.use_span(self.span, end_on_exit=False):
            limited(log, logging.WARNING, name, "%s %s failed: %s", method, endpoint, error, fields=fields)


def endpoint_of(scope: Scope) -> str:
    """Return the path template of the route that matched; of mounted files, the mount's."""
    route = scope.get("route")
    root = scope.get("root_path", "")
    if route is None and scope.get("app_root_path", root) != root:
        return f"{root}/{{path}}"
    return getattr(route, "path_format", None) or getattr(route, "path", None) or UNMATCHED


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "other"


def _span_name(scope: Scope, endpoint: str) -> str:
    """Return the name by the HTTP conventions: method and route, or the method alone; `HTTP` for an unknown method."""
    method = scope["method"] if scope["method"] in METHODS else "HTTP"
    return f"{method} {endpoint}" if endpoint else method


def _attributes(scope: Scope, headers: Mapping[str, str]) -> Attributes:
    """Return what is known when a request begins, by the HTTP conventions. `url.path` is left out on purpose."""
    found: dict[str, str | int] = {catalogue.URL_SCHEME: scope.get("scheme", "http")}
    if scope["method"] in METHODS:
        found[catalogue.HTTP_METHOD] = scope["method"]
    else:
        found[catalogue.HTTP_METHOD] = catalogue.UNDEFINED
        found[catalogue.HTTP_METHOD_ORIGINAL] = scope["method"][:MAX_METHOD_CHARACTERS]
    host, port = headers.get("host", ""), ""
    if (found_port := _PORT.search(host)) is not None:
        host, port = host[: found_port.start()], found_port[1]
    if host:
        found[catalogue.SERVER_ADDRESS] = host[:MAX_NAME_CHARACTERS]
    if port:
        found[catalogue.SERVER_PORT] = int(port)
    if (client := scope.get("client")) is not None:
        found |= {
            catalogue.CLIENT_ADDRESS: client[0],
            catalogue.PEER_ADDRESS: client[0],
            catalogue.PEER_PORT: client[1],
        }
    if version := scope.get("http_version"):
        found[catalogue.HTTP_VERSION] = version
    if agent := headers.get("user-agent"):
        found[catalogue.USER_AGENT] = agent[:MAX_AGENT_CHARACTERS]
    return found


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
