"""Message spans and histograms by OpenTelemetry's API alone: works with any provider, and with none.

What it says is what `hot` says (the conformance test holds both against each other); it costs many times as much.
"""

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, Meter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags, Tracer

from wattspan.domain.model import Transaction
from wattspan.telemetry import catalogue
from wattspan.telemetry.catalogue import Metric
from wattspan.telemetry.recorder import Attributes, AttributeValue, MessageSpan
from wattspan.telemetry.sessions import link_to

_ROOT = Context()


class ApiSpan:
    """A provider's span, as the recorder wants it."""

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

    def event(self, name: str, attributes: Attributes) -> None:
        if not self.end_ns:
            self.otel.add_event(name, dict(attributes))

    def finish(
        self,
        end_ns: int,
        *,
        connector_id: str | None,
        session: Transaction | None,
        error: str | None,
        store_wait_s: float,
        forced: bool,
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
            span.set_status(StatusCode.ERROR)
        if store_wait_s > 0.0:
            span.set_attribute(catalogue.OCPP_STORE_WAIT, store_wait_s)
        if forced:
            span.set_attribute(catalogue.FORCE_SAMPLE, True)
        span.end(end_ns)


class ApiSpans:
    """The port `recorder.Spans`."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def server(self, cp_id: str, action: str, start_ns: int) -> ApiSpan:
        """A span of kind SERVER that starts a trace of its own."""
        return self._start(cp_id, action, start_ns, SpanKind.SERVER, _ROOT)

    def client(self, cp_id: str, action: str, start_ns: int) -> ApiSpan:
        """A span of kind CLIENT, child of the current span if there is one."""
        return self._start(cp_id, action, start_ns, SpanKind.CLIENT, None)

    def forget(self, cp_id: str) -> None:
        """Nothing is kept here."""

    def _start(self, cp_id: str, action: str, start_ns: int, kind: SpanKind, around: Context | None) -> ApiSpan:
        first = {catalogue.CP_ID: cp_id, catalogue.OCPP_ACTION: action}
        span = self._tracer.start_span(action, around, kind, first, start_time=start_ns)
        return ApiSpan(span, cp_id, action, start_ns)


class ApiMeasures:
    """The port `recorder.Measures`. The API can't remove series: those of a decommissioned charge point stay.

    Which span is current decides the SDK's exemplar, so none is but where the recorder wants one.
    """

    def __init__(self, meter: Meter, *, by_charge_point: bool = True) -> None:
        handling = catalogue.HANDLING if by_charge_point else catalogue.HANDLING.without(catalogue.CP_ID)
        self._by_charge_point = by_charge_point
        metrics = (handling, *catalogue.OCCASIONAL)
        self._instruments = {metric.name: _instrument(meter, metric) for metric in metrics}
        self._handling = self._instruments[handling.name]

    def handled(self, span: MessageSpan, seconds: float, end_ns: int, *, exemplar: bool) -> None:
        """Record the handling time of the message that `span` tells of."""
        labels = {catalogue.CP_ID: span.cp_id} if self._by_charge_point else {}
        around = trace.set_span_in_context(span.otel, _ROOT) if exemplar else _ROOT
        self._handling.record(seconds, labels | {catalogue.MESSAGE_TYPE: span.action}, around)

    def record(
        self, metric: Metric, value: float, end_ns: int, *labels: str, exemplar: tuple[int, int] | None = None
    ) -> None:
        """Record `value`. `exemplar` is (trace id, span id) of the sampled span it points to."""
        around = _ROOT if exemplar is None else _around(*exemplar)
        self._instruments[metric.name].record(value, dict(zip(metric.labels, labels, strict=True)), around)

    def forget(self, cp_id: str) -> None:
        """Nothing can be done by the API."""


def _instrument(meter: Meter, metric: Metric) -> Histogram:
    return meter.create_histogram(
        metric.name, metric.unit, metric.help, explicit_bucket_boundaries_advisory=metric.bounds
    )


def _around(trace_id: int, span_id: int) -> Context:
    told = SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return trace.set_span_in_context(trace.NonRecordingSpan(told), _ROOT)
