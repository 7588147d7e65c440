"""Histograms as the plain arrays that `/metrics` and our OTLP points are read from: the measuring half of `hot`."""

from wattspan.telemetry import catalogue
from wattspan.telemetry.catalogue import Metric
from wattspan.telemetry.histogram import Exemplar, Histograms
from wattspan.telemetry.recorder import MessageSpan

NS = 1_000_000_000


class ArrayMeasures:
    """The port `recorder.Measures`."""

    __slots__ = ("_by_name", "_histograms")

    def __init__(self, histograms: Histograms) -> None:
        self._histograms = histograms
        self._by_name = {each.metric.name: each for each in histograms}

    def handled(self, span: MessageSpan, seconds: float, end_ns: int, *, exemplar: bool) -> None:
        """Record a message's handling time; the series is looked up where the span does not bring it along."""
        series = span.series or self._histograms.handling.series(span.cp_id, span.action)
        bucket = series.record(seconds)
        if exemplar:
            series.exemplars[bucket] = Exemplar(span.trace_id, span.span_id, seconds, end_ns / NS)
