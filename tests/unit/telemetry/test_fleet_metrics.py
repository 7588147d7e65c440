from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from support.scraping import fill, state
from wattspan.telemetry.exporters import POINTS_PER_REQUEST
from wattspan.telemetry.fleet_metrics import FleetMetrics
from wattspan.telemetry.points import Points

OURS, THEIRS = InstrumentationScope("wattspan"), InstrumentationScope("theirs")


class Collector(MetricExporter):
    """Takes `accepts` requests, and fails then."""

    def __init__(self, accepts: int = 1000) -> None:
        super().__init__()
        self.accepts = accepts
        self.requests: list[MetricsData] = []

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        self.requests.append(metrics_data)
        return MetricExportResult.SUCCESS if len(self.requests) <= self.accepts else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis=10_000):
        return True

    def shutdown(self, timeout_millis=30_000, **kwargs):
        return None


def points(request: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def test_a_large_fleet_leaves_in_several_requests_and_foreign_metrics_with_the_first():
    shown, collector, resource = state(), Collector(), Resource({})
    fill(shown, 300)
    every = sum(len(metric.data.data_points) for metric in Points(shown).pieces(10_000))
    dropped: list[int] = []
    exporter = FleetMetrics(collector, Points(shown), resource, OURS, dropped.append)
    foreign = MetricsData([ResourceMetrics(resource, [ScopeMetrics(THEIRS, [], ""), ScopeMetrics(OURS, [], "")], "")])
    assert exporter.export(foreign) is MetricExportResult.SUCCESS
    assert max(map(points, collector.requests)) <= POINTS_PER_REQUEST
    assert sum(map(points, collector.requests)) == every > POINTS_PER_REQUEST
    scopes = [[scope.scope for scope in request.resource_metrics[0].scope_metrics] for request in collector.requests]
    assert scopes == [[THEIRS, OURS], *[[OURS]] * (len(scopes) - 1)]
    assert not dropped


def test_after_a_request_that_failed_nothing_more_is_tried_and_all_the_rest_is_counted():
    shown, collector = state(), Collector(accepts=1)
    fill(shown, 300)
    every = sum(len(metric.data.data_points) for metric in Points(shown).pieces(10_000))
    dropped: list[int] = []
    exporter = FleetMetrics(collector, Points(shown), Resource({}), OURS, dropped.append)
    assert exporter.export(MetricsData([])) is MetricExportResult.FAILURE
    assert len(collector.requests) == 2
    assert sum(dropped) == every - points(collector.requests[0])
