"""An observer for tests, and what it and a central system show: metrics and spans, in a form that can be compared."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from wattspan.domain.counters import ServerCounters
from wattspan.domain.events import Event
from wattspan.domain.fleet import Fleet
from wattspan.observe import Observer
from wattspan.telemetry.arrays import ArrayMeasures
from wattspan.telemetry.families import FAMILIES, State, points
from wattspan.telemetry.recorder import Recorder
from wattspan.telemetry.sessions import SessionSpans
from wattspan.telemetry.spans.api import ApiSpans
from wattspan.telemetry.tokens import TokenHash

TOKEN_HASH = TokenHash(b"key of the tests")


def tracing() -> tuple[TracerProvider, InMemorySpanExporter]:
    """Return a provider, and what receives its spans at once."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recorder, and what it records: spans, and the state that metrics are read from."""

    recorder: Recorder
    spans: InMemorySpanExporter
    state: State

    @classmethod
    def make(cls, clock_ns: Callable[[], int], fleet: Fleet | None = None) -> "Recording":
        """Return one whose fleet is `fleet`, by default a new one of somebody else's central system."""
        provider, spans = tracing()
        tracer = provider.get_tracer("wattspan")
        state = State(
            fleet=fleet or Fleet(assigns_ids=False),
            counters=ServerCounters(started_ts=clock_ns() / 1e9),
            clock=lambda: clock_ns() / 1e9,
        )
        recorder = Recorder(
            ApiSpans(tracer),
            ArrayMeasures(state.histograms),
            SessionSpans(tracer, None, TOKEN_HASH),
            clock_ns=clock_ns,
        )
        return cls(recorder=recorder, spans=spans, state=state)


@dataclass
class ObserverHarness:
    """An observer with everything it records."""

    observer: Observer
    spans: InMemorySpanExporter
    state: State
    events: list[Event] = field(default_factory=list)

    @classmethod
    def make(cls, clock_ns: Callable[[], int], **options: Any) -> "ObserverHarness":
        recording = Recording.make(clock_ns)
        events: list[Event] = []

        def on_event(applied: Sequence[Event], _at_ns: int) -> None:
            events.extend(applied)

        observer = Observer(
            recorder=recording.recorder,
            counters=recording.state.counters,
            clock_ns=clock_ns,
            on_event=on_event,
            **options,
        )
        return cls(observer, recording.spans, replace(recording.state, fleet=observer.fleet), events)

    @property
    def fleet(self) -> Fleet:
        return self.observer.fleet

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the ended spans of that name."""
        return [span for span in self.spans.get_finished_spans() if span.name == name]

    def value(self, metric: str, *labels: str) -> float | None:
        """Return a value of a metric, or None."""
        return samples(self.state).get((metric, labels))


def samples(state: State) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return all values by metric and labels; of a histogram, the number of recordings and their sum."""
    found: dict[tuple[str, tuple[str, ...]], float] = {
        (name, point.labels): point.value for name, family in FAMILIES.items() for point in points(family, state)
    }
    for histogram in state.histograms:
        for series in histogram:
            found[f"{histogram.metric.name}_count", series.labels] = series.count
            found[f"{histogram.metric.name}_sum", series.labels] = round(series.total, 6)
    return found


def is_random(span: ReadableSpan) -> bool:
    """Return whether a span that others link to has a random id: a command's, or a boot notification's."""
    return span.kind.name == "CLIENT" or span.name == "BootNotification"


def described(spans: Iterable[ReadableSpan], *, without: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return what can be compared of spans: not their ids, but those that they link to. Sorted."""
    left_out, spans = frozenset(without), list(spans)
    by_id = {span.context.span_id: span.name for span in spans if span.context is not None}
    random_ids = {span.context.span_id: span.name for span in spans if span.context is not None and is_random(span)}
    found = [
        {
            "name": span.name,
            "kind": span.kind.name,
            "attributes": {key: value for key, value in (span.attributes or {}).items() if key not in left_out},
            "links": [
                random_ids.get(link.context.span_id, (link.context.trace_id, link.context.span_id))
                for link in span.links
            ],
            # Only who sends a command knows for which message; others see a command alone.
            "parent": None
            if span.parent is None or span.kind.name == "CLIENT"
            else by_id.get(span.parent.span_id, "?"),
            "status": span.status.status_code.name,
            "began": span.start_time,
            "ended": span.end_time,
            "events": [
                (event.name, {key: value for key, value in (event.attributes or {}).items() if key not in left_out})
                for event in span.events
            ],
        }
        for span in spans
    ]
    return sorted(found, key=repr)
