"""Records what happens beside messages (connections, log-ins, faults): each as a log record and a span.

Both have the same fields, so that one leads to the other; the log record has the trace id as well. It owns names and
fields. It must not know who reports, nor decide what is done about it.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, Tracer

from wattspan.telemetry import catalogue
from wattspan.telemetry.connection import ConnectionAttributes
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

NS = 1_000_000_000
MAX_TEXT = 200
"""Characters of a text that a peer chose."""
_ROOT = Context()

Fields = Mapping[str, str | int | float | bool]
NO_FIELDS: Fields = {}


class Disconnect(NamedTuple):
    """How a connection ended. `last_message` is the action of the charge point's last request; "": it sent none."""

    code: int
    reason: str
    began_ns: int
    last_message: str
    replaced: bool


class Evidence:
    """Records into one tracer and the log. Called on any thread; never blocks. `logs` False: spans only.

    `clock_ns` returns Unix nanoseconds.
    """

    __slots__ = ("_clock_ns", "_logs", "_tracer")

    def __init__(self, tracer: Tracer, clock_ns: Callable[[], int], *, logs: bool = True) -> None:
        self._tracer = tracer
        self._clock_ns = clock_ns
        self._logs = logs

    def record(  # noqa: PLR0913 - two that matter, and options by keyword
        self,
        name: str,
        text: str,
        *args: object,
        fields: Fields = NO_FIELDS,
        level: int = logging.INFO,
        error: str | None = None,
        limit: str | None = None,
        logger: logging.Logger = log,
        at_ns: int | None = None,
        links: Sequence[Link] = (),
        inside: bool = False,
    ) -> SpanContext:
        """Record one event and return the context of its span. `name` is one of `catalogue.SPANS`.

        `error` is an error type. `limit` is a key for `logs.limited`: peers can cause the event at will. `inside`: the
        span is a child of the current one, else it starts a trace.
        """
        at_ns = self._clock_ns() if at_ns is None else at_ns
        known: dict[str, str | int | float | bool] = {key: value for key, value in fields.items() if value != ""}
        if error is not None:
            known[catalogue.FAILURE] = error
        span = self._tracer.start_span(
            name, None if inside else _ROOT, SpanKind.INTERNAL, known, links=links, start_time=at_ns
        )
        if error is not None:
            span.set_status(StatusCode.ERROR)
        if self._logs:
            self._log(span, name, known, text, args, level, limit, logger)
        span.end(at_ns)
        return span.get_span_context()

    def _log(  # noqa: PLR0913, PLR0917
        self,
        span: trace.Span,
        name: str,
        known: Fields,
        text: str,
        args: tuple[object, ...],
        level: int,
        limit: str | None,
        logger: logging.Logger,
    ) -> None:
        if not logger.isEnabledFor(level):
            return
        fields = {catalogue.EVENT_NAME: name, **known}
        token = otel_context.attach(trace.set_span_in_context(span))
        try:
            if limit is None:
                logger.log(level, text, *args, extra=fields)
            else:
                limited(logger, level, limit, text, *args, fields=fields)
        finally:
            otel_context.detach(token)

    def slow_message(self, span: trace.Span, fields: Fields) -> None:
        """Log a message that took long; it has a span of its own."""
        if self._logs:
            text, args = "%s of %s took %.1f s", (fields[catalogue.MESSAGE_TYPE], fields[catalogue.CP_ID])
            seconds = fields[catalogue.HANDLING_TIME]
            name = catalogue.SLOW_MESSAGE_EVENT
            self._log(span, name, fields, text, (*args, seconds), logging.WARNING, name, log)

    def connected(
        self,
        cp_id: str,
        connection: ConnectionAttributes,
        at_ns: int,
        *,
        protocol: str = "",
        replaced: ConnectionAttributes | None = None,
    ) -> None:
        """Record that a charge point connected; `replaced` is the connection that was still open."""
        fields = {catalogue.CP_ID: cp_id, catalogue.PROTOCOL: protocol, **connection.fields}
        self.record(
            catalogue.CONNECT_SPAN,
            "%s connected from %s",
            cp_id,
            connection.peer or "an unknown address",
            fields=fields,
            at_ns=at_ns,
        )
        if replaced is not None:
            fields[catalogue.REPLACED_ADDRESS] = replaced.peer
            self.record(
                catalogue.REPLACED_SPAN,
                "%s: a connection from %s replaces the one from %s",
                cp_id,
                connection.peer or "an unknown address",
                replaced.peer or "an unknown address",
                fields=fields,
                at_ns=at_ns,
            )

    def disconnected(self, cp_id: str, connection: ConnectionAttributes, end: Disconnect, at_ns: int) -> None:
        """Record that a connection of a charge point ended."""
        duration_s = max(0, at_ns - end.began_ns) / NS
        self.record(
            catalogue.DISCONNECT_SPAN,
            "%s disconnected after %.0f s: close code %d %s",
            cp_id,
            duration_s,
            end.code,
            end.reason[:MAX_TEXT] or "without a reason",
            fields={
                catalogue.CP_ID: cp_id,
                **connection.fields,
                catalogue.CLOSE_CODE: end.code,
                catalogue.CLOSE_REASON: end.reason[:MAX_TEXT],
                catalogue.CONNECTION_DURATION: duration_s,
                catalogue.LAST_MESSAGE: end.last_message,
                catalogue.CONNECTION_REPLACED: end.replaced,
            },
            at_ns=at_ns,
        )

    def protocol_fault(
        self, cp_id: str, connection: ConnectionAttributes, code: str, text: str, at_ns: int | None = None
    ) -> None:
        """Record that a charge point broke OCPP-J's rules; `code` is the CALLERROR code."""
        self.record(
            catalogue.PROTOCOL_FAULT_SPAN,
            "%s broke the protocol: %s: %s",
            cp_id,
            code,
            text[:MAX_TEXT],
            fields={catalogue.CP_ID: cp_id, **connection.fields},
            level=logging.WARNING,
            error=code,
            limit="protocol fault",
            at_ns=at_ns,
        )
