"""Renders instruments that are not read from the state: those of libraries, plugins and the process.

It takes what the SDK collected and maps names as the stock exporter does, without scope labels. It leaves out what it
cannot render: one odd instrument must not cost the whole page.
"""

import json
from bisect import bisect_left
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import (
    ExponentialHistogram,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    Sum,
)

from wattspan.telemetry.catalogue import Kind
from wattspan.telemetry.histogram import Exemplar
from wattspan.telemetry.prometheus.exposition import Format, exemplar, head, number, pairs
from wattspan.telemetry.prometheus.mapping_private import map_unit, sanitize_attribute, sanitize_full_name

NS = 1e9


def lines_of(data: MetricsData | None, form: Format, excluded: Container[str]) -> Iterator[tuple[str, Kind, str]]:
    """Yield each family once: its name (a counter's with `_total`), its kind, its text; without those in `excluded`.

    Several scopes may use one name: their points share the family. The first kind wins, and of points with the same
    labels the first.
    """
    families: dict[str, tuple[Kind, str, dict[str, str]]] = {}
    for metric in _metrics(data):
        if metric.name in excluded:
            continue
        name, kind = _named(metric)
        known, _, points = families.setdefault(name, (kind, metric.description or "", {}))
        if known is kind:
            for point in metric.data.data_points:
                labels = _labels(point.attributes or {})
                points.setdefault(labels, _point(name, labels, point, form))
    for name, (kind, text, points) in families.items():
        if points:
            yield name, kind, head(name, kind, text, form) + "".join(points.values())


def _metrics(data: MetricsData | None) -> Iterator[Metric]:
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            yield from scope.metrics


def _named(metric: Metric) -> tuple[str, Kind]:
    """Return the family's name with its unit, a counter's with `_total`. A sum that may decrease is a gauge."""
    kind = Kind.GAUGE
    if isinstance(metric.data, Sum) and metric.data.is_monotonic:
        kind = Kind.COUNTER
    elif isinstance(metric.data, Histogram | ExponentialHistogram):
        kind = Kind.HISTOGRAM
    name, unit = sanitize_full_name(metric.name), map_unit(metric.unit or "")
    if kind is Kind.COUNTER:
        name = name.removesuffix("_total")
    if unit and not name.endswith(f"_{unit}"):
        name = f"{name}_{unit}"
    return (f"{name}_total" if kind is Kind.COUNTER else name), kind


def _labels(attributes: Mapping[str, Any]) -> str:
    """Return label pairs sorted by name; values of keys that become equal are joined (OTel spec, Prometheus)."""
    joined: dict[str, str] = {}
    for key in sorted(attributes):
        value = attributes[key]
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        name = sanitize_attribute(key)
        joined[name] = f"{joined[name]};{text}" if name in joined else text
    return pairs(tuple(joined), tuple(joined.values()))


def _point(name: str, labels: str, point: Any, form: Format) -> str:
    braced = f"{{{labels}}}" if labels else ""
    if isinstance(point, NumberDataPoint):
        return f"{name}{braced} {number(point.value)}\n"
    bounds: Sequence[float] = ()
    counts: Sequence[int] = (point.count,)  # an exponential histogram has no bounds that this format can express
    if isinstance(point, HistogramDataPoint):
        bounds, counts = point.explicit_bounds, point.bucket_counts
    last = _exemplars(point.exemplars, bounds) if form is Format.OPENMETRICS else {}
    comma = "," if labels else ""
    buckets = "".join(
        f'{name}_bucket{{{labels}{comma}le="{bound}"}} {count}{last.get(index, "")}\n'
        for index, (bound, count) in enumerate(zip((*bounds, "+Inf"), accumulate(counts), strict=True))
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
