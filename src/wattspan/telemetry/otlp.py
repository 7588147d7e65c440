"""Spans on their way out by OTLP: a bounded queue, and exporters that write message spans straight to protobuf.

Transport (endpoints, headers, TLS, compression, retries, by the `OTEL_*` variables) is the stock exporters'. It must
not know what a message is. Encoding happens on the batch processor's thread, from bytes kept for each charge point and
action. Protobuf messages merge by concatenation: our spans' bytes, then the stock encoder's, are one request.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import grpc
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OTLPGrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OTLPHttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext

from wattspan.telemetry import catalogue
from wattspan.telemetry.backends.record import HotSpan, Origin, Source

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
_CONNECTORS_KEPT = 1024


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004  seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_SHORT = [_varint(size) for size in range(2048)]


def _framed(key: bytes, body: bytes) -> bytes:
    size = len(body)
    return key + (_SHORT[size] if size < len(_SHORT) else _varint(size)) + body


class _Text:
    """Writes one attribute of Span.attributes whose value is text. What no UTF-8 can hold becomes a question mark."""

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        self._key = KeyValue(key=key).SerializeToString()

    def __call__(self, value: str) -> bytes:
        return _framed(b"\x4a", self._key + _framed(b"\x12", _framed(b"\x0a", value.encode(errors="replace"))))


_CP_ID, _ACTION = _Text(catalogue.CP_ID), _Text(catalogue.OCPP_ACTION)
_CONNECTOR_ID, _TRANSACTION_ID = _Text(catalogue.CONNECTOR_ID), _Text(catalogue.OCPP_TRANSACTION_ID)
_FAILURE = _Text(catalogue.FAILURE)
_FORCED = _framed(b"\x4a", KeyValue(key=catalogue.FORCE_SAMPLE, value=AnyValue(bool_value=True)).SerializeToString())
_WAIT = _framed(b"\x4a", KeyValue(key=catalogue.OCPP_STORE_WAIT, value=AnyValue(double_value=0.5)).SerializeToString())
_WAIT_HEAD = _WAIT[: -_DOUBLE.size]


def _known_prefix(source: Source) -> bytes:
    """What all spans of a source share: name, kind, first attributes."""
    kind = b"\x30" + _varint(source.kind.value + 1)
    name = _framed(b"\x2a", source.action.encode(errors="replace"))
    source.prefix = name + kind + _CP_ID(source.cp_id) + _ACTION(source.action)
    return source.prefix


class Encoder:
    """Makes OTLP requests. One instance for each exporter, on its thread."""

    def __init__(self) -> None:
        self._connectors: dict[str, bytes] = {}
        self._envelopes: dict[Origin, tuple[bytes, bytes]] = {}

    def request(self, spans: Iterable[ReadableSpan]) -> bytes:
        """An ExportTraceServiceRequest of these spans."""
        ours: dict[Origin, list[bytes]] = {}
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
        return _framed(_SPANS, b"".join(parts))

    def _connector(self, connector_id: str) -> bytes:
        """Kept, up to a limit: a charger may send any number."""
        made = _CONNECTOR_ID(connector_id)
        if len(self._connectors) < _CONNECTORS_KEPT:
            self._connectors[connector_id] = made
        return made

    def _group(self, origin: Origin, written: list[bytes]) -> bytes:
        """A ResourceSpans of one resource and scope: the stock encoder's own envelope around our spans."""
        if origin not in self._envelopes:
            self._envelopes[origin] = _envelope(origin)
        resource, scope = self._envelopes[origin]
        return _framed(b"\x0a", resource + _framed(b"\x12", scope + b"".join(written)))


def _envelope(origin: Origin) -> tuple[bytes, bytes]:
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
    """A TraceService client whose requests are bytes already."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.Export = channel.unary_unary(  # the stock exporter calls it so
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            request_serializer=bytes,
            response_deserializer=ExportTraceServiceResponse.FromString,
        )


class GrpcSpanExporter(OTLPGrpcExporter):
    """OTLP/gRPC: the stock exporter, given ready bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._encoder = Encoder()
        self._stub: Any = _ReadyStub
        self._initialize_channel_and_stub()  # type: ignore[no-untyped-call]

    def _translate_data(self, data: Sequence[ReadableSpan]) -> Any:
        return self._encoder.request(data)
