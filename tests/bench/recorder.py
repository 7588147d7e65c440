"""What a message costs in telemetry: `python tests/bench/recorder.py`. Microseconds a message, best of five.

Each message is begun, made current, made not current, and ended with a connector, a session and a store wait. The
exporter does nothing, so that queueing is measured and sending is not.
"""

import time
from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from wattspan.domain.energy import EnergyMeter
from wattspan.domain.model import Transaction
from wattspan.telemetry.arrays import ArrayMeasures
from wattspan.telemetry.histogram import Histograms
from wattspan.telemetry.instruments import ApiMeasures
from wattspan.telemetry.otlp.outbox import Outbox
from wattspan.telemetry.otlp.spans import Encoder
from wattspan.telemetry.recorder import Recorder
from wattspan.telemetry.sessions import SessionSpans
from wattspan.telemetry.spans.api import ApiSpans
from wattspan.telemetry.spans.hot import HotSpans

MESSAGES = 20_000
CHARGE_POINTS = [f"CP{number:05}" for number in range(1000)]
SESSION = Transaction(
    number=1,
    cp_id="CP00001",
    connector_id="1",
    transaction_id="4711",
    key="",
    id_token="",
    meter=EnergyMeter(0.0),
    started_ts=None,
    started_received_ts=1.0,
)


class Nowhere(SpanExporter):
    def export(self, spans: object) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class Kept(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def drive(recorder: Recorder, messages: int = MESSAGES) -> float:
    """Microseconds a message."""
    began = time.perf_counter()
    for number in range(messages):
        span = recorder.message(CHARGE_POINTS[number % 1000], "MeterValues", time.time_ns())
        token = recorder.attach(span)
        recorder.detach(token)
        recorder.answered(span, connector_id="1", session=SESSION, error=None, store_wait_s=0.001)
    return (time.perf_counter() - began) / messages * 1e6


def hot(processor: SpanProcessor) -> Recorder:
    spans = HotSpans(Resource.create({}), InstrumentationScope("wattspan"), processor, ALWAYS_ON)
    return Recorder(spans, ArrayMeasures(Histograms()), SessionSpans(trace.NoOpTracer(), None, str))


def api(processor: SpanProcessor) -> Recorder:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    measures = ApiMeasures(meters.get_meter("wattspan"))
    return Recorder(ApiSpans(provider.get_tracer("wattspan")), measures, SessionSpans(trace.NoOpTracer(), None, str))


def encoding() -> float:
    """Microseconds a span, from record to protobuf."""
    kept = Kept()
    drive(hot(kept))
    encoder = Encoder()
    began = time.perf_counter()
    for first in range(0, MESSAGES, 512):
        encoder.request(kept.spans[first : first + 512])
    return (time.perf_counter() - began) / MESSAGES * 1e6


def best(measured: Callable[[], float]) -> float:
    return min(measured() for _ in range(5))


def main() -> None:
    def outbox() -> Outbox:
        return Outbox(Nowhere(), lambda _: None, queue_size=65_536, batch_size=2048)

    print(f"hot, no processor         {best(lambda: drive(hot(SpanProcessor()))):6.2f}")
    print(f"hot, batch processor      {best(lambda: drive(hot(outbox()))):6.2f}")
    print(f"api, SDK, batch processor {best(lambda: drive(api(outbox()))):6.2f}")
    print(f"encoding, off the loop    {best(encoding):6.2f}")


if __name__ == "__main__":
    main()
