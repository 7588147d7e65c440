"""Message spans through OpenTelemetry's API alone, for any provider that a user brings.

The spans are the same as those of `hot` (a conformance test compares them) at many times the cost.
"""

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from wattspan.domain.model import Transaction
from wattspan.telemetry import catalogue
from wattspan.telemetry.connection import NOTHING, UNKNOWN_CONNECTION, ConnectionAttributes, rpc_method
from wattspan.telemetry.recorder import Attributes, AttributeValue, MessageSpan
from wattspan.telemetry.sessions import link_to

_ROOT = Context()


class ApiSpan:
    """Implements `recorder.MessageSpan` with a provider's span."""

    __slots__ = ("action", "cp_id", "end_ns", "otel", "sampled", "span_id", "start_ns", "trace_id")

    def __init__(self, span: trace.Span, cp_id: str, action: str, start_ns: int) -> None:
        context = span.get_span_context()
        self.otel = span
        self.cp_id = cp_id
        self.action = action
        self.start_ns = start_ns
        self.end_ns = 0
        self.trace_id = context.trace_id
        self.span_id = context.span_id
        self.sampled = context.trace_flags.sampled

    def set(self, key: str, value: AttributeValue) -> None:
        if not self.end_ns:
            self.otel.set_attribute(key, value)

    def event(self, name: str, attributes: Attributes, at_ns: int | None = None) -> None:
        if not self.end_ns:
            self.otel.add_event(name, dict(attributes), at_ns)

    def finish(  # noqa: PLR0913
        self,
        end_ns: int,
        *,
        connector_id: str | None,
        session: Transaction | None,
        error: str | None,
        store_wait_s: float,
        forced: bool,
        response_size: int = 0,
        description: str | None = None,
    ) -> None:
        span = self.otel
        self.end_ns = end_ns
        if not span.is_recording():
            return
        if connector_id is not None:
            span.set_attribute(catalogue.CONNECTOR_ID, connector_id)
        if session is not None:
            span.set_attribute(catalogue.OCPP_TRANSACTION_ID, session.transaction_id)
            span.add_link(link_to(session))
        if error is not None:
            span.set_attribute(catalogue.FAILURE, error)
            span.set_status(StatusCode.ERROR, description or None)
            if description is not None:
                span.set_attribute(catalogue.RPC_STATUS, error)
                span.set_attribute(catalogue.OCPP_ERROR_DESCRIPTION, description)
        if response_size:
            span.set_attribute(catalogue.OCPP_RESPONSE_SIZE, response_size)
        if store_wait_s > 0.0:
            span.set_attribute(catalogue.OCPP_STORE_WAIT, store_wait_s)
        if forced:
            span.set_attribute(catalogue.FORCE_SAMPLE, True)
        span.end(end_ns)


class ApiSpans:
    """Implements `recorder.Spans` with any Tracer."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def server(
        self,
        cp_id: str,
        action: str,
        start_ns: int,
        connection: ConnectionAttributes = UNKNOWN_CONNECTION,
        message_id: str | int = "",
        size: int = 0,
    ) -> ApiSpan:
        """Return a span of kind SERVER that starts a trace of its own."""
        more: dict[str, str | int | float | bool] = {**connection.fields}
        if message_id != "":
            more[catalogue.OCPP_MESSAGE_ID] = str(message_id)
        if size:
            more[catalogue.OCPP_REQUEST_SIZE] = size
        return self._start(cp_id, action, start_ns, SpanKind.SERVER, _ROOT, more)

    def client(self, cp_id: str, action: str, start_ns: int) -> ApiSpan:
        """Return a span of kind CLIENT, child of the current span if there is one."""
        return self._start(cp_id, action, start_ns, SpanKind.CLIENT, None)

    def child(self, parent: MessageSpan, start_ns: int) -> ApiSpan:
        """Return a span of kind CLIENT with the action of `parent`, which is its parent."""
        context = trace.set_span_in_context(parent.otel, _ROOT)
        return self._start(parent.cp_id, parent.action, start_ns, SpanKind.CLIENT, context)

    def forget(self, cp_id: str) -> None:
        """Do nothing: nothing is cached here."""

    def _start(
        self,
        cp_id: str,
        action: str,
        start_ns: int,
        kind: SpanKind,
        context: Context | None,
        more: Mapping[str, str | int | float | bool] = NOTHING,
    ) -> ApiSpan:
        first: dict[str, str | int | float | bool] = {
            catalogue.CP_ID: cp_id,
            catalogue.OCPP_ACTION: action,
            catalogue.RPC_SYSTEM: catalogue.RPC,
            catalogue.RPC_METHOD: rpc_method(action),
            **more,
        }
        span = self._tracer.start_span(action, context, kind, first, start_time=start_ns)
        return ApiSpan(span, cp_id, action, start_ns)
