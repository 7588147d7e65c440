"""Span ids that are known before the span exists: those of charging sessions (docs/adr/0003)."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.sdk.trace import Tracer
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator

from wattspan.telemetry.sessions import PresetIds


class PresetIdGenerator(RandomIdGenerator):
    """Generates random ids, except for a root span that is started inside `preset`."""

    def __init__(self) -> None:
        self._preset: ContextVar[tuple[int, int] | None] = ContextVar("preset_ids", default=None)

    @contextmanager
    def preset(self, trace_id: int, span_id: int) -> Iterator[None]:
        """Give these ids to the root span that is started inside."""
        token = self._preset.set((trace_id, span_id))
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


def preset_ids_of(tracer: trace.Tracer) -> PresetIds | None:
    """Return how spans of this tracer of ours get ids that are known before, or None if it is not one of the SDK.

    The provider and its other tracers are not changed.
    """
    if not isinstance(tracer, Tracer):
        return None
    if not isinstance(tracer.id_generator, PresetIdGenerator):
        tracer.id_generator = PresetOverGenerator(tracer.id_generator)
    return tracer.id_generator.preset
