"""Our metrics through OpenTelemetry's API alone, for any MeterProvider that a user brings.

Instruments have the names, units and help texts of the catalogue. Gauges and counters are observable and read from the
state (`families`); histograms are recorded (`ApiMeasures`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar, Self
from weakref import WeakKeyDictionary

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation
from opentelemetry.trace import SpanContext, TraceFlags

from wattspan.telemetry import catalogue
from wattspan.telemetry.catalogue import Kind, Metric
from wattspan.telemetry.families import FAMILIES, Family, State, points
from wattspan.telemetry.process import register_process
from wattspan.telemetry.recorder import Measures, MessageSpan
from wattspan.telemetry.sdk_private import (
    Aggregate,
    Measured,
    aggregates_of,
    are_storages_known,
    reader_storages,
)

_ROOT = trace.set_span_in_context(trace.INVALID_SPAN, Context())
"""A context without a span. The SDK takes the current context in place of an empty one."""

READ_DIRECTLY: ContextVar[list[State] | None] = ContextVar("read_directly", default=None)
"""Set while a reader collects that renders states itself: it gets them appended here and no observations, which take
most of the time of a scrape."""

Wanted = Callable[[Metric], bool]
"""Whether a metric gets an instrument."""


def _any(_metric: Metric) -> bool:
    return True


class FleetInstruments:
    """An observable instrument for each family. The callbacks run on the reader's thread while the states change.

    The API cannot remove instruments, and the SDK ignores the callbacks of one that is created again. So there is one
    object for each MeterProvider (`of`), and states are added to it and removed from it.
    """

    _known: ClassVar[WeakKeyDictionary[MeterProvider, Self]] = WeakKeyDictionary()

    def __init__(self, meter: Meter, *states: State, wanted: Wanted = _any) -> None:
        self._states = states
        self._created: set[str] = set()
        self._has_process = False
        self._create(meter, wanted)

    def _create(self, meter: Meter, wanted: Wanted) -> None:
        """Create the instruments that are wanted and do not exist yet."""
        for name, family in FAMILIES.items():
            metric = family.metric
            if name in self._created or not wanted(metric):
                continue
            self._created.add(name)
            create = meter.create_observable_counter if metric.kind is Kind.COUNTER else meter.create_observable_gauge
            create(name, [self._callback(family)], metric.unit, metric.help)

    @classmethod
    def of(cls, provider: MeterProvider, meter: Meter, *, wanted: Wanted = _any) -> Self:
        """Return the instruments of this provider; creates those that do not exist yet.

        `wanted` selects metrics; if it selects all, those of the process are created, too.
        """
        known = cls._known.get(provider)
        if known is None:
            known = cls._known[provider] = cls(meter, wanted=wanted)
        else:
            known._create(meter, wanted)
        if wanted is _any and not known._has_process:
            known._has_process = True
            register_process(meter)
        return known

    def add(self, state: State) -> None:
        """Observe this state from now on, beside those that were added before."""
        self._states = (*self._states, state)

    def remove(self, state: State) -> None:
        """Observe this state no longer."""
        self._states = tuple(each for each in self._states if each is not state)

    def _callback(self, family: Family) -> Callable[[CallbackOptions], Iterable[Observation]]:
        names = family.metric.labels

        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            for state in self._states:
                state.refresh()
            if (direct := READ_DIRECTLY.get()) is not None:
                direct.extend(state for state in self._states if not any(state is each for each in direct))
                return ()
            return [
                Observation(each.value, dict(zip(names, each.labels, strict=True)))
                for state in self._states
                if state.shows(family.metric)
                for each in points(family, state)
            ]

        return observe


class ApiMeasures:
    """Implements `recorder.Measures` with any Meter.

    The API cannot remove series: those of a decommissioned charge point stay. The SDK takes an exemplar from the span
    that is current, so a context without a span is passed unless the recorder asks for an exemplar.
    """

    def __init__(self, meter: Meter, *, by_charge_point: bool = True, wanted: Wanted = _any) -> None:
        """`wanted` selects the histograms that are created; others must not be recorded."""
        handling = catalogue.HANDLING if by_charge_point else catalogue.HANDLING.without(catalogue.CP_ID)
        self._by_charge_point = by_charge_point
        metrics = (handling, *catalogue.OCCASIONAL)
        self._instruments = {metric.name: _instrument(meter, metric) for metric in metrics if wanted(metric)}
        self._handling = self._instruments[handling.name]
        self._has_series = are_storages_known(self._handling)
        self._storages: Mapping[Any, Any] | None = None
        self._series: dict[str, dict[str, Sequence[Aggregate]]] = {}
        """The series of each charge point and message type, so that the SDK need not look for it each time."""

    def handled(self, span: MessageSpan, seconds: float, end_ns: int, *, exemplar: bool) -> None:
        """Record the handling time of the message of `span`."""
        handling = self._handling
        storages = reader_storages(handling) if self._has_series and not exemplar else None
        if storages is not None:
            if storages is not self._storages:
                self._storages = storages
                self._series.clear()
            elif (known := self._series.get(span.cp_id)) is not None and (series := known.get(span.action)) is not None:
                measured = Measured(seconds, end_ns, handling, _ROOT, None)
                for aggregate in series:
                    aggregate(measured, False)
                return
        labels = {catalogue.CP_ID: span.cp_id} if self._by_charge_point else {}
        labels[catalogue.MESSAGE_TYPE] = span.action
        context = trace.set_span_in_context(span.otel, _ROOT) if exemplar else _ROOT
        handling.record(seconds, labels, context)
        if storages is not None and (found := aggregates_of(handling, storages, labels)) is not None:
            self._series.setdefault(span.cp_id, {})[span.action] = found

    def record(
        self, metric: Metric, value: float, end_ns: int, *labels: str, exemplar: tuple[int, int] | None = None
    ) -> None:
        """Record `value`. `exemplar` is the (trace id, span id) of a sampled span."""
        context = _ROOT if exemplar is None else _context_of(*exemplar)
        self._instruments[metric.name].record(value, dict(zip(metric.labels, labels, strict=True)), context)

    def forget(self, cp_id: str) -> None:
        """Drop what is cached for a charge point: the API has no way to remove series."""
        self._series.pop(cp_id, None)


def _instrument(meter: Meter, metric: Metric) -> Histogram:
    return meter.create_histogram(
        metric.name, metric.unit, metric.help, explicit_bucket_boundaries_advisory=metric.bounds
    )


def _context_of(trace_id: int, span_id: int) -> Context:
    context = SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return trace.set_span_in_context(trace.NonRecordingSpan(context), _ROOT)


class BothMeasures:
    """Records into two `recorder.Measures`: a user's own meter, and the histograms that /metrics is rendered from."""

    def __init__(self, first: Measures, second: Measures) -> None:
        self._both = (first, second)

    def handled(self, span: MessageSpan, seconds: float, end_ns: int, *, exemplar: bool) -> None:
        """Record the handling time of the message of `span`."""
        for each in self._both:
            each.handled(span, seconds, end_ns, exemplar=exemplar)

    def record(
        self, metric: Metric, value: float, end_ns: int, *labels: str, exemplar: tuple[int, int] | None = None
    ) -> None:
        """Record `value`. `exemplar` is the (trace id, span id) of a sampled span."""
        for each in self._both:
            each.record(metric, value, end_ns, *labels, exemplar=exemplar)

    def forget(self, cp_id: str) -> None:
        """Drop the series of a charge point."""
        for each in self._both:
            each.forget(cp_id)
