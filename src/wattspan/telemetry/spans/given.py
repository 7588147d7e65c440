"""Message spans for a program's own TracerProvider: by records where that makes no difference, else by the API.

A span of the SDK costs many times as much as a record of ours (docs/adr/0012-founding-decisions.md#12). The provider's
sampler, resource and processors get the same from either, as long as no processor looks at spans when they start and
the ids are random. It must not know which messages there are.
"""

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from wattspan.telemetry.connection import UNKNOWN_CONNECTION, ConnectionAttributes
from wattspan.telemetry.recorder import MessageSpan, Spans
from wattspan.telemetry.sdk_private import limits_of, processor_of, processors_in
from wattspan.telemetry.spans.api import ApiSpans
from wattspan.telemetry.spans.hot import HotSpans, are_tight
from wattspan.telemetry.spans.record import HotSpan

_AT_THE_END_ONLY = (BatchSpanProcessor, SimpleSpanProcessor)


class _HashedResource(Resource):
    """Equal to another resource. The SDK's exporters hash the resource of every span, which serializes it each time."""

    def __init__(self, other: Resource) -> None:
        super().__init__(other.attributes, other.schema_url)
        self._hash = hash(other)

    def __hash__(self) -> int:
        return self._hash


class GivenSpans:
    """Implements `recorder.Spans` by `HotSpans` while every processor is one of the SDK's own, else by `ApiSpans`."""

    def __init__(self, processor: SynchronousMultiSpanProcessor, hot: HotSpans, api: ApiSpans) -> None:
        self._processor = processor
        self._hot = hot
        self._api = api
        self._checked: tuple[SpanProcessor, ...] | None = None
        self._now: Spans = api
        self._may_defer = False

    def server(
        self,
        cp_id: str,
        action: str,
        start_ns: int,
        connection: ConnectionAttributes = UNKNOWN_CONNECTION,
        message_id: str | int = "",
        size: int = 0,
    ) -> MessageSpan:
        """Return a span of kind SERVER that starts a trace of its own."""
        spans = self._now if processors_in(self._processor) is self._checked else self._spans()
        return spans.server(cp_id, action, start_ns, connection, message_id, size)

    def client(self, cp_id: str, action: str, start_ns: int) -> MessageSpan:
        """Return a span of kind CLIENT, child of the current span if there is one."""
        return self._spans().client(cp_id, action, start_ns)

    def child(self, parent: MessageSpan, start_ns: int) -> MessageSpan:
        """Return a span of kind CLIENT with the action of `parent`, which is its parent and decides on sampling."""
        spans = self._hot if isinstance(parent, HotSpan) else self._api
        return spans.child(parent, start_ns)

    def forget(self, cp_id: str) -> None:
        """Drop what is cached for a charge point."""
        self._hot.forget(cp_id)

    def may_defer(self) -> bool:
        """Return whether spans may begin and end a moment late: every processor only puts them into a queue."""
        if processors_in(self._processor) is not self._checked:
            self._spans()
        return self._may_defer

    def _spans(self) -> Spans:
        """Return the back end for the processors that the provider has now: a program may add one at any time."""
        processors = processors_in(self._processor)
        if processors is not self._checked:
            self._checked = processors
            self._now = self._hot if all(type(each) in _AT_THE_END_ONLY for each in processors) else self._api
            self._may_defer = all(type(each) is BatchSpanProcessor for each in processors)
        return self._now


def given_spans(provider: trace.TracerProvider, tracer: trace.Tracer, scope: InstrumentationScope) -> Spans:
    """Return the message spans of a program's provider and the tracer that it gave for `scope`."""
    api = ApiSpans(tracer)
    if type(provider) is not TracerProvider or not isinstance(tracer, SdkTracer):
        return api
    processor = processor_of(provider)
    limits = limits_of(provider)
    if processor is None or type(provider.id_generator) is not RandomIdGenerator or are_tight(limits):
        return api
    hot = HotSpans(_HashedResource(provider.resource), scope, processor, provider.sampler, limits)
    return GivenSpans(processor, hot, api)
