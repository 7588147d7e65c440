"""OTLP's exporters, and message spans written straight to protobuf.

Transport (endpoints, headers, TLS, compression, retries, by the `OTEL_*` variables) is the stock exporters'. It must
not know what a message is. Encoding happens on the batch processor's thread, from bytes kept for each charge point and
action. Protobuf messages merge by concatenation: our spans' bytes, then the stock encoder's, are one request.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import grpc
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as OTLPGrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OTLPGrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as OTLPHttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OTLPHttpExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext

from wattspan.telemetry import catalogue
from wattspan.telemetry.otlp.protobuf import Text, framed, varint
from wattspan.telemetry.spans.record import HotSpan, Source, SpanScope

# Field keys of opentelemetry.proto.trace.v1: number << 3 | wire type.
_HEAD = struct.Struct("<2s16s2s8s")  # trace_id, span_id
_TIMES = struct.Struct("<BQBQ")  # start_time_unix_nano, end_time_unix_nano
_LINK = struct.Struct("<BB2s16s2s8sBI")  # Span.links: trace_id, span_id, flags
_DOUBLE = struct.Struct("<d")
_TRACE_ID, _SPAN_ID = b"\x0a\x10", b"\x12\x08"
_START, _END = 0x39, 0x41
_LINKS, _LINK_SIZE, _LINK_FLAGS = 0x6A, 33, 0x35
_IS_LOCAL = 0x100  # SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK: known not to be remote
_TAIL = b"\x7a\x00\x85\x01" + struct.pack("<I", _IS_LOCAL)  # status unset, flags
_TAIL_ERROR = b"\x7a\x02\x18\x02\x85\x01" + struct.pack("<I", _IS_LOCAL)
_SPANS = b"\x12"  # ScopeSpans.spans
_ATTRIBUTES = b"\x4a"
_CONNECTORS_KEPT = 1024

POINTS_PER_REQUEST = 2000
"""Metric points in a request: gRPC's receivers take 4 MiB as they come."""


def _text(key: str) -> Text:
    return Text(_ATTRIBUTES, key)


_CP_ID, _ACTION = _text(catalogue.CP_ID), _text(catalogue.OCPP_ACTION)
_CONNECTOR_ID, _TRANSACTION_ID = _text(catalogue.CONNECTOR_ID), _text(catalogue.OCPP_TRANSACTION_ID)
_FAILURE = _text(catalogue.FAILURE)
_FORCED = framed(_ATTRIBUTES, KeyValue(key=catalogue.FORCE_SAMPLE, value=AnyValue(bool_value=True)).SerializeToString())
_WAIT = framed(
    _ATTRIBUTES, KeyValue(key=catalogue.OCPP_STORE_WAIT, value=AnyValue(double_value=0.5)).SerializeToString()
)
_WAIT_HEAD = _WAIT[: -_DOUBLE.size]


def _known_prefix(source: Source) -> bytes:
    """What all spans of a source share: name, kind, first attributes."""
    kind = b"\x30" + varint(source.kind.value + 1)
    name = framed(b"\x2a", source.action.encode(errors="replace"))
    source.prefix = name + kind + _CP_ID(source.cp_id) + _ACTION(source.action)
    return source.prefix


