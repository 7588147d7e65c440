"""What we use of OpenTelemetry's SDK beyond its public names: attributes and modules that begin with an underscore.

No other module does. The SDK may change these in any release, so `tests/unit/telemetry/test_private_reaches.py` names
the versions this holds for and checks the shape of each. It knows nothing of exporters: see `otlp.http_private` and
`otlp.grpc_private`.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    ConsoleLogRecordExporter,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, Histogram, TraceBasedExemplarFilter
from opentelemetry.sdk.metrics._internal import _view_instrument_match
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

__all__ = [
    "BatchLogRecordProcessor",
    "ConsoleLogRecordExporter",
    "LogRecordExportResult",
    "LogRecordExporter",
    "LoggerProvider",
    "Measured",
    "ReadWriteLogRecord",
    "ReadableLogRecord",
    "aggregates_of",
    "are_storages_known",
    "emit_of",
    "has_provider",
    "limits_of",
    "processor_of",
    "processors_in",
    "queue_of",
    "reader_storages",
    "shut_down_batch",
]

BatchRecordProcessor = BatchSpanProcessor | BatchLogRecordProcessor


def queue_of(processor: BatchRecordProcessor) -> deque[Any]:
    """Return the records that wait for export; `maxlen` is the size of the queue."""
    queue: deque[Any] = processor._batch_processor._queue
    return queue


def emit_of(processor: BatchRecordProcessor) -> Callable[[Any], None]:
    """Return the function that puts a record into the queue, without the checks of the processor's own method."""
    return processor._batch_processor.emit


def shut_down_batch(processor: BatchRecordProcessor, timeout_s: float) -> None:
    """Export what waits, for at most `timeout_s`. The processor's own method takes no time-out."""
    processor._batch_processor.shutdown(round(timeout_s * 1000))


def processor_of(provider: TracerProvider) -> SynchronousMultiSpanProcessor | None:
    """Return what passes the provider's spans to its processors in turn; None if it does it otherwise."""
    processor = provider._active_span_processor
    return processor if type(processor) is SynchronousMultiSpanProcessor else None


def limits_of(provider: TracerProvider) -> SpanLimits:
    """Return the limits of the provider's spans."""
    return provider._span_limits


def processors_in(processor: SynchronousMultiSpanProcessor) -> tuple[SpanProcessor, ...]:
    """Return the processors; another tuple after one was added."""
    return processor._span_processors


def has_provider(reader: MetricReader) -> bool:
    """Return whether the reader belongs to a MeterProvider; `collect` logs a warning if not."""
    return reader._collect is not None


class Measured(NamedTuple):
    """What the SDK's aggregations use of a `Measurement`, whose own constructor copies and checks the attributes."""

    value: float
    time_unix_nano: int
    instrument: Any
    context: Any
    attributes: Any


Aggregate = Callable[[Any, bool], None]
"""(measurement, whether it may become an exemplar)."""


def are_storages_known(histogram: Any) -> bool:
    """Return whether `reader_storages` may be called: it is the SDK's, and its exemplars depend on the span alone."""
    if not isinstance(histogram, Histogram):
        return False
    consumer: Any = histogram._measurement_consumer
    exemplars = type(consumer._sdk_config.exemplar_filter)
    return hasattr(consumer, "_reader_storages") and exemplars in (TraceBasedExemplarFilter, AlwaysOffExemplarFilter)


def reader_storages(histogram: Any) -> Mapping[Any, Any] | None:
    """Return where a histogram records for each reader; another mapping after a reader came or went.

    None: its meter is disabled, which a configuration may change at any time.
    """
    config = histogram._meter_config
    if config is None or config.is_enabled:
        storages: Mapping[Any, Any] = histogram._measurement_consumer._reader_storages
        return storages
    return None


def aggregates_of(
    histogram: Any, storages: Mapping[Any, Any], attributes: Mapping[str, str]
) -> Sequence[Aggregate] | None:
    """Return the functions that add a measurement to the series of these attributes; None if they are not found.

    There is one for each reader and view. The series must exist: record into it once before.
    """
    found = []
    try:
        for storage in storages.values():
            for match in storage._instrument_view_instrument_matches[histogram]:
                keys = match._view._attribute_keys
                seen = {key: value for key, value in attributes.items() if keys is None or key in keys}
                series = match._attributes_aggregation[_view_instrument_match._hash_attributes(seen)]
                found.append(series.aggregate)
    except (AttributeError, KeyError):
        return None
    return found
