"""Our families as the SDK's metric points, which its OTLP exporters take. It owns temporality and nothing of export.

A large fleet has half a million points of a quarter of a kilobyte: they are made a piece at a time, as they are sent.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as SdkHistogram

from wattspan.telemetry.catalogue import Kind
from wattspan.telemetry.families import FAMILIES, Family, Number, Point, State, points
from wattspan.telemetry.histogram import Exemplar, Histogram, Series

CUMULATIVE, DELTA = AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA

T = TypeVar("T")

Key = tuple[str, tuple[str, ...]]
"""A series: its metric's name and its label values."""

DISCARDED = 1000


class Points:
    """Makes the points of one exporter. With delta temporality it remembers what it told: one instance an exporter.

    Cumulative counters are lifetime totals since the charge point is known; deltas count from the making of this
    object, so make it once the state is restored. Histograms count from process start. It may be asked on any thread,
    but never twice at once.
    """

    def __init__(
        self,
        state: State,
        *,
        counters: AggregationTemporality = CUMULATIVE,
        histograms: AggregationTemporality = CUMULATIVE,
    ) -> None:
        self._state = state
        self._counters, self._histograms = counters, histograms
        self._told_ts = state.clock()
        # What was told last, and what is being told: made anew each time, so that what left is forgotten.
        self._last_values: dict[Key, Number] = {}
        self._values: dict[Key, Number] = {}
        self._last_recorded: dict[Key, tuple[list[int], float]] = {}
        self._recorded: dict[Key, tuple[list[int], float]] = {}
        if counters is DELTA:
            for _ in self.pieces(DISCARDED):  # what was restored counts as told
                pass

    def pieces(self, most: int) -> Iterator[Metric]:
        """Every point of now, in metrics of 1 to `most` points. To be exhausted, or deltas get lost."""
        now_ts = self._state.clock()
        self._last_values, self._values = self._values, {}
        self._last_recorded, self._recorded = self._recorded, {}
        for family in FAMILIES.values():
            for numbers in _batches(self._numbers(family, now_ts), most):
                yield self._family(family, numbers)
        for histogram in self._state.histograms:
            metric = histogram.metric
            for found in _batches(self._recordings(histogram, now_ts), most):
                yield Metric(metric.name, metric.help, metric.unit, SdkHistogram(found, self._histograms))
        self._told_ts = now_ts

    def _family(self, family: Family, numbers: list[NumberDataPoint]) -> Metric:
        metric = family.metric
        if metric.kind is Kind.GAUGE:
            return Metric(metric.name, metric.help, metric.unit, Gauge(numbers))
        return Metric(metric.name, metric.help, metric.unit, Sum(numbers, self._counters, is_monotonic=True))

    def _numbers(self, family: Family, now_ts: float) -> Iterator[NumberDataPoint]:
        found = points(family, self._state)
        if family.metric.kind is Kind.GAUGE:
            return (_number(family, each, each.value, 0.0, now_ts) for each in found)
        if self._counters is DELTA:
            return (_number(family, each, self._risen(family, each), self._told_ts, now_ts) for each in found)
        return (_number(family, each, each.value, each.since_ts, now_ts) for each in found)

    def _risen(self, family: Family, point: Point) -> Number:
        """By how much since it was told last; all of it when it began anew."""
        key = family.metric.name, point.labels
        last = self._last_values.get(key, 0)
        self._values[key] = point.value
        return point.value - last if point.value >= last else point.value

    def _recordings(self, histogram: Histogram, now_ts: float) -> Iterator[HistogramDataPoint]:
        for _, group in self._state.groups(histogram):
            for series in group:
                point = self._recording(histogram, series, now_ts)
                if point.count:
                    yield point

    def _recording(self, histogram: Histogram, series: Series, now_ts: float) -> HistogramDataPoint:
        counts, total, lowest, highest = list(series.counts), series.total, series.lowest, series.highest
        since_ts = self._state.vitals.started_ts
        if self._histograms is DELTA:
            key = histogram.metric.name, series.labels
            last_counts, last_total = self._last_recorded.get(key, ([0] * len(counts), 0.0))
            self._recorded[key] = counts, total
            counts, total = [new - old for new, old in zip(counts, last_counts, strict=True)], total - last_total
            series.lowest, series.highest = float("inf"), float("-inf")
            since_ts = self._told_ts
        return HistogramDataPoint(
            attributes=dict(zip(histogram.metric.labels, series.labels, strict=True)),
            start_time_unix_nano=_ns(since_ts),
            time_unix_nano=_ns(now_ts),
            count=sum(counts),
            sum=total,
            bucket_counts=counts,
            explicit_bounds=series.bounds,
            min=lowest,
            max=highest,
            exemplars=[_exemplar(each) for each in series.exemplars.copy().values() if each.ts > self._told_ts],
        )


def _batches(found: Iterable[T], most: int) -> Iterator[list[T]]:
    rest = iter(found)
    while batch := list(islice(rest, most)):
        yield batch


def _number(family: Family, point: Point, value: Number, since_ts: float, now_ts: float) -> NumberDataPoint:
    attributes = dict(zip(family.metric.labels, point.labels, strict=True))
    return NumberDataPoint(attributes, _ns(since_ts), _ns(now_ts), value)


def _exemplar(found: Exemplar) -> SdkExemplar:
    return SdkExemplar({}, found.value, _ns(found.ts), found.span_id, found.trace_id)


def _ns(ts: float) -> int:
    return int(ts * 1e9)
