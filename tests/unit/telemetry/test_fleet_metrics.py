from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics.export import (
    Gauge,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from support.scraping import fill, state
from wattspan.telemetry.otlp.fleet_metrics import FleetMetrics
from wattspan.telemetry.otlp.points import Points
from wattspan.telemetry.otlp.requests import POINTS_PER_REQUEST, Preferences

BUILTIN, THEIRS = InstrumentationScope("wattspan", "1"), InstrumentationScope("theirs")
RESOURCE = Resource({"service.name": "wattspan"})
ONE = Metric("foreign", "", "1", Gauge([NumberDataPoint({}, 0, 0, 1)]))
FOREIGN = MetricsData([ResourceMetrics(RESOURCE, [ScopeMetrics(THEIRS, [ONE], "")], "")])


class Sender:
    """Takes `accepts` requests of ours, and fails then."""

    def __init__(self, accepts: int = 1000, *, takes_foreign: bool = True) -> None:
        self.preferences = Preferences({}, {})
        self.accepts = accepts
        self.takes_foreign = takes_foreign
        self.foreign: list[MetricsData] = []
        self.requests: list[ExportMetricsServiceRequest] = []

    def export(self, metrics_data, timeout_millis=10_000):
        self.foreign.append(metrics_data)
        return MetricExportResult.SUCCESS if self.takes_foreign else MetricExportResult.FAILURE

    def send(self, request):
        self.requests.append(ExportMetricsServiceRequest.FromString(request))
        return len(self.requests) <= self.accepts

    def shutdown(self, timeout_millis=30_000):
        return None


def points(request: ExportMetricsServiceRequest) -> int:
    return sum(
        len(getattr(metric, metric.WhichOneof("data")).data_points)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def sent(sender: Sender, dropped: list[int], fleet: int = 300) -> tuple[MetricExportResult, int, int]:
    """The result, how many points there were, and how often the thread paused."""
    shown = state()
    fill(shown, fleet)
    every = sum(piece.points for piece in Points(shown).pieces(10_000))
    pauses: list[None] = []
    exporter = FleetMetrics(sender, Points(shown), RESOURCE, BUILTIN, dropped.append, pause=lambda: pauses.append(None))
    return exporter.export(FOREIGN), every, len(pauses)


def test_a_large_fleet_leaves_in_several_requests_after_the_foreign_metrics():
    sender, dropped = Sender(), []
    result, every, pauses = sent(sender, dropped)
    assert result is MetricExportResult.SUCCESS
    assert max(map(points, sender.requests)) <= POINTS_PER_REQUEST
    assert sum(map(points, sender.requests)) == every > POINTS_PER_REQUEST
    assert sender.foreign == [FOREIGN]
    assert pauses > len(sender.requests)
    assert not dropped


def test_each_request_tells_whose_it_is():
    sender = Sender()
    sent(sender, [])
    for request in sender.requests:
        (resource,) = request.resource_metrics
        assert [(each.key, each.value.string_value) for each in resource.resource.attributes] == [
            ("service.name", "wattspan")
        ]
        (scope,) = resource.scope_metrics
        assert (scope.scope.name, scope.scope.version) == ("wattspan", "1")


def test_after_a_request_that_failed_nothing_more_is_tried_and_all_the_rest_is_counted():
    sender, dropped = Sender(accepts=1), []
    result, every, _ = sent(sender, dropped)
    assert result is MetricExportResult.FAILURE
    assert len(sender.requests) == 2
    assert sum(dropped) == every - points(sender.requests[0])


def test_where_the_foreign_metrics_do_not_get_there_ours_are_not_tried():
    sender, dropped = Sender(takes_foreign=False), []
    result, every, _ = sent(sender, dropped)
    assert result is MetricExportResult.FAILURE
    assert not sender.requests
    assert sum(dropped) == every + 1