class Encoder:
    """Makes OTLP requests. One instance for each exporter, on its thread."""

    def __init__(self) -> None:
        self._connectors: dict[str, bytes] = {}
        self._envelopes: dict[SpanScope, tuple[bytes, bytes]] = {}

    def request(self, spans: Iterable[ReadableSpan]) -> bytes:
        """An ExportTraceServiceRequest of these spans."""
        ours: dict[SpanScope, list[bytes]] = {}
        others: list[ReadableSpan] = []
        for span in spans:
            if type(span) is HotSpan and span.more is None:
                origin = span.source.origin
                if origin not in ours:
                    ours[origin] = []
                ours[origin].append(self._span(span))
            else:
                others.append(span)
        parts = [self._group(origin, written) for origin, written in ours.items()]
        if others:
            parts.append(encode_spans(others).SerializePartialToString())
        return b"".join(parts)

    def _span(self, span: HotSpan) -> bytes:
        source, session = span.source, span.session
        parts = [
            _HEAD.pack(_TRACE_ID, span.trace_id.to_bytes(16), _SPAN_ID, span.span_id.to_bytes(8)),
            source.prefix or _known_prefix(source),
            _TIMES.pack(_START, span.start_ns, _END, span.end_ns),
        ]
        if span.connector_id is not None:
            parts.append(self._connectors.get(span.connector_id) or self._connector(span.connector_id))
        if span.store_wait_s > 0.0:
            parts.append(_WAIT_HEAD + _DOUBLE.pack(span.store_wait_s))
        if span.forced:
            parts.append(_FORCED)
        if span.error is not None:
            parts.append(_FAILURE(span.error))
        if session is not None:
            parts.append(_TRANSACTION_ID(session.transaction_id))
            trace_id, span_id = session.trace_id.to_bytes(16), session.span_id.to_bytes(8)
            parts.append(_LINK.pack(_LINKS, _LINK_SIZE, _TRACE_ID, trace_id, _SPAN_ID, span_id, _LINK_FLAGS, _IS_LOCAL))
        parts.append(_TAIL if span.error is None else _TAIL_ERROR)
        return framed(_SPANS, b"".join(parts))

    def _connector(self, connector_id: str) -> bytes:
        """Kept, up to a limit: a charger may send any number."""
        made = _CONNECTOR_ID(connector_id)
        if len(self._connectors) < _CONNECTORS_KEPT:
            self._connectors[connector_id] = made
        return made

    def _group(self, origin: SpanScope, written: list[bytes]) -> bytes:
        """A ResourceSpans of one resource and scope: the stock encoder's own envelope around our spans."""
        if origin not in self._envelopes:
            self._envelopes[origin] = _envelope(origin)
        resource, scope = self._envelopes[origin]
        return framed(b"\x0a", resource + framed(b"\x12", scope + b"".join(written)))


def _envelope(origin: SpanScope) -> tuple[bytes, bytes]:
    """The stock encoder's ResourceSpans without ScopeSpans, and its ScopeSpans without spans."""
    anything = SpanContext(1, 1, is_remote=False)
    sample = ReadableSpan("", anything, resource=origin.resource, instrumentation_scope=origin.scope)
    (resource_spans,) = encode_spans([sample]).resource_spans
    (scope_spans,) = resource_spans.scope_spans
    del scope_spans.spans[:]
    scope = scope_spans.SerializeToString()
    del resource_spans.scope_spans[:]
    return resource_spans.SerializeToString(), scope


class HttpSpanExporter(OTLPHttpExporter):
    """OTLP/HTTP with protobuf: the stock exporter, given ready bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._encoder = Encoder()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch. Blocks, up to the exporter's time-out."""
        if self._shutdown or not self._client.export(self._encoder.request(spans)).success:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


class _ReadyStub:
    """A client of a collector service whose requests may be bytes already."""

    def __init__(self, channel: grpc.Channel, service: str, response: Any) -> None:
        self.Export = channel.unary_unary(  # the stock exporter calls it so
            f"/opentelemetry.proto.collector.{service}/Export",
            request_serializer=_written,
            response_deserializer=response.FromString,
        )


def _written(request: Any) -> bytes:
    return request if isinstance(request, bytes) else bytes(request.SerializeToString())


class GrpcSpanExporter(OTLPGrpcExporter):
    """OTLP/gRPC: the stock exporter, given ready bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._encoder = Encoder()
        service, response = "trace.v1.TraceService", ExportTraceServiceResponse
        self._stub: Any = lambda channel: _ReadyStub(channel, service, response)
        self._initialize_channel_and_stub()  # type: ignore[no-untyped-call]

    def _translate_data(self, data: Sequence[ReadableSpan]) -> Any:
        return self._encoder.request(data)


class HttpMetricExporter(OTLPHttpMetricExporter):
    """OTLP/HTTP for metrics: the stock exporter, and `send` for those that are written already."""

    def send(self, request: bytes) -> bool:
        """Send a whole ExportMetricsServiceRequest; False: it did not get there. Blocks, up to the time-out."""
        return not self._shutdown and self._client.export(request).success


class GrpcMetricExporter(OTLPGrpcMetricExporter):
    """The same by gRPC."""

    def __init__(self) -> None:
        super().__init__(max_export_batch_size=POINTS_PER_REQUEST)
        service, response = "metrics.v1.MetricsService", ExportMetricsServiceResponse
        self._stub: Any = lambda channel: _ReadyStub(channel, service, response)
        self._initialize_channel_and_stub()  # type: ignore[no-untyped-call]

    def send(self, request: bytes) -> bool:
        """Send a whole ExportMetricsServiceRequest; False: it did not get there. Blocks, up to the time-out."""
        return self._export(request) is MetricExportResult.SUCCESS  # type: ignore[arg-type]

    def _translate_data(self, data: Any) -> Any:
        return data if type(data) is bytes else super()._translate_data(data)

    def _count_data(self, data: Any) -> int:
        return 0 if type(data) is bytes else int(super()._count_data(data))
