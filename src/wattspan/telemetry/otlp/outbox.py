"""What stands between our telemetry and exporters that may be slow or dead: bounded queues, and every loss is counted.

It owns limits and counting; what a record is and where it goes it must not know.
"""

from collections.abc import Callable, Sequence

from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from wattspan.telemetry.spans.record import HotSpan

EXPORT_TIMEOUT_S = 5
"""How long a shutdown waits for an exporter: the SDK would wait for 30 s, and then for every batch's time-out."""

Dropped = Callable[[int], None]
"""Told how many records were lost; called on any thread."""


class Outbox(BatchSpanProcessor):
    """The stock batch processor, but what comes when its queue is full is dropped, and counted, not logged.

    At thousands of messages a second, a log record for each would be what a dead Collector costs chargers.
    """

    def __init__(self, exporter: SpanExporter, dropped: Dropped, *, queue_size: int, batch_size: int) -> None:
        self._dropped = dropped
        self._size = queue_size
        super().__init__(CountedSpans(exporter, dropped), max_queue_size=queue_size, max_export_batch_size=batch_size)
        self._queue = self._batch_processor._queue

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span that is sampled. Never blocks."""
        if type(span) is HotSpan:
            if not span.sampled:
                return
        elif span.context is None or not span.context.trace_flags.sampled:
            return
        if len(self._queue) >= self._size:
            self._dropped(1)
        else:
            self._batch_processor.emit(span)

    def shutdown(self) -> None:
        """Send what is left, within EXPORT_TIMEOUT_S; what is not sent by then is lost."""
        self._batch_processor.shutdown(EXPORT_TIMEOUT_S * 1000)
        if self._queue:
            self._dropped(len(self._queue))


class LogOutbox(BatchLogRecordProcessor):
    """The same for log records."""

    def __init__(self, exporter: LogRecordExporter, dropped: Dropped) -> None:
        self._dropped = dropped
        super().__init__(CountedLogs(exporter, dropped))
        self._queue = self._batch_processor._queue

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queue a record. Never blocks."""
        if len(self._queue) == self._queue.maxlen:
            self._dropped(1)
        else:
            super().on_emit(log_record)

    def shutdown(self) -> None:
        """Send what is left, within EXPORT_TIMEOUT_S; what is not sent by then is lost."""
        self._batch_processor.shutdown(EXPORT_TIMEOUT_S * 1000)
        if self._queue:
            self._dropped(len(self._queue))


class CountedSpans(SpanExporter):
    """An exporter whose failures are counted."""

    def __init__(self, exporter: SpanExporter, dropped: Dropped) -> None:
        self._exporter = exporter
        self._dropped = dropped

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Pass a batch on."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is not SpanExportResult.SUCCESS:
                self._dropped(len(spans))
        return result

    def shutdown(self) -> None:
        """Shut the exporter down, also one that is busy."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept here."""
        return True


class CountedLogs(LogRecordExporter):
    """An exporter whose failures are counted."""

    def __init__(self, exporter: LogRecordExporter, dropped: Dropped) -> None:
        self._exporter = exporter
        self._dropped = dropped

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Pass a batch on."""
        result = LogRecordExportResult.FAILURE
        try:
            result = self._exporter.export(batch)
        finally:
            if result is not LogRecordExportResult.SUCCESS:
                self._dropped(len(batch))
        return result

    def shutdown(self) -> None:
        """Shut the exporter down, also one that is busy."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept here."""
        return True
