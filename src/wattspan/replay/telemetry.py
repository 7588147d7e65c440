"""Where the spans and metrics of a replay go: nowhere, or by OTLP with the times of the log.

It owns export with back-pressure: a log is read faster than a Collector takes it. It must not know logs.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import environ as process_environ
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from wattspan.domain.model import Transaction
from wattspan.errors import WattspanError
from wattspan.telemetry import catalogue
from wattspan.telemetry.arrays import ArrayMeasures
from wattspan.telemetry.connection import UNKNOWN_CONNECTION, ConnectionAttributes
from wattspan.telemetry.families import State
from wattspan.telemetry.histogram import Histograms
from wattspan.telemetry.otlp.exporters import exporter
from wattspan.telemetry.otlp.fleet_metrics import FleetMetrics
from wattspan.telemetry.otlp.points import Points
from wattspan.telemetry.recorder import Attributes, AttributeValue, MessageSpan, Recorder
from wattspan.telemetry.resource import VERSION, resource_of
from wattspan.telemetry.sessions import SessionSpans
from wattspan.telemetry.spans.hot import HotSpans
from wattspan.telemetry.spans.ids import preset_ids_of
from wattspan.telemetry.tokens import TokenHash

log = logging.getLogger(__name__)

NS = 1_000_000_000
SERVICE = "wattspan"
SPANS_PER_REQUEST = 512
EXPORT_TIMEOUT_S = 30.0


class ExportFailed(WattspanError):
    """The Collector does not take what a replay sends."""


class UnexportedSpan:
    """A message span that goes nowhere. It keeps what histograms need."""

    __slots__ = ("action", "cp_id", "end_ns", "start_ns")

    trace_id = span_id = 0
    sampled = False
    otel: trace.Span = trace.INVALID_SPAN

    def __init__(
        self,
        cp_id: str,
        action: str,
        start_ns: int,
        connection: ConnectionAttributes = UNKNOWN_CONNECTION,
        message_id: str | int = "",
        size: int = 0,
    ) -> None:
        self.cp_id = cp_id
        self.action = action
        self.start_ns = start_ns
        self.end_ns = 0

    def set(self, key: str, value: AttributeValue) -> None:
        """Do nothing."""

    def event(self, name: str, attributes: Attributes, at_ns: int | None = None) -> None:
        """Do nothing."""

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
        """End the span."""
        self.end_ns = end_ns


class UnexportedSpans:
    """Implements `recorder.Spans` without export."""

    def server(
        self,
        cp_id: str,
        action: str,
        start_ns: int,
        connection: ConnectionAttributes = UNKNOWN_CONNECTION,
        message_id: str | int = "",
        size: int = 0,
    ) -> UnexportedSpan:
        """Return a span of a request."""
        return UnexportedSpan(cp_id, action, start_ns)

    def client(self, cp_id: str, action: str, start_ns: int) -> UnexportedSpan:
        """Return a span of a command."""
        return UnexportedSpan(cp_id, action, start_ns)

    def child(self, parent: MessageSpan, start_ns: int) -> UnexportedSpan:
        """Return a span of the way to another system."""
        return UnexportedSpan(parent.cp_id, parent.action, start_ns)

    def forget(self, cp_id: str) -> None:
        """Do nothing: nothing is cached."""


class UnexportedRecorder(Recorder):
    """Records histograms alone, in fewer steps. They are those of a recorder with spans."""

    __slots__ = ("_handling",)

    def __init__(self, histograms: Histograms, clock_ns: Callable[[], int]) -> None:
        measures = ArrayMeasures(histograms)
        super().__init__(
            UnexportedSpans(), measures, UnexportedSessions(), exemplars=False, clock_ns=clock_ns, logs=False
        )
        self.message = UnexportedSpan
        self._handling = histograms.handling

    def answered(  # noqa: PLR0913
        self,
        span: MessageSpan,
        *,
        connector_id: str | None,
        session: Transaction | None,
        error: str | None,
        store_wait_s: float,
        end_ns: int | None = None,
        response_size: int = 0,
        description: str | None = None,
    ) -> None:
        """Count the time of a message and end its span."""
        if span.end_ns:
            return
        start_ns = span.start_ns
        end_ns = max(self._clock_ns() if end_ns is None else end_ns, start_ns)
        span.end_ns = end_ns  # type: ignore[misc]  # an `UnexportedSpan`
        try:
            series = self._handling.known[span.cp_id][span.action]
        except KeyError:
            series = self._handling.series(span.cp_id, span.action)
        series.record((end_ns - start_ns) / NS)


class UnexportedSessions(SessionSpans):
    """Sessions without traces."""

    def __init__(self) -> None:
        super().__init__(trace.NoOpTracer(), None, TokenHash())

    def emit(self, session: Transaction) -> tuple[int, int] | None:
        """Do nothing."""
        return None


class BlockingProcessor(SpanProcessor):
    """Exports spans in batches on the thread that ends them, so that reading waits for the Collector.

    Raises ExportFailed from `flush` and from `on_end` once a batch is refused.
    """

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self._waiting: list[ReadableSpan] = []
        self.exported = 0

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        """Do nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        """Keep the span; export when there are enough."""
        self._waiting.append(span)
        if len(self._waiting) >= SPANS_PER_REQUEST:
            self.flush()

    def flush(self) -> None:
        """Export what is kept."""
        waiting, self._waiting = self._waiting, []
        if waiting and self._exporter.export(waiting) is not SpanExportResult.SUCCESS:
            raise ExportFailed("the Collector did not take the spans; what was sent before stays there")
        self.exported += len(waiting)

    def shutdown(self) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what is kept."""
        self.flush()
        return True


@dataclass(slots=True, kw_only=True)
class ReplayTelemetry:
    """The recorder of a replay, and its OTLP exports if there are any."""

    recorder: Recorder
    spans: BlockingProcessor | None = None
    metrics: FleetMetrics | None = None
    lost_points: list[int] = field(default_factory=list)

    def export_metrics(self) -> None:
        """Export the metrics as they are now, at the time of the log. Raises ExportFailed."""
        if self.metrics is None:
            return
        self.metrics.export(MetricsData([]), EXPORT_TIMEOUT_S * 1000)
        if self.lost_points:
            raise ExportFailed("the Collector did not take the metrics; what was sent before stays there")

    def finish(self) -> None:
        """Export what is left and shut down. Raises ExportFailed."""
        if self.spans is not None:
            self.spans.flush()
            self.spans.shutdown()
        if self.metrics is not None:
            self.metrics.shutdown()


def without_export(state: State, clock_ns: Callable[[], int]) -> ReplayTelemetry:
    """Return telemetry that records histograms into `state` and exports nothing."""
    return ReplayTelemetry(recorder=UnexportedRecorder(state.histograms, clock_ns))


def by_otlp(state: State, clock_ns: Callable[[], int], environ: Mapping[str, str] = process_environ) -> ReplayTelemetry:
    """Return telemetry that exports spans and metrics as the `OTEL_*` variables say. Raises ExportFailed without any.

    `state.clock` is the time of the log, which the points of metrics have.
    """
    exporters = {signal: exporter(signal, environ) for signal in ("traces", "metrics")}
    if not any(exporters.values()):
        raise ExportFailed("--otlp needs an address: set OTEL_EXPORTER_OTLP_ENDPOINT, e.g. http://localhost:4318")
    resource, scope = (
        resource_of(environ, SERVICE),
        InstrumentationScope(catalogue.METER, VERSION, catalogue.SCHEMA_URL),
    )
    telemetry = without_export(state, clock_ns)
    if exporters["traces"] is not None:
        telemetry.spans = BlockingProcessor(exporters["traces"])
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(telemetry.spans)
        tracer = provider.get_tracer(catalogue.METER, VERSION, catalogue.SCHEMA_URL)
        sessions = SessionSpans(tracer, preset_ids_of(tracer), TokenHash())
        spans = HotSpans(resource, scope, telemetry.spans, provider.sampler)
        telemetry.recorder = Recorder(spans, ArrayMeasures(state.histograms), sessions, clock_ns=clock_ns, logs=False)
    if exporters["metrics"] is not None:
        telemetry.metrics = FleetMetrics(
            exporters["metrics"], Points(state), resource, scope, telemetry.lost_points.append, pause=lambda: None
        )
    return telemetry
