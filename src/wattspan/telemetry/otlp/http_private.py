"""The stock OTLP exporters over HTTP, made to send requests that are already encoded.

They own the transport: endpoints, headers, TLS, compression and retries, by the `OTEL_*` variables. Passing them bytes
needs members that they do not promise to keep. Only this module and `grpc_private` use such members;
`tests/unit/telemetry/test_private_reaches.py` names the versions this holds for.
"""

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as OTLPHttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OTLPHttpExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from wattspan.telemetry.otlp.requests import POINTS_PER_REQUEST, Encode, Preferences

__all__ = ["HttpLogExporter", "HttpMetricExporter", "HttpSpanExporter"]


class HttpSpanExporter(OTLPHttpExporter):
    """OTLP over HTTP: the stock exporter with an encoder of its own."""

    def __init__(self, encode: Encode) -> None:
        super().__init__()
        self._encode = encode

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch. Blocks, at most for the exporter's time-out."""
        if self._shutdown or not self._client.export(self._encode(spans)).success:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


class HttpMetricExporter(OTLPHttpMetricExporter):
    """OTLP over HTTP for metrics: the stock exporter, and `send` for requests that are already encoded."""

    def __init__(self) -> None:
        super().__init__(max_export_batch_size=POINTS_PER_REQUEST)

    @property
    def preferences(self) -> Preferences:
        """What this exporter asks of the SDK."""
        return Preferences(self._preferred_temporality, self._preferred_aggregation)

    def send(self, request: bytes) -> bool:
        """Send an ExportMetricsServiceRequest and return whether it arrived. Blocks, at most for the time-out."""
        return not self._shutdown and self._client.export(request).success
