"""What we use of OpenTelemetry's SDK beyond its public names: attributes and modules that begin with an underscore.

No other module does. The SDK may change these in any release, so `tests/unit/telemetry/test_private_reaches.py` names
the versions this holds for and checks the shape of each. It knows nothing of exporters: see `otlp.http_private` and
`otlp.grpc_private`.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

__all__ = [
    "BatchLogRecordProcessor",
    "LogRecordExportResult",
    "LogRecordExporter",
    "LoggerProvider",
    "ReadWriteLogRecord",
    "ReadableLogRecord",
    "emit_of",
    "has_provider",
    "processor_of",
    "processors_in",
    "queue_of",
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


def processors_in(processor: SynchronousMultiSpanProcessor) -> tuple[SpanProcessor, ...]:
    """Return the processors; another tuple after one was added."""
    return processor._span_processors


def has_provider(reader: MetricReader) -> bool:
    """Return whether the reader belongs to a MeterProvider; `collect` logs a warning if not."""
    return reader._collect is not None
