"""Records into the arrays that `/metrics` and our OTLP points are read from: the measuring half of the hot path."""

from wattspan.telemetry.catalogue import Metric
from wattspan.telemetry.histogram import Exemplar, Histograms
from wattspan.telemetry.recorder import MessageSpan

NS = 1_000_000_000


class ArrayMeasures:
    """Implements `recorder.Measures` with plain arrays."""

    __slots__ = ("_by_name", "_histograms", "_known")

    def __init__(self, histograms: Histograms) -> None:
        self._histograms = histograms
        self._by_name = {each.metric.name: each for each in histograms}
        self._known = histograms.handling.known

    def handled(self, span: MessageSpan, seconds: float, end_ns: int, *, exemplar: bool) -> None:
        """Record the handling time of the message of `span`."""
        try:
            series = self._known[span.cp_id][span.action]
        except KeyError:
            series = self._histograms.handling.series(span.cp_id, span.action)
        bucket = series.record(seconds)
        if exemplar:
            series.exemplars[bucket] = Exemplar(span.trace_id, span.span_id, seconds, end_ns / NS)

    def record(
        self, metric: Metric, value: float, end_ns: int, *labels: str, exemplar: tuple[int, int] | None = None
    ) -> None:
        """Record `value`. `exemplar` is the (trace id, span id) of a sampled span."""
        series = self._by_name[metric.name].series(*labels)
        bucket = series.record(value)
        if exemplar is not None:
            series.exemplars[bucket] = Exemplar(*exemplar, value, end_ns / NS)

    def forget(self, cp_id: str) -> None:
        """Drop the series of a charge point."""
        self._histograms.remove(cp_id)
