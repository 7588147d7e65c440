"""Creates `HotSpan`s: asks the sampler, draws the ids, and caches what spans of one charge point share.

It owns sampling and parents. Span processors see these spans at their end only, not at their start. For the event
loop's thread alone.
"""

from random import getrandbits

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased, Sampler, StaticSampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind

from wattspan.telemetry.connection import UNKNOWN_CONNECTION, ConnectionAttributes
from wattspan.telemetry.recorder import MessageSpan
from wattspan.telemetry.spans.record import FIXED_ATTRIBUTES, ChildSpan, HotSpan, Source, SpanExtras, SpanScope

MIN_ATTRIBUTES = 2 * FIXED_ATTRIBUTES
_ROOT = Context()


class HotSpans:
    """Implements `recorder.Spans`. `processor` receives every span that has ended."""

    def __init__(
        self,
        resource: Resource,
        scope: InstrumentationScope,
        processor: SpanProcessor,
        sampler: Sampler,
        limits: SpanLimits | None = None,
    ) -> None:
        """`limits` None: those of the `OTEL_*` variables."""
        self._span_scope = SpanScope(resource, scope, processor, limits or SpanLimits())
        self._sampler = sampler
        root = _description_of_root(sampler)
        self._samples_all = root == ALWAYS_ON.get_description()
        self._samples_none = root == ALWAYS_OFF.get_description()
        self._sources: dict[str, dict[str, Source]] = {}
        self._child_sources: dict[str, dict[str, Source]] = {}

    def server(
        self,
        cp_id: str,
        action: str,
        start_ns: int,
        connection: ConnectionAttributes = UNKNOWN_CONNECTION,
        message_id: str | int = "",
        size: int = 0,
    ) -> HotSpan:
        """Return a span of kind SERVER that starts a trace of its own."""
        try:
            source = self._sources[cp_id][action]
        except KeyError:
            source = self._new_source(cp_id, action)
        trace_id = getrandbits(128) or 1
        if self._samples_all:
            return HotSpan(source, trace_id, start_ns, True, True, connection, message_id, size)
        if self._samples_none:
            return HotSpan(source, trace_id, start_ns, False, False, connection, message_id, size)
        return self._sampled(source, trace_id, start_ns, _ROOT, connection, message_id, size)

    def client(self, cp_id: str, action: str, start_ns: int) -> HotSpan:
        """Return a span of kind CLIENT, child of the current span if there is one."""
        source = Source(self._span_scope, cp_id, action, SpanKind.CLIENT)
        parent = trace.get_current_span().get_span_context()
        if not parent.is_valid:
            return self._sampled(source, getrandbits(128) or 1, start_ns, _ROOT)
        context = trace.set_span_in_context(trace.NonRecordingSpan(parent), _ROOT)
        span = self._sampled(source, parent.trace_id, start_ns, context)
        span.extras = span.extras or SpanExtras(self._span_scope.limits)
        span.extras.parent = parent
        return span

    def child(self, parent: MessageSpan, start_ns: int) -> ChildSpan:
        """Return a span of kind CLIENT with the action of `parent`, which is its parent and decides on sampling."""
        assert isinstance(parent, HotSpan)  # noqa: S101  one of ours
        sources = self._child_sources.get(parent.cp_id)
        if sources is None:
            sources = self._child_sources[parent.cp_id] = {}
        source = sources.get(parent.action)
        if source is None:
            source = sources[parent.action] = Source(self._span_scope, parent.cp_id, parent.action, SpanKind.CLIENT)
        return ChildSpan(source, parent, start_ns)

    def forget(self, cp_id: str) -> None:
        """Drop what is cached for a charge point."""
        self._sources.pop(cp_id, None)
        self._child_sources.pop(cp_id, None)

    def _sampled(
        self,
        source: Source,
        trace_id: int,
        start_ns: int,
        context: Context,
        connection: ConnectionAttributes = UNKNOWN_CONNECTION,
        message_id: str | int = "",
        size: int = 0,
    ) -> HotSpan:
        """Return a span with the decision and the attributes of the sampler."""
        span = HotSpan(source, trace_id, start_ns, True, False, connection, message_id, size)
        first = span.attributes
        result = self._sampler.should_sample(context, trace_id, source.action, source.kind, first, ())
        span.recording = result.decision is not Decision.DROP
        span.sampled = result.decision is Decision.RECORD_AND_SAMPLE
        added = {key: value for key, value in (result.attributes or {}).items() if key not in first}
        if added:
            span.set_attributes(added)
        return span

    def _new_source(self, cp_id: str, action: str) -> Source:
        source = Source(self._span_scope, cp_id, action, SpanKind.SERVER)
        self._sources.setdefault(cp_id, {})[action] = source
        return source


def _description_of_root(sampler: Sampler) -> str:
    """Return how the SDK describes a sampler of root spans; "" if the sampler is not one of the SDK's.

    `OTEL_TRACES_SAMPLER` makes objects of its own, so they can't be compared with `ALWAYS_ON`.
    """
    if type(sampler).should_sample not in {StaticSampler.should_sample, ParentBased.should_sample}:
        return ""
    return sampler.get_description().removeprefix("ParentBased{root:").partition(",")[0]


def are_tight(limits: SpanLimits) -> bool:
    """Return whether limits concern attributes that every message span has; then only the SDK's own spans obey them."""
    maximum = limits.max_span_attributes
    return limits.max_span_attribute_length is not None or (maximum is not None and maximum < MIN_ATTRIBUTES)
