"""Message spans for a program's own TracerProvider: records where no processor could tell, else spans of the SDK."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from support.observing import described, tracing
from wattspan.telemetry.recorder import Spans
from wattspan.telemetry.spans.api import ApiSpan, ApiSpans
from wattspan.telemetry.spans.given import given_spans
from wattspan.telemetry.spans.hot import HotSpan

SCOPE = InstrumentationScope("wattspan", "1")


class Noticing(SpanProcessor):
    """A processor that does something at the start of a span, as one that copies baggage does."""

    def on_start(self, span: trace.Span, parent_context: object = None) -> None:
        span.set_attribute("noticed", True)


class OtherIds(RandomIdGenerator):
    """Ids of a vendor's own form."""


def spans_of(provider: TracerProvider) -> Spans:
    return given_spans(provider, provider.get_tracer("wattspan", "1"), SCOPE)


def finish(spans: Spans) -> None:
    spans.server("CP1", "Heartbeat", 1).finish(
        2, connector_id="1", session=None, error="InternalError", store_wait_s=0.0, forced=False
    )


def test_a_program_that_exports_by_batches_gets_records_that_equal_the_sdks_spans():
    provider, exporter = tracing()
    finish(spans_of(provider))
    (record,) = exporter.get_finished_spans()
    assert isinstance(record, HotSpan)
    exporter.clear()
    finish(ApiSpans(provider.get_tracer("wattspan", "1")))
    (span,) = exporter.get_finished_spans()
    assert described([record]) == described([span])
    assert record.instrumentation_scope == span.instrumentation_scope
    assert record.resource == span.resource
    assert hash(record.resource) == hash(span.resource)


def test_a_processor_that_looks_at_spans_when_they_start_gets_spans_of_the_sdk_from_then_on():
    provider, exporter = tracing()
    spans = spans_of(provider)
    assert isinstance(spans.server("CP1", "Heartbeat", 1), HotSpan)
    provider.add_span_processor(Noticing())
    assert isinstance(spans.client("CP1", "Reset", 1), ApiSpan)
    finish(spans)
    assert exporter.get_finished_spans()[0].attributes["noticed"]
    spans.forget("CP1")


@pytest.mark.parametrize(
    "provider",
    [
        trace.NoOpTracerProvider(),
        trace.ProxyTracerProvider(),
        TracerProvider(id_generator=OtherIds(), shutdown_on_exit=False),
        type("Theirs", (TracerProvider,), {})(shutdown_on_exit=False),
    ],
    ids=["none", "not set yet", "other ids", "a subclass"],
)
def test_any_other_provider_is_used_by_the_api(provider):
    assert isinstance(spans_of(provider), ApiSpans)


def test_a_disabled_sdk_stays_silent(monkeypatch):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    finish(spans_of(provider))
    assert exporter.get_finished_spans() == ()
