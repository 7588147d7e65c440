"""Encodes message spans straight to protobuf. It owns the bytes of a trace request and no transport.

Encoding happens on the batch processor's thread, from bytes that are kept for each charge point and action. Protobuf
messages merge by concatenation: the bytes of our spans followed by those of the stock encoder are one request.
"""

import struct
from collections.abc import Iterable

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from wattspan.telemetry import catalogue
from wattspan.telemetry.connection import ConnectionAttributes, rpc_method
from wattspan.telemetry.otlp.protobuf import Text, framed, varint
from wattspan.telemetry.spans.record import ChildSpan, HotSpan, Source, SpanScope

# Field keys of opentelemetry.proto.trace.v1: number << 3 | wire type.
_HEAD = struct.Struct("<2s16s2s8s")  # trace_id, span_id
_TIMES = struct.Struct("<BQBQ")  # start_time_unix_nano, end_time_unix_nano
_LINK = struct.Struct("<BB2s16s2s8sBI")  # Span.links: trace_id, span_id, flags
_DOUBLE = struct.Struct("<d")
_TRACE_ID, _SPAN_ID = b"\x0a\x10", b"\x12\x08"
_PARENT = b"\x22\x08"
_MESSAGE_SPANS = frozenset({HotSpan, ChildSpan})
_START, _END = 0x39, 0x41
_LINKS, _LINK_SIZE, _LINK_FLAGS = 0x6A, 33, 0x35
_IS_LOCAL = 0x100  # SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK without IS_REMOTE: the parent is known to be local
_TAIL = b"\x7a\x00\x85\x01" + struct.pack("<I", _IS_LOCAL)  # status unset, flags
_FLAGS = b"\x85\x01" + struct.pack("<I", _IS_LOCAL)
_TAIL_ERROR = b"\x7a\x02\x18\x02\x85\x01" + struct.pack("<I", _IS_LOCAL)
_SPANS = b"\x12"  # ScopeSpans.spans
_ATTRIBUTES = b"\x4a"
_MAX_CONNECTORS = 1024
_MAX_SIZES = 4096
_MAX_TRANSACTIONS = 20_000


def _text(key: str) -> Text:
    return Text(_ATTRIBUTES, key)


_CP_ID, _ACTION = _text(catalogue.CP_ID), _text(catalogue.OCPP_ACTION)
_CONNECTOR_ID, _TRANSACTION_ID = _text(catalogue.CONNECTOR_ID), _text(catalogue.OCPP_TRANSACTION_ID)
_FAILURE = _text(catalogue.FAILURE)
_RPC_METHOD, _RPC_STATUS = _text(catalogue.RPC_METHOD), _text(catalogue.RPC_STATUS)
_RPC_SYSTEM = _text(catalogue.RPC_SYSTEM)(catalogue.RPC)
_MESSAGE_ID, _DESCRIPTION = _text(catalogue.OCPP_MESSAGE_ID), _text(catalogue.OCPP_ERROR_DESCRIPTION)
_FORCED = framed(_ATTRIBUTES, KeyValue(key=catalogue.FORCE_SAMPLE, value=AnyValue(bool_value=True)).SerializeToString())
_WAIT = framed(
    _ATTRIBUTES, KeyValue(key=catalogue.OCPP_STORE_WAIT, value=AnyValue(double_value=0.5)).SerializeToString()
)
_WAIT_HEAD = _WAIT[: -_DOUBLE.size]


def _make_prefix(source: Source) -> bytes:
    """Return the bytes that all spans of a source share (name, kind, first attributes), and keep them there."""
    kind = b"\x30" + varint(source.kind.value + 1)
    name = framed(b"\x2a", source.action.encode(errors="replace"))
    method = _RPC_METHOD(rpc_method(source.action))
    source.prefix = name + kind + _CP_ID(source.cp_id) + _ACTION(source.action) + _RPC_SYSTEM + method
    return source.prefix


def _number(key: str, value: int) -> bytes:
    return framed(_ATTRIBUTES, KeyValue(key=key, value=AnyValue(int_value=value)).SerializeToString())


def _encode_connection(connection: ConnectionAttributes) -> bytes:
    """Return the bytes that all spans of a connection share, and keep them there."""
    connection.encoded = b"".join(
        framed(_ATTRIBUTES, KeyValue(key=key, value=_any_value(value)).SerializeToString())
        for key, value in connection.fields.items()
    )
    return connection.encoded


def _any_value(value: str | float | bool) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value.encode(errors="replace").decode())
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(double_value=value)


def _id_head(length: int) -> bytes:
    """Return the bytes before a message id of `length` bytes of UTF-8."""
    return _MESSAGE_ID("x" * length)[: -length or None]


_IDS = 64
_ID_HEADS = [_id_head(length) for length in range(_IDS)]


