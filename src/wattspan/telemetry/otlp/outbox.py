"""Bounded queues between our telemetry and exporters that may be slow or dead; every lost record is counted.

It owns limits and counting. It must not know what a record means or where it goes.
"""

from collections.abc import Callable, Mapping, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from wattspan.telemetry.sdk_private import (
    BatchLogRecordProcessor,
    LogRecordExporter,
    LogRecordExportResult,
    ReadableLogRecord,
    ReadWriteLogRecord,
    emit_of,
    queue_of,
    shut_down_batch,
)
from wattspan.telemetry.spans.record import HotSpan

QUEUE_SIZE = 32_768
"""Spans that wait for the exporter, unless OTEL_BSP_MAX_QUEUE_SIZE is set: about 12 MB, one second at full load."""
BATCH_SIZE = 2048
"""Spans in a request, unless OTEL_BSP_MAX_EXPORT_BATCH_SIZE is set."""
EXPORT_TIMEOUT_S = 5
"""How long a shutdown waits for an exporter, s. The SDK waits 30 s and then for the time-out of every batch."""

Dropped = Callable[[int], None]
"""Called with the number of lost records, on any thread."""


class Outbox(BatchSpanProcessor):
    """The stock batch processor, except that a span is dropped and counted, not logged, when the queue is full.

    The stock processor logs each dropped record. With a dead Collector, that would be thousands of lines a second.
    """

    def __init__(self, exporter: SpanExporter, dropped: Dropped, *, queue_size: int, batch_size: int) -> None:
        self._dropped = dropped
        self._size = queue_size
        super().__init__(CountedSpans(exporter, dropped), max_queue_size=queue_size, max_export_batch_size=batch_size)
        self._queue, self._enqueue = queue_of(self), emit_of(self)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span if it is sampled. Never blocks."""
        if isinstance(span, HotSpan):
            if not span.sampled:
                return
        elif span.context is None or not span.context.trace_flags.sampled:
            return
        if len(self._queue) >= self._size:
            self._dropped(1)
        else:
            self._enqueue(span)

    def shutdown(self) -> None:
        """Export what is queued within EXPORT_TIMEOUT_S; the rest is dropped and counted."""
        shut_down_batch(self, EXPORT_TIMEOUT_S)
        if self._queue:
            self._dropped(len(self._queue))


class LogOutbox(BatchLogRecordProcessor):
    """The same for log records: those that find the queue full are dropped and counted."""

    def __init__(self, exporter: LogRecordExporter, dropped: Dropped) -> None:
        self._dropped = dropped
        super().__init__(CountedLogs(exporter, dropped))
        self._queue = queue_of(self)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queue the record. Never blocks."""
        if len(self._queue) == self._queue.maxlen:
            self._dropped(1)
        else:
            super().on_emit(log_record)

    def shutdown(self) -> None:
        """Export what is queued within EXPORT_TIMEOUT_S; the rest is dropped and counted."""
        shut_down_batch(self, EXPORT_TIMEOUT_S)
        if self._queue:
            self._dropped(len(self._queue))


class CountedSpans(SpanExporter):
    """Wraps an exporter and counts the records of each failed export."""

    def __init__(self, exporter: SpanExporter, dropped: Dropped) -> None:
        self._exporter = exporter
        self._dropped = dropped

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch and return the exporter's result."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is not SpanExportResult.SUCCESS:
                self._dropped(len(spans))
        return result

    def shutdown(self) -> None:
        """Shut the exporter down, even while it is sending."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return True: nothing is buffered here."""
        return True


class CountedLogs(LogRecordExporter):
    """Wraps an exporter and counts the records of each failed export."""

    def __init__(self, exporter: LogRecordExporter, dropped: Dropped) -> None:
        self._exporter = exporter
        self._dropped = dropped

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Export a batch and return the exporter's result."""
        result = LogRecordExportResult.FAILURE
        try:
            result = self._exporter.export(batch)
        finally:
            if result is not LogRecordExportResult.SUCCESS:
                self._dropped(len(batch))
        return result

    def shutdown(self) -> None:
        """Shut the exporter down, even while it is sending."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return True: nothing is buffered here."""
        return True


def span_outbox(to: SpanExporter, dropped: Dropped, environ: Mapping[str, str]) -> Outbox:
    """Return the queue before a span exporter, with the sizes that the `OTEL_BSP_*` variables give."""
    queue_size = _number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_SIZE)
    batch_size = _number(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH_SIZE)
    return Outbox(to, dropped, queue_size=queue_size, batch_size=min(batch_size, queue_size))


def _number(environ: Mapping[str, str], variable: str, default: int) -> int:
    """Return a positive integer; an invalid value counts as not set (OTel spec, environment variables)."""
    text = environ.get(variable, "").strip()
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else default
