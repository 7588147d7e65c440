"""A recorder with either back end, for tests: its spans as parsed OTLP, and its histograms."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ScopeMetrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from wattspan.domain.counters import ServerCounters
from wattspan.domain.energy import EnergyMeter
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint, TimelineEntry, Transaction
from wattspan.telemetry.arrays import ArrayMeasures
from wattspan.telemetry.families import State
from wattspan.telemetry.histogram import Histograms
from wattspan.telemetry.instruments import ApiMeasures
from wattspan.telemetry.otlp.points import Points
from wattspan.telemetry.otlp.spans import Encoder
from wattspan.telemetry.recorder import Recorder
from wattspan.telemetry.sessions import SessionSpans
from wattspan.telemetry.spans.api import ApiSpans
from wattspan.telemetry.spans.hot import HotSpans
from wattspan.telemetry.spans.ids import preset_ids_of
from wattspan.telemetry.tokens import TokenHash

NS = 1_000_000_000
NOW_TS = 1_700_000_000.0
HASH = TokenHash(b"key of the tests")
RESOURCE = Resource({"service.name": "wattspan"})


class Clock:
    """Unix nanoseconds, moved by hand."""

    def __init__(self) -> None:
        self.now_ns = int(NOW_TS) * NS

    def __call__(self) -> int:
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        self.now_ns += round(seconds * NS)


class Kept(SpanProcessor):
    """Keeps every span that ended."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


@dataclass
class RecorderHarness:
    """A recorder with one of the back ends."""

    recorder: Recorder
    clock: Clock
    kept: Kept
    tracers: TracerProvider
    encode: Callable[[list[ReadableSpan]], bytes]
    metrics: Callable[[], list[Any]]

    def request(self) -> Any:
        """Return all spans as the parsed OTLP request that would be sent."""
        return ExportTraceServiceRequest.FromString(self.encode(self.kept.spans))

    def spans(self) -> list[Any]:
        """Return all spans in the order they began."""
        found = [
            span for resource in self.request().resource_spans for scope in resource.scope_spans for span in scope.spans
        ]
        return sorted(found, key=lambda span: (span.start_time_unix_nano, span.name))

    def span(self, name: str) -> Any:
        """Return the only span of that name."""
        (found,) = (span for span in self.spans() if span.name == name)
        return found


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of a parsed span, event or point."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


def transaction(**given: Any) -> Transaction:
    """Return a transaction of CP1 that began at NOW_TS."""
    known: dict[str, Any] = {
        "number": 1,
        "cp_id": "CP1",
        "connector_id": "2",
        "transaction_id": "4711",
        "key": "k",
        "id_token": "SECRET-TAG",
        "meter": EnergyMeter(0.0),
        "started_ts": None,
        "started_received_ts": NOW_TS,
    }
    return Transaction(**known | given)


def closed(*timeline: TimelineEntry, lasted_s: float = 3600.0, **given: Any) -> Transaction:
    """Return a transaction that stopped after `lasted_s`."""
    return transaction(timeline=list(timeline), stopped_received_ts=NOW_TS + lasted_s, reason="EVDisconnected", **given)


def phase(after_s: float, name: str) -> TimelineEntry:
    return TimelineEntry(NOW_TS + after_s, name, {}, phase=True)


def hot(sampler: Sampler = ALWAYS_ON, *, by_charge_point: bool = True) -> RecorderHarness:
    """Return a recorder with the back end of our own server."""
    clock, kept = Clock(), Kept()
    tracers = TracerProvider(sampler, RESOURCE, shutdown_on_exit=False)
    tracers.add_span_processor(kept)
    tracer = tracers.get_tracer("wattspan")
    scope = InstrumentationScope("wattspan", "")
    histograms = Histograms(by_charge_point=by_charge_point)
    fleet = Fleet()
    fleet.charge_points["CP1"] = ChargePoint(cp_id="CP1", known_since_ts=NOW_TS)
    counters = ServerCounters(started_ts=NOW_TS)
    points = Points(State(fleet=fleet, counters=counters, histograms=histograms, clock=lambda: clock.now_ns / NS))
    return RecorderHarness(
        recorder=Recorder(
            HotSpans(RESOURCE, scope, kept, sampler),
            ArrayMeasures(histograms),
            SessionSpans(tracer, preset_ids_of(tracer), HASH),
            clock_ns=clock,
        ),
        clock=clock,
        kept=kept,
        tracers=tracers,
        encode=Encoder().request,
        metrics=lambda: metrics_of(points),
    )


def api(sampler: Sampler = ALWAYS_ON, *, by_charge_point: bool = True) -> RecorderHarness:
    """Return a recorder that uses the OpenTelemetry API, with the SDK as its provider."""
    clock, kept = Clock(), Kept()
    tracers = TracerProvider(sampler, RESOURCE, shutdown_on_exit=False)
    tracers.add_span_processor(kept)
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], RESOURCE, shutdown_on_exit=False)
    tracer = tracers.get_tracer("wattspan")
    return RecorderHarness(
        recorder=Recorder(
            ApiSpans(tracer),
            ApiMeasures(meters.get_meter("wattspan"), by_charge_point=by_charge_point),
            SessionSpans(tracer, preset_ids_of(tracer), HASH),
            clock_ns=clock,
        ),
        clock=clock,
        kept=kept,
        tracers=tracers,
        encode=lambda spans: encode_spans(spans).SerializeToString(),
        metrics=lambda: list(_sdk_metrics(reader)),
    )


def metrics_of(points: Points) -> list[Metric]:
    """Return the metrics as a Collector parses them."""
    written = b"".join(piece.metric for piece in points.pieces(10_000))
    return list(ScopeMetrics.FromString(written).metrics)


def _sdk_metrics(reader: InMemoryMetricReader) -> Iterator[Metric]:
    data = reader.get_metrics_data()
    for resource in encode_metrics(data).resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            yield from scope.metrics


@contextmanager
def current(harness: RecorderHarness, name: str) -> Iterator[Any]:
    """Make a span of an HTTP request current inside."""
    with harness.tracers.get_tracer("web").start_as_current_span(name, start_time=harness.clock.now_ns) as span:
        yield span
