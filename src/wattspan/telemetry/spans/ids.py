"""Spans of charging sessions: their ids are known before they exist (docs/adr/0003), and whether they are kept."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from wattspan.telemetry.sessions import PresetIds

_ROOT = Context()


class PresetIdGenerator(RandomIdGenerator):
    """Generates random ids, except for a root span that is started inside `preset`."""

    def __init__(self) -> None:
        self._preset: ContextVar[tuple[int, int, bool | None] | None] = ContextVar("preset_ids", default=None)

    @property
    def sampled(self) -> bool | None:
        """What was decided about the span that is started now; None: its sampler decides."""
        preset = self._preset.get()
        return None if preset is None else preset[2]

    @contextmanager
    def preset(self, trace_id: int, span_id: int, sampled: bool | None = None) -> Iterator[None]:
        """Give these ids to the root span that is started inside. `sampled` needs a `PresetSampler`."""
        token = self._preset.set((trace_id, span_id, sampled))
        try:
            yield
        finally:
            self._preset.reset(token)

    def generate_trace_id(self) -> int:
        """Return a trace id. Called for root spans alone."""
        preset = self._preset.get()
        return super().generate_trace_id() if preset is None else preset[0]

    def generate_span_id(self) -> int:
        """Return a span id. Called for every span."""
        preset = self._preset.get()
        return super().generate_span_id() if preset is None else preset[1]


class PresetOverGenerator(PresetIdGenerator):
    """Takes the ids that are not preset from another generator, for example one that a vendor's backend needs."""

    def __init__(self, others: IdGenerator) -> None:
        super().__init__()
        self._others = others

    def generate_trace_id(self) -> int:
        """Return a trace id. Called for root spans alone."""
        preset = self._preset.get()
        return self._others.generate_trace_id() if preset is None else preset[0]

    def generate_span_id(self) -> int:
        """Return a span id. Called for every span."""
        preset = self._preset.get()
        return self._others.generate_span_id() if preset is None else preset[1]

    def is_trace_id_random(self) -> bool:
        """Return whether trace ids are random as W3C's trace context level 2 has it."""
        return self._others.is_trace_id_random()


class PresetSampler(Sampler):
    """Decides as another sampler, except for spans about whose trace was decided before. Implements `PresetIds`."""

    def __init__(self, others: Sampler, ids: PresetIdGenerator) -> None:
        self._others = others
        self._ids = ids

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return the decision. What the other sampler adds to the span stays."""
        result = self._others.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        sampled = self._ids.sampled
        if sampled is None or sampled is (result.decision is Decision.RECORD_AND_SAMPLE):
            return result
        added = attributes if result.decision is Decision.DROP else result.attributes
        decision = Decision.RECORD_AND_SAMPLE if sampled else Decision.DROP
        return SamplingResult(decision, added if sampled else None, result.trace_state)

    def preset(self, trace_id: int, span_id: int, sampled: bool | None) -> AbstractContextManager[None]:
        """Return a context: a root span that is started in it gets these ids. `sampled` None: decide then."""
        return self._ids.preset(trace_id, span_id, sampled)

    def decides(self, trace_id: int, name: str, attributes: Mapping[str, str | float | bool]) -> bool:
        """Return whether the other sampler keeps the trace of a root span that is to come."""
        kind = SpanKind.INTERNAL
        result = self._others.should_sample(_ROOT, trace_id, name, kind, attributes, ())
        return result.decision is Decision.RECORD_AND_SAMPLE

    def get_description(self) -> str:
        """Return the other sampler's name."""
        return self._others.get_description()


def preset_ids_of(tracer: trace.Tracer) -> PresetIds | None:
    """Return how spans of this tracer of ours get ids that are known before, or None if it is not one of the SDK.

    The provider and its other tracers are not changed.
    """
    if not isinstance(tracer, Tracer):
        return None
    ids = tracer.id_generator
    if not isinstance(ids, PresetIdGenerator):
        ids = tracer.id_generator = PresetOverGenerator(ids)
    sampler = tracer.sampler
    if not isinstance(sampler, PresetSampler):
        sampler = tracer.sampler = PresetSampler(sampler, ids)
    return sampler