class Encoder:
    """Encodes trace requests. One instance for each exporter, used on its thread alone."""

    def __init__(self) -> None:
        self._connectors: dict[str, bytes] = {}
        self._envelopes: dict[SpanScope, tuple[bytes, bytes]] = {}
        self._sizes: dict[tuple[int, int], bytes] = {}
        self._transactions: dict[str, bytes] = {}

    def request(self, spans: Iterable[ReadableSpan]) -> bytes:
        """Return an ExportTraceServiceRequest of these spans."""
        by_scope: dict[SpanScope, list[bytes]] = {}
        others: list[ReadableSpan] = []
        for span in spans:
            if type(span) in _MESSAGE_SPANS and span.extras is None:  # type: ignore[attr-defined]
                assert isinstance(span, HotSpan)  # noqa: S101
                span_scope = span.source.span_scope
                if span_scope not in by_scope:
                    by_scope[span_scope] = []
                by_scope[span_scope].append(self._span(span))
            else:
                others.append(span)
        parts = [self._group(span_scope, written) for span_scope, written in by_scope.items()]
        if others:
            parts.append(encode_spans(others).SerializePartialToString())
        return b"".join(parts)

    def _span(self, span: HotSpan) -> bytes:
        source, session = span.source, span.session
        connection = span.connection
        sizes, message_id = (span.request_size, span.response_size), span.message_id
        parts = [
            _HEAD.pack(_TRACE_ID, span.trace_id.to_bytes(16), _SPAN_ID, span.span_id.to_bytes(8)),
            source.prefix or _make_prefix(source),
            _TIMES.pack(_START, span.start_ns, _END, span.end_ns),
            _encode_connection(connection) if connection.encoded is None else connection.encoded,
            self._sizes[sizes] if sizes in self._sizes else self._encode_sizes(*sizes),
        ]
        if message_id != "":
            encoded = message_id.encode() if type(message_id) is str else str(message_id).encode()
            parts.append(_ID_HEADS[len(encoded)] if len(encoded) < _IDS else _id_head(len(encoded)))
            parts.append(encoded)
        if type(span) is ChildSpan:
            parts.append(_PARENT + span.parent_id.to_bytes(8))
        if span.connector_id is not None:
            parts.append(self._connectors.get(span.connector_id) or self._connector(span.connector_id))
        if span.store_wait_s > 0.0:
            parts.append(_WAIT_HEAD + _DOUBLE.pack(span.store_wait_s))
        if span.forced:
            parts.append(_FORCED)
        if span.error is not None:
            parts.append(_failure(span.error, span.description))
        if session is not None:
            transaction_id = session.transaction_id
            parts.append(self._transactions.get(transaction_id) or self._transaction(transaction_id))
            trace_id, span_id = session.trace_id.to_bytes(16), span.session_span_id.to_bytes(8)
            parts.append(_LINK.pack(_LINKS, _LINK_SIZE, _TRACE_ID, trace_id, _SPAN_ID, span_id, _LINK_FLAGS, _IS_LOCAL))
        parts.append(_TAIL if span.error is None else _tail_error(span.description))
        return framed(_SPANS, b"".join(parts))

    def _connector(self, connector_id: str) -> bytes:
        """Return the connector's attribute. At most _MAX_CONNECTORS are kept: a charge point may name any number."""
        encoded = _CONNECTOR_ID(connector_id)
        if len(self._connectors) < _MAX_CONNECTORS:
            self._connectors[connector_id] = encoded
        return encoded

    def _transaction(self, transaction_id: str) -> bytes:
        """Return the transaction's attribute, and keep it: most messages are of a session that had some before."""
        if len(self._transactions) >= _MAX_TRANSACTIONS:
            self._transactions.clear()
        encoded = self._transactions[transaction_id] = _TRANSACTION_ID(transaction_id)
        return encoded

    def _encode_sizes(self, request: int, response: int) -> bytes:
        """Return both sizes' attributes, without those that are 0. At most _MAX_SIZES pairs are kept."""
        encoded = _number(catalogue.OCPP_REQUEST_SIZE, request) if request else b""
        if response:
            encoded += _number(catalogue.OCPP_RESPONSE_SIZE, response)
        if len(self._sizes) < _MAX_SIZES:
            self._sizes[request, response] = encoded
        return encoded

    def _group(self, span_scope: SpanScope, written: list[bytes]) -> bytes:
        """Return a ResourceSpans of one resource and scope: our spans in the stock encoder's envelope."""
        if span_scope not in self._envelopes:
            self._envelopes[span_scope] = _envelope(span_scope)
        resource, scope = self._envelopes[span_scope]
        return framed(b"\x0a", resource + framed(b"\x12", scope + b"".join(written)))


def _failure(error: str, description: str | None) -> bytes:
    if description is None:
        return _FAILURE(error)
    return _FAILURE(error) + _RPC_STATUS(error) + _DESCRIPTION(description)


def _tail_error(description: str | None) -> bytes:
    if not description:
        return _TAIL_ERROR
    return framed(b"\x7a", framed(b"\x12", description.encode(errors="replace")) + b"\x18\x02") + _FLAGS


def _envelope(span_scope: SpanScope) -> tuple[bytes, bytes]:
    """Return the stock encoder's ResourceSpans without ScopeSpans, and its ScopeSpans without spans."""
    context = SpanContext(1, 1, is_remote=False)
    sample = ReadableSpan("", context, resource=span_scope.resource, instrumentation_scope=span_scope.scope)
    (resource_spans,) = encode_spans([sample]).resource_spans
    (scope_spans,) = resource_spans.scope_spans
    del scope_spans.spans[:]
    scope = scope_spans.SerializeToString()
    del resource_spans.scope_spans[:]
    return resource_spans.SerializeToString(), scope
