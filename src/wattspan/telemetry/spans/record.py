"""The span of one message as a slotted record (docs/adr/0012-founding-decisions.md#12).

It is a ReadableSpan, so the SDK's processors and exporters accept it, and our own exporter (`otlp`) encodes it straight
to protobuf. It knows nothing of bytes or exporters. Spans are created and ended on the event loop's thread; after its
end a span may be read on any thread.
"""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import getrandbits
from typing import Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, SpanProcessor
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode
from opentelemetry.util.types import AnyValue
from opentelemetry.util.types import Attributes as OtelAttributes

from wattspan.domain.model import Transaction
from wattspan.telemetry import catalogue
from wattspan.telemetry.connection import UNKNOWN_CONNECTION, ConnectionAttributes, rpc_method
from wattspan.telemetry.recorder import Attributes, AttributeValue
from wattspan.telemetry.sessions import link_to

SAMPLED = TraceFlags(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)
NOT_SAMPLED = TraceFlags(TraceFlags.RANDOM_TRACE_ID)
FIXED_ATTRIBUTES = 20
"""Attributes of a message span that are not extras, at most."""
_UNSET, _ERROR = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


@dataclass(frozen=True, slots=True, eq=False)
class SpanScope:
    """What all message spans of one central system share. `processor` receives each span that has ended."""

    resource: Resource
    scope: InstrumentationScope
    processor: SpanProcessor
    limits: SpanLimits = field(default_factory=SpanLimits)


class Source:
    """What all spans of one charge point, action and direction share. The exporter caches their bytes in `prefix`."""

    __slots__ = ("action", "cp_id", "kind", "prefix", "span_scope")

    def __init__(self, span_scope: SpanScope, cp_id: str, action: str, kind: SpanKind) -> None:
        self.span_scope = span_scope
        self.cp_id = cp_id
        self.action = action
        self.kind = kind
        self.prefix: bytes | None = None


class SpanExtras:
    """What few spans have: set by the handler, by a sampler, or by code that runs while the span is current.

    Bounded by the limits of spans: of attributes, events and links the oldest are dropped and counted.
    """

    __slots__ = ("attributes", "events", "links", "name", "parent", "status")

    def __init__(self, limits: SpanLimits) -> None:
        maximum = limits.max_span_attributes
        self.attributes = BoundedAttributes(
            None if maximum is None else max(0, maximum - FIXED_ATTRIBUTES), immutable=False
        )
        self.events: Any = BoundedList(limits.max_events)
        self.links: Any = BoundedList(limits.max_links)
        self.name: str | None = None
        self.status = _UNSET
        self.parent: SpanContext | None = None


