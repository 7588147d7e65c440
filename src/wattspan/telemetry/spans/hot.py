"""Where `hot` message spans come from: judged by the sampler, ids drawn, everything that repeats kept ready.

It owns sampling and parents. Processors see these spans at their end only, never at their start. Loop thread only.
"""

from random import getrandbits

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, DEFAULT_ON, Decision, Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind

from wattspan.telemetry import catalogue
from wattspan.telemetry.spans.record import HotSpan, Source, SpanExtras, SpanScope

_ROOT = Context()


class HotSpans:
    """The port `recorder.Spans`. `processor` gets every span that ended."""

    def __init__(
        self,
        resource: Resource,
        scope: InstrumentationScope,
        processor: SpanProcessor,
        sampler: Sampler,
    ) -> None:
        self._origin = SpanScope(resource, scope, processor)
        self._sampler = sampler
        self._keeps_all = sampler is ALWAYS_ON or sampler is DEFAULT_ON
        self._sources: dict[str, dict[str, Source]] = {}

    def server(self, cp_id: str, action: str, start_ns: int) -> HotSpan:
        """A span of kind SERVER that starts a trace of its own."""
        try:
            source = self._sources[cp_id][action]
        except KeyError:
            source = self._new_source(cp_id, action)
        trace_id = getrandbits(128) or 1
        if self._keeps_all:
            return HotSpan(source, trace_id, start_ns, recording=True, sampled=True)
        return self._judged(source, trace_id, start_ns, _ROOT)

    def client(self, cp_id: str, action: str, start_ns: int) -> HotSpan:
        """A span of kind CLIENT, child of the current span if there is one."""
        source = Source(self._origin, cp_id, action, SpanKind.CLIENT)
        parent = trace.get_current_span().get_span_context()
        if not parent.is_valid:
            return self._judged(source, getrandbits(128) or 1, start_ns, _ROOT)
        around = trace.set_span_in_context(trace.NonRecordingSpan(parent), _ROOT)
        span = self._judged(source, parent.trace_id, start_ns, around)
        span.more = span.more or SpanExtras()
        span.more.parent = parent
        return span

    def forget(self, cp_id: str) -> None:
        """Drop what is kept for a charge point."""
        self._sources.pop(cp_id, None)

    def _judged(self, source: Source, trace_id: int, start_ns: int, around: Context) -> HotSpan:
        """A span as the sampler wants it."""
        first = {catalogue.CP_ID: source.cp_id, catalogue.OCPP_ACTION: source.action}
        result = self._sampler.should_sample(around, trace_id, source.action, source.kind, first, ())
        recording, sampled = result.decision is not Decision.DROP, result.decision is Decision.RECORD_AND_SAMPLE
        span = HotSpan(source, trace_id, start_ns, recording=recording, sampled=sampled)
        added = {key: value for key, value in (result.attributes or {}).items() if key not in first}
        if added:
            span.set_attributes(added)
        return span

    def _new_source(self, cp_id: str, action: str) -> Source:
        source = Source(self._origin, cp_id, action, SpanKind.SERVER)
        self._sources.setdefault(cp_id, {})[action] = source
        return source
