"""Renders instruments that are not ours, those of libraries and plugins, by the stock Prometheus exporter's reader.

The reader is fed with what another reader collected, a metric at a time: one odd instrument must not cost the whole
page.
"""

import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry, exposition
from prometheus_client.metrics_core import Metric as PrometheusMetric
from prometheus_client.openmetrics import exposition as openmetrics

from wattspan.telemetry.prometheus.exposition import Format

log = logging.getLogger(__name__)

_END = "# EOF\n"
_RESOURCE, _SCOPE = Resource({}), InstrumentationScope("")


class ForeignPage:
    """Renders what the SDK collected from instruments of other libraries. Names and units are the stock exporter's.

    Several scopes may use one name: their points share the family, and of points with the same labels the first wins,
    as the first kind wins.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._reader = _FedReader(registry=self._registry, scope_info_enabled=False, disable_target_info=True)
        # Without instruments: the registry has its readers collect, and a reader without a provider warns about that.
        # Its resource is given, too: the SDK would look for detectors of one among all installed packages.
        self._provider = MeterProvider([self._reader], _RESOURCE, shutdown_on_exit=False)

    def text(self, metrics: Iterable[Metric], form: Format, names: Collection[str] = ()) -> str:
        """Return the text of these metrics without an end mark. `names`: only families with a sample of this name."""
        collected = _Collected(self.families(metrics, names))
        if form is Format.OPENMETRICS:
            text: bytes = openmetrics.generate_latest(collected)  # type: ignore[no-untyped-call]
            return text.decode().removesuffix(_END)
        return exposition.generate_latest(collected).decode()

    def families(self, metrics: Iterable[Metric], names: Collection[str] = ()) -> list[PrometheusMetric]:
        """Return these metrics as the stock exporter's families. `names`: only those with a sample of this name."""
        found: dict[str, PrometheusMetric] = {}
        for metric in _merged(metrics):
            for family in self._families(metric):
                key = f"{family.name}_total" if family.type == "counter" else family.name
                if not names or not {key, family.name, *(sample.name for sample in family.samples)}.isdisjoint(names):
                    found.setdefault(key, family)
        return list(found.values())

    def _families(self, metric: Metric) -> list[PrometheusMetric]:
        """Return the families of one metric; none if the stock exporter cannot express it."""
        scope = ScopeMetrics(_SCOPE, [metric], "")
        self._reader._receive_metrics(MetricsData([ResourceMetrics(_RESOURCE, [scope], "")]))
        try:
            return [_without_repeats(family) for family in self._registry.collect() if family.samples]
        except Exception:
            log.exception("instrument %s is not shown on the page", metric.name)
            return []


class _FedReader(PrometheusMetricReader):
    """The stock reader, which renders what another reader collected."""

    def feed(self, data: MetricsData) -> None:
        """Take the metrics that the next collection of the registry renders."""
        self._receive_metrics(data)


class _Collected:
    """Families as prometheus_client's functions expect them of a registry."""

    def __init__(self, families: Iterable[PrometheusMetric]) -> None:
        self._families = families

    def collect(self) -> Iterable[PrometheusMetric]:
        """Return the families."""
        return self._families


def metrics_of(data: MetricsData | None) -> Iterator[Metric]:
    """Yield the metrics of all resources and scopes."""
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            yield from scope.metrics


def _merged(metrics: Iterable[Metric]) -> Iterable[Metric]:
    """Return the metrics, those of one name, unit and kind as one: the stock exporter mixes up their labels."""
    merged: dict[tuple[str, str | None, type], Metric] = {}
    for each in metrics:
        metric = _with_a_bucket(each)
        key = (metric.name, metric.unit, type(metric.data))
        if (known := merged.get(key)) is not None:
            points = [*known.data.data_points, *metric.data.data_points]
            metric = replace(known, data=replace(known.data, data_points=points))  # type: ignore[arg-type]
        merged[key] = metric
    return merged.values()


def _with_a_bucket(metric: Metric) -> Metric:
    """Return an exponential histogram as one with a single bucket, which the text formats can express."""
    if not isinstance(metric.data, ExponentialHistogram):
        return metric
    points = [_histogram_point(point) for point in metric.data.data_points]
    return replace(metric, data=Histogram(points, metric.data.aggregation_temporality))


def _histogram_point(point: ExponentialHistogramDataPoint) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=point.attributes,
        start_time_unix_nano=point.start_time_unix_nano,
        time_unix_nano=point.time_unix_nano,
        count=point.count,
        sum=point.sum,
        bucket_counts=[point.count],
        explicit_bounds=[],
        min=point.min,
        max=point.max,
        exemplars=point.exemplars,
    )


def _without_repeats(family: PrometheusMetric) -> PrometheusMetric:
    """Drop samples whose labels came before: a page with both cannot be scraped."""
    first = {(sample.name, tuple(sorted(sample.labels.items()))): sample for sample in reversed(family.samples)}
    family.samples = [
        sample for sample in family.samples if first[sample.name, tuple(sorted(sample.labels.items()))] is sample
    ]
    return family
