"""The stock OTLP exporters, made to send requests that are already encoded.

They own the transport: endpoints, headers, TLS, compression and retries, by the `OTEL_*` variables. Passing them bytes
needs members that they do not promise to keep. No other module uses those members;
`tests/unit/telemetry/test_private_reaches.py` names the versions this holds for.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import grpc
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as OTLPGrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OTLPGrpcExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as OTLPHttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OTLPHttpExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExportResult
from opentelemetry.sdk.metrics.view import Aggregation
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

__all__ = [
    "POINTS_PER_REQUEST",
    "GrpcLogExporter",
    "GrpcMetricExporter",
    "GrpcSpanExporter",
    "HttpLogExporter",
    "HttpMetricExporter",
    "HttpSpanExporter",
    "Preferences",
]

POINTS_PER_REQUEST = 2000
"""Metric points in one request: gRPC receivers accept 4 MiB by default."""

Encode = Callable[[Sequence[ReadableSpan]], bytes]
"""Returns an ExportTraceServiceRequest; called on the batch processor's thread."""


class Preferences(NamedTuple):
    """What a metric exporter asks of the SDK, by instrument class."""

    temporality: dict[type, AggregationTemporality] | None
    aggregation: dict[type, Aggregation] | None


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


class _BytesStub:
    """A client of a collector service whose requests may already be bytes."""

    def __init__(self, channel: grpc.Channel, service: str, response: Any) -> None:
        self.Export = channel.unary_unary(  # the name that the stock exporter calls
            f"/opentelemetry.proto.collector.{service}/Export",
            request_serializer=_serialized,
            response_deserializer=response.FromString,
        )


def _serialized(request: Any) -> bytes:
    return request if isinstance(request, bytes) else bytes(request.SerializeToString())


class GrpcSpanExporter(OTLPGrpcExporter):
    """OTLP over gRPC: the stock exporter with an encoder of its own."""

    def __init__(self, encode: Encode) -> None:
        super().__init__()
        self._encode = encode
        service, response = "trace.v1.TraceService", ExportTraceServiceResponse
        self._stub: Any = lambda channel: _BytesStub(channel, service, response)
        self._initialize_channel_and_stub()  # type: ignore[no-untyped-call]

    def _translate_data(self, data: Sequence[ReadableSpan]) -> Any:
        return self._encode(data)


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


class GrpcMetricExporter(OTLPGrpcMetricExporter):
    """The same over gRPC."""

    def __init__(self) -> None:
        super().__init__(max_export_batch_size=POINTS_PER_REQUEST)
        service, response = "metrics.v1.MetricsService", ExportMetricsServiceResponse
        self._stub: Any = lambda channel: _BytesStub(channel, service, response)
        self._initialize_channel_and_stub()  # type: ignore[no-untyped-call]

    @property
    def preferences(self) -> Preferences:
        """What this exporter asks of the SDK."""
        return Preferences(self._preferred_temporality, self._preferred_aggregation)

    def send(self, request: bytes) -> bool:
        """Send an ExportMetricsServiceRequest and return whether it arrived. Blocks, at most for the time-out."""
        return self._export(request) is MetricExportResult.SUCCESS  # type: ignore[arg-type]

    def _translate_data(self, data: Any) -> Any:
        return data if type(data) is bytes else super()._translate_data(data)

    def _count_data(self, data: Any) -> int:
        return 0 if type(data) is bytes else int(super()._count_data(data))