class HotSpan(ReadableSpan, trace.Span):
    """The span of one message. `extras` is None for nearly all of them."""

    __slots__ = (
        "_context",
        "action",
        "connection",
        "connector_id",
        "cp_id",
        "description",
        "end_ns",
        "error",
        "extras",
        "forced",
        "message_id",
        "recording",
        "request_size",
        "response_size",
        "sampled",
        "session",
        "session_span_id",
        "source",
        "span_id",
        "start_ns",
        "store_wait_s",
        "trace_id",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - by place, because keywords cost more
        self,
        source: Source,
        trace_id: int,
        start_ns: int,
        recording: bool,
        sampled: bool,
        connection: ConnectionAttributes = UNKNOWN_CONNECTION,
        message_id: str | int = "",
        size: int = 0,
    ) -> None:
        self.source = source
        self.connection = connection
        self.message_id = message_id
        self.request_size = size
        self.cp_id = source.cp_id
        self.action = source.action
        self.trace_id = trace_id
        self.span_id = getrandbits(64) or 1
        self.start_ns = start_ns
        self.end_ns = 0
        self.recording = recording
        self.sampled = sampled
        self.extras: SpanExtras | None = None
        self._context: SpanContext | None = None
        # Set by `finish`.
        self.connector_id: str | None
        self.session: Transaction | None
        self.session_span_id: int
        self.error: str | None
        self.store_wait_s: float
        self.forced: bool
        self.response_size: int
        self.description: str | None

    # The port `recorder.MessageSpan`.

    @property
    def otel(self) -> trace.Span:
        return self

    def set(self, key: str, value: AttributeValue) -> None:
        self.set_attribute(key, value)

    def event(self, name: str, attributes: Attributes, at_ns: int | None = None) -> None:
        self.add_event(name, attributes, at_ns)

    def finish(  # noqa: PLR0913
        self,
        end_ns: int,
        *,
        connector_id: str | None,
        session: Transaction | None,
        error: str | None,
        store_wait_s: float,
        forced: bool,
        response_size: int = 0,
        description: str | None = None,
    ) -> None:
        self.end_ns = end_ns
        self.connector_id = connector_id
        self.session = session
        # Kept, because the session gets another span if it is opened again before this one is exported.
        self.session_span_id = 0 if session is None else session.span_id
        self.error = error
        self.store_wait_s = store_wait_s
        self.forced = forced
        self.response_size = response_size
        self.description = description
        if self.recording:
            self.source.span_scope.processor.on_end(self)

    # The API's Span, for code that runs while it is current.

    def get_span_context(self) -> SpanContext:
        context = self._context
        if context is None:
            state = None if self.parent is None else self.parent.trace_state
            context = SpanContext(self.trace_id, self.span_id, False, SAMPLED if self.sampled else NOT_SAMPLED, state)
            self._context = context
        return context

    def is_recording(self) -> bool:
        return self.recording and not self.end_ns

    def _open(self) -> SpanExtras | None:
        if not self.is_recording():
            return None
        if self.extras is None:
            self.extras = SpanExtras(self.source.span_scope.limits)
        return self.extras

    def set_attribute(self, key: str, value: AnyValue) -> None:
        if (extras := self._open()) is not None:
            extras.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        if (extras := self._open()) is not None:
            extras.attributes.update(attributes)

    def add_event(self, name: str, attributes: OtelAttributes = None, timestamp: int | None = None) -> None:
        if (extras := self._open()) is not None:
            limit = self.source.span_scope.limits.max_event_attributes
            extras.events.append(Event(name, BoundedAttributes(limit, attributes or {}), timestamp, limit))

    def add_link(self, context: SpanContext, attributes: OtelAttributes = None) -> None:
        if (extras := self._open()) is not None:
            limit = self.source.span_scope.limits.max_link_attributes
            extras.links.append(Link(context, BoundedAttributes(limit, attributes or {})))

    def update_name(self, name: str) -> None:
        if (extras := self._open()) is not None:
            extras.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if (extras := self._open()) is not None:
            extras.status = status if isinstance(status, Status) else Status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: OtelAttributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        kind = type(exception)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        description = {
            "exception.type": f"{module}{kind.__qualname__}",
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**description, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """Do nothing: only the recorder ends the span of a message."""

    # The SDK's ReadableSpan, for exporters.

    @property
    def context(self) -> SpanContext:
        return self.get_span_context()

    @property
    def name(self) -> str:
        return self.source.action if self.extras is None or self.extras.name is None else self.extras.name

    @property
    def kind(self) -> SpanKind:
        return self.source.kind

    @property
    def parent(self) -> SpanContext | None:
        return None if self.extras is None else self.extras.parent

    @property
    def start_time(self) -> int:
        return self.start_ns

    @property
    def end_time(self) -> int | None:
        return self.end_ns or None

    @property
    def status(self) -> Status:
        if self.end_ns and self.error is not None:
            return Status(StatusCode.ERROR, self.description) if self.description else _ERROR
        return _UNSET if self.extras is None else self.extras.status

    @property
    def attributes(self) -> Mapping[str, AnyValue]:
        return dict(self._attributes_in_order())

    def _attributes_in_order(self) -> Iterator[tuple[str, AnyValue]]:
        yield catalogue.CP_ID, self.source.cp_id
        yield catalogue.OCPP_ACTION, self.source.action
        yield catalogue.RPC_SYSTEM, catalogue.RPC
        yield catalogue.RPC_METHOD, rpc_method(self.source.action)
        yield from self.connection.fields.items()
        if self.message_id != "":
            yield catalogue.OCPP_MESSAGE_ID, str(self.message_id)
        if self.request_size:
            yield catalogue.OCPP_REQUEST_SIZE, self.request_size
        if self.extras is not None:
            yield from self.extras.attributes.items()
        if self.end_ns:
            yield from self._attributes_of_answer()

    def _attributes_of_answer(self) -> Iterator[tuple[str, AnyValue]]:
        if self.connector_id is not None:
            yield catalogue.CONNECTOR_ID, self.connector_id
        if self.session is not None:
            yield catalogue.OCPP_TRANSACTION_ID, self.session.transaction_id
        if self.error is not None:
            yield catalogue.FAILURE, self.error
            if self.description is not None:
                yield catalogue.RPC_STATUS, self.error
                yield catalogue.OCPP_ERROR_DESCRIPTION, self.description
        if self.response_size:
            yield catalogue.OCPP_RESPONSE_SIZE, self.response_size
        if self.store_wait_s > 0.0:
            yield catalogue.OCPP_STORE_WAIT, self.store_wait_s
        if self.forced:
            yield catalogue.FORCE_SAMPLE, True

    @property
    def events(self) -> Sequence[Event]:
        return () if self.extras is None else tuple(self.extras.events)

    @property
    def links(self) -> Sequence[Link]:
        links = () if self.extras is None else self.extras.links
        if not self.end_ns or self.session is None:
            return tuple(links)
        return (*links, Link(link_to(self.session, self.session_span_id)))

    @property
    def resource(self) -> Resource:
        return self.source.span_scope.resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        return self.source.span_scope.scope

    @property
    def dropped_attributes(self) -> int:
        return 0 if self.extras is None else self.extras.attributes.dropped

    @property
    def dropped_events(self) -> int:
        return 0 if self.extras is None else self.extras.events.dropped

    @property
    def dropped_links(self) -> int:
        return 0 if self.extras is None else self.extras.links.dropped

    def to_json(self, indent: int | None = 4) -> str:
        copy = ReadableSpan(
            self.name,
            self.context,
            self.parent,
            self.resource,
            self.attributes,
            self.events,
            self.links,
            self.kind,
            status=self.status,
            start_time=self.start_ns,
            end_time=self.end_time,
        )
        return str(copy.to_json(indent))


class ChildSpan(HotSpan):
    """A part of the message of another span of this process."""

    __slots__ = ("parent_id",)

    def __init__(self, source: Source, parent: HotSpan, start_ns: int) -> None:
        super().__init__(source, parent.trace_id, start_ns, parent.recording, parent.sampled)
        self.parent_id = parent.span_id

    @property
    def parent(self) -> SpanContext | None:
        return SpanContext(self.trace_id, self.parent_id, False, SAMPLED if self.sampled else NOT_SAMPLED)
