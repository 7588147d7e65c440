"""Histograms as plain arrays: recording a message takes two increments (docs/adr/0012-founding-decisions.md#12).

It owns counts and exemplars; it must not know who records and who reads. Values are recorded on the event loop's thread
alone and read on any thread, where a reader may see half of a recording (its bucket, not yet its sum).
"""

from bisect import bisect_left
from collections.abc import Iterator
from math import ceil, log2
from typing import NamedTuple

from wattspan.telemetry import catalogue
from wattspan.telemetry.catalogue import Metric

MAX_LABELS = 2
SCALE = 3
"""Of exponential histograms: 2**3 buckets for each doubling, so that a quantile is off by 4.5 % at most."""
MIN_INDEX, MAX_INDEX = -20 * 2**SCALE, 20 * 2**SCALE - 1
"""Buckets from a microsecond to twelve days; what is outside is counted in the outermost ones."""


class Exemplar(NamedTuple):
    """A recorded value and the span it was recorded in. `ts` is Unix seconds, `value` has the histogram's unit."""

    trace_id: int
    span_id: int
    value: float
    ts: float


class Series:
    """One combination of labels. `counts` has a bucket for each bound and one above them all; not cumulative."""

    __slots__ = ("bounds", "counts", "exemplars", "highest", "labels", "lowest", "total")

    def __init__(self, labels: tuple[str, ...], bounds: tuple[float, ...]) -> None:
        self.labels = labels
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.lowest = float("inf")
        self.highest = float("-inf")
        self.exemplars: dict[int, Exemplar] = {}
        """The latest exemplar of a bucket, by its index, set by the recorder. Most buckets never have one."""

    @property
    def count(self) -> int:
        """The number of recorded values."""
        return sum(self.counts)

    def record(self, value: float) -> int:
        """Count `value` and return the index of its bucket, where its exemplar belongs. Bounds are inclusive."""
        index = bisect_left(self.bounds, value)
        self.counts[index] += 1
        self.total += value
        if value < self.lowest:  # noqa: PLR1730  calls of min and max would double the cost
            self.lowest = value
        if value > self.highest:  # noqa: PLR1730
            self.highest = value
        return index


class ExponentialSeries(Series):
    """A series that counts into exponential buckets as well (OTel metrics data model, ExponentialHistogram)."""

    __slots__ = ("exponential", "zeros")

    def __init__(self, labels: tuple[str, ...], bounds: tuple[float, ...]) -> None:
        super().__init__(labels, bounds)
        self.exponential: dict[int, int] = {}
        """Counts by index: bucket i has values above 2**(i / 2**SCALE), up to and with 2**((i + 1) / 2**SCALE)."""
        self.zeros = 0

    def record(self, value: float) -> int:
        if value > 0.0:
            index = min(max(ceil(log2(value) * 2**SCALE) - 1, MIN_INDEX), MAX_INDEX)
            self.exponential[index] = self.exponential.get(index, 0) + 1
        else:
            self.zeros += 1
        return super().record(value)


class Histogram:
    """All series of one metric, grouped by their first label, so that a charge point is removed in one step.

    A metric has at most two labels, so the last one is the key within a group. `without` drops a label of the metric:
    callers still pass its value, and the series become one.
    """

    __slots__ = ("_dropped", "_make", "known", "metric")

    def __init__(self, metric: Metric, *, without: str | None = None, exponential: bool = False) -> None:
        self._make = ExponentialSeries if exponential else Series
        self._dropped = None if without is None else metric.labels.index(without)
        self.metric = metric if without is None else metric.without(without)
        if len(self.metric.labels) > MAX_LABELS:
            raise ValueError(f"{metric.name} has more than {MAX_LABELS} labels")
        self.known: dict[str, dict[str, Series]] = {}
        """By first and last label; the hot path looks here before it calls `series`. Read only."""

    @property
    def exponential(self) -> bool:
        """Whether its series count into exponential buckets as well."""
        return self._make is ExponentialSeries

    def series(self, *labels: str) -> Series:
        """Return the series of these label values, in the metric's order; creates it if needed."""
        if self._dropped is not None:
            labels = (*labels[: self._dropped], *labels[self._dropped + 1 :])
        first, last = (labels[0], labels[-1]) if labels else ("", "")
        group = self.known.setdefault(first, {})
        found = group.get(last)
        if found is None:
            found = group[last] = self._make(labels, self.metric.bounds)
        return found

    def remove(self, first: str) -> None:
        """Remove every series whose first label is `first`."""
        self.known.pop(first, None)

    def groups(self) -> Iterator[tuple[str, list[Series]]]:
        """Yield series by their first label ("" without labels). Series may come and go between two steps."""
        # Not list(items()): it allocates tuples, so the garbage collector and then another thread may run meanwhile.
        for first, group in self.known.copy().items():
            yield first, list(group.values())

    def __iter__(self) -> Iterator[Series]:
        for _, group in self.groups():
            yield from group


class Histograms:
    """The histograms of a central system. `by_charge_point=False` drops `cp_id` from the handling histogram.

    `exponential`: their series count into exponential buckets as well, for OTLP or Prometheus' native histograms.
    """

    __slots__ = ("_all", "calls", "commits", "handling", "sessions")

    def __init__(self, *, by_charge_point: bool = True, exponential: bool = False) -> None:
        without = None if by_charge_point else catalogue.CP_ID
        self.handling = Histogram(catalogue.HANDLING, without=without, exponential=exponential)
        occasional = {metric.name: Histogram(metric, exponential=exponential) for metric in catalogue.OCCASIONAL}
        self.calls = occasional[catalogue.CALLS.name]
        self.sessions = occasional[catalogue.SESSIONS.name]
        self.commits = occasional[catalogue.COMMITS.name]
        self._all = (self.handling, *occasional.values())

    def __iter__(self) -> Iterator[Histogram]:
        return iter(self._all)

    def remove(self, cp_id: str) -> None:
        """Remove the series of a decommissioned charge point."""
        if catalogue.CP_ID in self.handling.metric.labels:
            self.handling.remove(cp_id)
