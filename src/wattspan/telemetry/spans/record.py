"""A message's span as a record of a few stores (design decision 12).

It *is a* ReadableSpan: the SDK's processors and exporters take it like any other, and our own exporter (`otlp`) writes
it straight to protobuf. It must not know bytes, nor who exports. Made and ended on the event loop's thread; a span that
has ended may be read on any.
"""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import getrandbits

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode
from opentelemetry.util.types import AnyValue
from opentelemetry.util.types import Attributes as OtelAttributes

from wattspan.domain.model import Transaction
from wattspan.telemetry import catalogue
from wattspan.telemetry.recorder import Attributes, AttributeValue
from wattspan.telemetry.sessions import link_to

KEPT = TraceFlags(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)
NOT_KEPT = TraceFlags(TraceFlags.RANDOM_TRACE_ID)
_UNSET, _ERROR = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


@dataclass(frozen=True, slots=True, eq=False)
class SpanScope:
    """What all message spans of one central system share. `processor` gets each that ended."""

    resource: Resource
    scope: InstrumentationScope
    processor: SpanProcessor


class Source:
    """What all spans of one charge point, action and direction share. The exporter keeps `prefix` here."""

    __slots__ = ("action", "cp_id", "kind", "origin", "prefix")

    def __init__(self, origin: SpanScope, cp_id: str, action: str, kind: SpanKind) -> None:
        self.origin = origin
        self.cp_id = cp_id
        self.action = action
        self.kind = kind
        self.prefix: bytes | None = None


@dataclass(slots=True)
class SpanExtras:
    """What few spans have: said by the handler, a sampler, or by whoever finds the span current."""

    attributes: dict[str, AnyValue] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    name: str | None = None
    status: Status = _UNSET
    parent: SpanContext | None = None


class HotSpan(ReadableSpan, trace.Span):
    """One message's span. `more` is None for nearly all of them."""

    __slots__ = (
        "_context",
        "action",
        "connector_id",
        "cp_id",
        "end_ns",
        "error",
        "forced",
        "more",
        "recording",
        "sampled",
        "session",
        "source",
        "span_id",
        "start_ns",
        "store_wait_s",
        "trace_id",
    )

    def __init__(self, source: Source, trace_id: int, start_ns: int, *, recording: bool, sampled: bool) -> None:
        self.source = source
        self.cp_id = source.cp_id
        self.action = source.action
        self.trace_id = trace_id
        self.span_id = getrandbits(64) or 1
        self.start_ns = start_ns
        self.end_ns = 0
        self.recording = recording
        self.sampled = sampled
        self.more: SpanExtras | None = None
        self._context: SpanContext | None = None
        # The rest comes with the end.
        self.connector_id: str | None
        self.session: Transaction | None
        self.error: str | None
        self.store_wait_s: float
        self.forced: bool

    # for the recorder

    @property
    def otel(self) -> trace.Span:
        return self

    def set(self, key: str, value: AttributeValue) -> None:
        self.set_attribute(key, value)

    def event(self, name: str, attributes: Attributes) -> None:
        self.add_event(name, attributes)

    def finish(
        self,
        end_ns: int,
        *,
        connector_id: str | None,
        session: Transaction | None,
        error: str | None,
        store_wait_s: float,
        forced: bool,
    ) -> None:
        self.end_ns = end_ns
        self.connector_id = connector_id
        self.session = session
        self.error = error
        self.store_wait_s = store_wait_s
        self.forced = forced
        if self.recording:
            self.source.origin.processor.on_end(self)

    # for whoever finds it current

    def get_span_context(self) -> SpanContext:
        made = self._context
        if made is None:
            state = None if self.parent is None else self.parent.trace_state
            made = SpanContext(self.trace_id, self.span_id, False, KEPT if self.sampled else NOT_KEPT, state)
            self._context = made
        return made

    def is_recording(self) -> bool:
        return self.recording and not self.end_ns

    def _open(self) -> SpanExtras | None:
        if not self.is_recording():
            return None
        if self.more is None:
            self.more = SpanExtras()
        return self.more

    def set_attribute(self, key: str, value: AnyValue) -> None:
        if (more := self._open()) is not None:
            more.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        if (more := self._open()) is not None:
            more.attributes.update(attributes)

    def add_event(self, name: str, attributes: OtelAttributes = None, timestamp: int | None = None) -> None:
        if (more := self._open()) is not None:
            more.events.append(Event(name, dict(attributes or {}), timestamp))

    def add_link(self, context: SpanContext, attributes: OtelAttributes = None) -> None:
        if (more := self._open()) is not None:
            more.links.append(Link(context, attributes))

    def update_name(self, name: str) -> None:
        if (more := self._open()) is not None:
            more.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if (more := self._open()) is not None:
            more.status = status if isinstance(status, Status) else Status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: OtelAttributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        kind = type(exception)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        told = {
            "exception.type": f"{module}{kind.__qualname__}",
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**told, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """Ended by somebody else than the recorder, who alone knows how it went: nothing happens."""

    # for exporters, once it has ended

    @property
    def context(self) -> SpanContext:
        return self.get_span_context()

    @property
    def name(self) -> str:
        return self.source.action if self.more is None or self.more.name is None else self.more.name

    @property
    def kind(self) -> SpanKind:
        return self.source.kind

    @property
    def parent(self) -> SpanContext | None:
        return None if self.more is None else self.more.parent

    @property
    def start_time(self) -> int:
        return self.start_ns

    @property
    def end_time(self) -> int | None:
        return self.end_ns or None

    @property
    def status(self) -> Status:
        if self.end_ns and self.error is not None:
            return _ERROR
        return _UNSET if self.more is None else self.more.status

    @property
    def attributes(self) -> Mapping[str, AnyValue]:
        return dict(self._attributes_in_order())

    def _attributes_in_order(self) -> Iterator[tuple[str, AnyValue]]:
        yield catalogue.CP_ID, self.source.cp_id
        yield catalogue.OCPP_ACTION, self.source.action
        if self.more is not None:
            yield from self.more.attributes.items()
        if not self.end_ns:
            return
        if self.connector_id is not None:
            yield catalogue.CONNECTOR_ID, self.connector_id
        if self.session is not None:
            yield catalogue.OCPP_TRANSACTION_ID, self.session.transaction_id
        if self.error is not None:
            yield catalogue.FAILURE, self.error
        if self.store_wait_s > 0.0:
            yield catalogue.OCPP_STORE_WAIT, self.store_wait_s
        if self.forced:
            yield catalogue.FORCE_SAMPLE, True

    @property
    def events(self) -> Sequence[Event]:
        return () if self.more is None else tuple(self.more.events)

    @property
    def links(self) -> Sequence[Link]:
        more = () if self.more is None else self.more.links
        session = () if not self.end_ns or self.session is None else (Link(link_to(self.session)),)
        return (*more, *session)

    @property
    def resource(self) -> Resource:
        return self.source.origin.resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        return self.source.origin.scope

    dropped_attributes = dropped_events = dropped_links = 0

    def to_json(self, indent: int | None = 4) -> str:
        plain = ReadableSpan(
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
        return str(plain.to_json(indent))
