"""Span ids that are known before the span exists: those of charging sessions (docs/adr/0003)."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator


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
