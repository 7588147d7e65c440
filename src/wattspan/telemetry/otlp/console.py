"""Console exporters (`OTEL_*_EXPORTER=console`): each batch as JSON on standard output, for looking at telemetry."""

import sys
from typing import TextIO

from google.protobuf.json_format import MessageToJson
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.trace.export import ConsoleSpanExporter

from wattspan.telemetry.otlp.requests import Preferences
from wattspan.telemetry.sdk_private import ConsoleLogRecordExporter

__all__ = ["ConsoleLogRecordExporter", "ConsoleMetricSender", "ConsoleSpanExporter"]


class ConsoleMetricSender:
    """Writes metric requests as JSON; a `fleet_metrics.Sender`."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout

    @property
    def preferences(self) -> Preferences:
        """Nothing is asked of the SDK."""
        return Preferences(None, None)

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000) -> MetricExportResult:
        """Write what the SDK collected."""
        self._write(encode_metrics(metrics_data))
        return MetricExportResult.SUCCESS

    def send(self, request: bytes) -> bool:
        """Write an ExportMetricsServiceRequest."""
        self._write(ExportMetricsServiceRequest.FromString(request))
        return True

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Do nothing."""

    def _write(self, request: ExportMetricsServiceRequest) -> None:
        self._out.write(MessageToJson(request, indent=None) + "\n")
        self._out.flush()
