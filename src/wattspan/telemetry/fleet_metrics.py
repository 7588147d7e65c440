"""Metrics on their way out by OTLP, a request at a time. Neither transport nor the making of points is its own."""

import logging
import time
from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.metrics.export import (
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from wattspan.telemetry.exporters import POINTS_PER_REQUEST
from wattspan.telemetry.outbox import Dropped
from wattspan.telemetry.points import Points

log = logging.getLogger(__name__)


class FleetMetrics(MetricExporter):
    """Sends our own families after what the SDK collected, on the reader's thread (`families` says why that is safe).

    A request after the other, each made when the one before is out: all points at once would be 20 kB a charge point.
    """

    def __init__(
        self,
        exporter: MetricExporter,
        points: Points,
        resource: Resource,
        scope: InstrumentationScope,
        dropped: Dropped,
    ) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._exporter = exporter
        self._points = points
        self._resource = resource
        self._scope = scope
        self._dropped = dropped

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Send everything of now. Blocks, up to the time-out. After a request that failed the rest is dropped."""
        deadline = time.monotonic() + (timeout_millis or 10_000) / 1000
        sent = True
        for request in self._requests(metrics_data):
            sent = sent and self._send(request, (deadline - time.monotonic()) * 1000)
            if not sent:
                self._dropped(sum(len(metric.data.data_points) for scope in request for metric in scope.metrics))
        return MetricExportResult.SUCCESS if sent else MetricExportResult.FAILURE

    def _send(self, told: list[ScopeMetrics], timeout_millis: float) -> bool:
        if timeout_millis <= 0:
            return False
        whole = MetricsData([ResourceMetrics(self._resource, told, self._resource.schema_url)])
        try:
            return self._exporter.export(whole, timeout_millis) is MetricExportResult.SUCCESS
        except Exception:
            log.debug("metrics could not be sent", exc_info=True)
            return False

    def _requests(self, metrics_data: MetricsData) -> Iterator[list[ScopeMetrics]]:
        """What the SDK collected, with the first of ours; then the rest of ours. In a request a scope stands once."""
        by_scope = {scope.scope: scope for each in metrics_data.resource_metrics for scope in each.scope_metrics}
        foreign = by_scope.pop(self._scope, None)
        others = list(by_scope.values())
        held: list[Metric] = [] if foreign is None else list(foreign.metrics)
        size = 0
        for metric in self._points.pieces(POINTS_PER_REQUEST):
            points = len(metric.data.data_points)
            if size + points > POINTS_PER_REQUEST:
                yield [*others, ScopeMetrics(self._scope, held, "")]
                others, held, size = [], [], 0
            held.append(metric)
            size += points
        yield [*others, ScopeMetrics(self._scope, held, "")]

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is kept here."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Shut the exporter down, also one that is busy."""
        self._exporter.shutdown(timeout_millis)
