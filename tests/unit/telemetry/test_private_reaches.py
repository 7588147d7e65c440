"""What we use of OpenTelemetry beyond its public names exists and has the expected shape; four modules use it."""

import ast
import inspect
from collections import deque
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.grpc.exporter import OTLPExporterMixin
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics._internal.measurement import Measurement
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import wattspan
from wattspan.telemetry.otlp import grpc_private, http_private
from wattspan.telemetry.sdk_private import (
    BatchLogRecordProcessor,
    LogRecordExporter,
    Measured,
    aggregates_of,
    are_storages_known,
    emit_of,
    has_provider,
    processor_of,
    processors_in,
    queue_of,
    reader_storages,
    shut_down_batch,
)

HOLDS_FOR = {
    "opentelemetry-sdk": ("1.45.1", "1.45.2"),
    "opentelemetry-exporter-otlp-proto-http": ("1.45.1", "1.45.2"),
    "opentelemetry-exporter-otlp-proto-grpc": ("1.45.1", "1.45.2"),
}
"""The versions that were tested. With another one: run tests/unit/telemetry and tests/stack, and add it."""

ALLOWED = {
    "telemetry/sdk_private.py",
    "telemetry/otlp/grpc_private.py",
    "telemetry/otlp/http_private.py",
}
ROOT = Path(wattspan.__file__).parent


class Nowhere(SpanExporter):
    def export(self, spans):
        return SpanExportResult.SUCCESS


class NowhereLogs(LogRecordExporter):
    def export(self, batch):
        return None

    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=30_000):
        return True


def private_imports(path: Path) -> list[str]:
    """Modules of OpenTelemetry with an underscore that this file imports."""
    found = [node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    return [each for each in found if each.startswith("opentelemetry.") and "._" in each]


@pytest.mark.parametrize("package", HOLDS_FOR)
def test_the_installed_version_was_tested(package):
    assert version(package) in HOLDS_FOR[package]


def test_only_the_private_modules_reach_behind_public_names():
    attributes = (
        "_batch_processor",
        "_preferred_",
        "_client.export",
        "_stub",
        "_translate_data",
        "._collect ",
        "._span_processors",
    )
    reaching = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if private_imports(path)
        or (path.is_relative_to(ROOT / "telemetry") and any(each in path.read_text() for each in attributes))
    }
    assert reaching == ALLOWED


@pytest.mark.parametrize(
    "make",
    [
        lambda: BatchSpanProcessor(Nowhere(), max_queue_size=64, max_export_batch_size=32),
        lambda: BatchLogRecordProcessor(NowhereLogs(), max_queue_size=64, max_export_batch_size=32),
    ],
    ids=["spans", "logs"],
)
def test_a_batch_processor_has_a_bounded_queue_that_emit_fills(make):
    processor = make()
    queue, emit = queue_of(processor), emit_of(processor)
    assert isinstance(queue, deque)
    assert queue.maxlen == 64
    assert list(inspect.signature(emit).parameters) == ["data"]
    if isinstance(processor, BatchSpanProcessor):
        emit(ReadableSpan("one"))
        assert len(queue) == 1
    shut_down_batch(processor, 1.0)
    assert not queue


def test_a_tracer_provider_has_a_tuple_of_processors_that_changes_when_one_is_added():
    provider = TracerProvider(shutdown_on_exit=False)
    processor = processor_of(provider)
    assert processor is not None
    before = processors_in(processor)
    assert before == ()
    added = BatchSpanProcessor(Nowhere())
    provider.add_span_processor(added)
    assert processors_in(processor) == (added,)
    assert processors_in(processor) is processors_in(processor)
    provider.shutdown()


def test_a_reader_knows_whether_it_has_a_provider():
    reader = InMemoryMetricReader()
    assert not has_provider(reader)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    assert has_provider(reader)
    provider.shutdown()


def test_a_histogram_has_a_series_for_each_reader_that_takes_measurements():
    readers = InMemoryMetricReader(), InMemoryMetricReader()
    provider = MeterProvider([readers[0]], shutdown_on_exit=False)
    histogram = provider.get_meter("m").create_histogram("h")
    assert are_storages_known(histogram)
    storages = reader_storages(histogram)
    assert storages is reader_storages(histogram)
    assert aggregates_of(histogram, storages, {"a": "b"}) is None
    provider.add_metric_reader(readers[1])
    assert reader_storages(histogram) is not storages
    storages = reader_storages(histogram)
    histogram.record(1.0, {"a": "b"})
    aggregates = aggregates_of(histogram, storages, {"a": "b"})
    assert len(aggregates) == 2
    for aggregate in aggregates:
        aggregate(Measured(2.0, 0, histogram, None, None), False)
    for reader in readers:
        ((point,),) = [
            metric.data.data_points
            for each in reader.get_metrics_data().resource_metrics[0].scope_metrics
            for metric in each.metrics
        ]
        assert (point.count, point.sum, dict(point.attributes)) == (2, 3.0, {"a": "b"})
    provider.shutdown()


def test_a_measurement_has_the_fields_that_we_give_it():
    assert Measured._fields == tuple(field.name for field in fields(Measurement))


@pytest.mark.parametrize("make", [http_private.HttpMetricExporter, grpc_private.GrpcMetricExporter])
def test_a_metric_exporter_has_preferences_that_an_exporter_around_it_accepts(make, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    exporter = make()
    temporality, aggregation = exporter.preferences
    assert isinstance(temporality, dict)
    assert isinstance(aggregation, dict)
    assert {"preferred_temporality", "preferred_aggregation"} <= set(
        inspect.signature(MetricExporter.__init__).parameters
    )
    exporter.shutdown()


def test_the_http_exporters_have_a_client_that_takes_bytes(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    for exporter in (http_private.HttpSpanExporter(lambda _: b""), http_private.HttpMetricExporter()):
        assert exporter._shutdown is False
        parameters = list(inspect.signature(exporter._client.export).parameters)
        assert len(parameters) >= 1
        exporter.shutdown()
        assert exporter._shutdown is True


def test_the_grpc_exporters_make_their_client_from_the_stub_and_translate_what_they_send():
    for name, parameters in {
        "_initialize_channel_and_stub": ["self"],
        "_translate_data": ["self", "data"],
        "_count_data": ["self", "data"],
        "_export": ["self", "data"],
    }.items():
        assert list(inspect.signature(getattr(OTLPExporterMixin, name)).parameters) == parameters, name
    source = inspect.getsource(OTLPExporterMixin)
    assert "self._client = self._stub(self._channel)" in source
    assert "request=self._translate_data(data)" in source
