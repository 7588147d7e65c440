"""The stock OTLP exporters over gRPC, made to send requests that are already encoded.

They own the transport: endpoints, headers, TLS, compression and retries, by the `OTEL_*` variables. Passing them bytes
needs members that they do not promise to keep. Only this module and `http_private` use such members;
`tests/unit/telemetry/test_private_reaches.py` names the versions this holds for.
"""

from collections.abc import Sequence
from typing import Any

import grpc
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as OTLPGrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as OTLPGrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OTLPGrpcExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace import ReadableSpan

from wattspan.telemetry.otlp.requests import POINTS_PER_REQUEST, Encode, Preferences

__all__ = ["GrpcLogExporter", "GrpcMetricExporter", "GrpcSpanExporter"]


CHANNEL_OPTIONS: Any = (("grpc.max_receive_message_length", 65_536),)
"""What is read of an answer, in bytes, also after decompression. Only its status is used."""


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


class GrpcLogExporter(OTLPGrpcLogExporter):
    """OTLP over gRPC for logs: the stock exporter."""

    def __init__(self, timeout_s: float | None = None) -> None:
        super().__init__(channel_options=CHANNEL_OPTIONS, timeout=timeout_s)


class GrpcSpanExporter(OTLPGrpcExporter):
    """OTLP over gRPC: the stock exporter with an encoder of its own."""

    def __init__(self, encode: Encode, timeout_s: float | None = None) -> None:
        super().__init__(channel_options=CHANNEL_OPTIONS, timeout=timeout_s)
        self._encode = encode
        service, response = "trace.v1.TraceService", ExportTraceServiceResponse
        self._stub: Any = lambda channel: _BytesStub(channel, service, response)
        self._initialize_channel_and_stub()  # type: ignore[no-untyped-call]

    def _translate_data(self, data: Sequence[ReadableSpan]) -> Any:
        return self._encode(data)


class GrpcMetricExporter(OTLPGrpcMetricExporter):
    """OTLP over gRPC for metrics: the stock exporter, and `send` for requests that are already encoded."""

    def __init__(self, timeout_s: float | None = None) -> None:
        super().__init__(max_export_batch_size=POINTS_PER_REQUEST, channel_options=CHANNEL_OPTIONS, timeout=timeout_s)
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
