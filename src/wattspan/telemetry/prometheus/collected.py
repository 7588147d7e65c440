"""Renders our own metrics as the SDK collected them: those that are recorded with an OpenTelemetry meter.

Their names are exact. The stock exporter would call a counter whose name does not end in `_total` by another name, and
it drops exemplars.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import HistogramDataPoint, Metric, NumberDataPoint

from wattspan.telemetry.catalogue import METRICS, Kind
from wattspan.telemetry.histogram import Exemplar
from wattspan.telemetry.prometheus.exposition import Format, exemplar, head, number, pairs, sample_names

NS = 1e9


def collected_lines(metrics: Iterable[Metric], form: Format, wanted: Callable[[str], bool]) -> Iterator[str]:
    """Yield the text of each family that has points. All metrics are of the catalogue."""
    for metric in metrics:
        own = METRICS[metric.name]
        if not any(map(wanted, sample_names(own.name, own.kind))):
            continue
        block = [
            _point(own.name, pairs(own.labels, _values(own.labels, point)), point, form)
            for point in metric.data.data_points
            if isinstance(point, HistogramDataPoint if own.kind is Kind.HISTOGRAM else NumberDataPoint)
        ]
        if block:
            yield head(own.name, own.kind, own.help, form) + "".join(block)


def _values(labels: Sequence[str], point: NumberDataPoint | HistogramDataPoint) -> tuple[str, ...]:
    attributes = point.attributes or {}
    return tuple([str(attributes.get(label, "")) for label in labels])


def _point(name: str, labels: str, point: NumberDataPoint | HistogramDataPoint, form: Format) -> str:
    braced = f"{{{labels}}}" if labels else ""
    if isinstance(point, NumberDataPoint):
        return f"{name}{braced} {number(point.value)}\n"
    bounds = point.explicit_bounds
    last = _exemplars(point.exemplars, bounds) if form is Format.OPENMETRICS else {}
    comma = "," if labels else ""
    buckets = "".join(
        f'{name}_bucket{{{labels}{comma}le="{bound}"}} {count}{last.get(index, "")}\n'
        for index, (bound, count) in enumerate(zip((*bounds, "+Inf"), accumulate(point.bucket_counts), strict=True))
    )
    return f"{buckets}{name}_sum{braced} {number(point.sum)}\n{name}_count{braced} {point.count}\n"


def _exemplars(found: Sequence[SdkExemplar], bounds: Sequence[float]) -> dict[int, str]:
    """Return the latest exemplar of each bucket, by the index of the bucket; only those that belong to a span."""
    return {
        bisect_left(bounds, each.value): exemplar(
            Exemplar(each.trace_id, each.span_id, each.value, each.time_unix_nano / NS)
        )
        for each in sorted(found, key=lambda each: each.time_unix_nano)
        if each.trace_id and each.span_id
    }
