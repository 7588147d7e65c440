"""Handling times in a user's histogram are those that `Histogram.record` would put there."""

from collections.abc import Iterable

import pytest
from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    MeterProvider,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, ExponentialBucketHistogramAggregation, View
from opentelemetry.trace import SpanContext, TraceFlags

from wattspan.telemetry import catalogue
from wattspan.telemetry.instruments import ApiMeasures

MESSAGES = [(f"CP{number % 3}", action) for number in range(12) for action in ("Heartbeat", "MeterValues")]


class Span:
    """As much of a message span as histograms use."""

    def __init__(self, cp_id: str, action: str) -> None:
        self.cp_id = cp_id
        self.action = action
        self.otel = trace.NonRecordingSpan(SpanContext(7, 9, False, TraceFlags(TraceFlags.SAMPLED)))


def points(reader: MetricReader) -> list:
    data = reader.get_metrics_data()
    return (
        []
        if data is None
        else [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]
    )


def shape(reader: MetricReader) -> list:
    found = []
    for point in points(reader):
        buckets = point.bucket_counts if hasattr(point, "bucket_counts") else point.positive.bucket_counts
        exemplars = [(each.value, each.trace_id) for each in point.exemplars]
        found.append((sorted(point.attributes.items()), point.count, point.sum, point.min, list(buckets), exemplars))
    return sorted(found)


def provider(reader: MetricReader, views: Iterable[View] = (), exemplars=None) -> MeterProvider:
    return MeterProvider([reader], shutdown_on_exit=False, views=views, exemplar_filter=exemplars)


def by_measures(meters: MeterProvider, *, by_charge_point: bool = True, exemplar_of: int = -1) -> None:
    measures = ApiMeasures(meters.get_meter("m"), by_charge_point=by_charge_point)
    for number, (cp_id, action) in enumerate(MESSAGES):
        measures.handled(Span(cp_id, action), number / 64, number, exemplar=number == exemplar_of)


def by_record(meters: MeterProvider, *, by_charge_point: bool = True, exemplar_of: int = -1) -> None:
    metric = catalogue.HANDLING
    histogram = meters.get_meter("m").create_histogram(
        metric.name, metric.unit, metric.help, explicit_bucket_boundaries_advisory=metric.bounds
    )
    for number, (cp_id, action) in enumerate(MESSAGES):
        span = Span(cp_id, action)
        context = trace.set_span_in_context(span.otel if number == exemplar_of else trace.INVALID_SPAN)
        attributes = {catalogue.CP_ID: cp_id} if by_charge_point else {}
        histogram.record(number / 64, attributes | {catalogue.MESSAGE_TYPE: action}, context)


NAME = catalogue.HANDLING.name
VIEWS = {
    "none": [],
    "fewer attributes": [View(instrument_name=NAME, attribute_keys={catalogue.MESSAGE_TYPE})],
    "exponential": [View(instrument_name=NAME, aggregation=ExponentialBucketHistogramAggregation())],
    "dropped": [View(instrument_name=NAME, aggregation=DropAggregation())],
    "two": [View(instrument_name=NAME), View(instrument_name=NAME, name="b", attribute_keys=set())],
}


@pytest.mark.parametrize("views", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("by_charge_point", [True, False])
def test_a_histogram_is_the_same_as_by_record(views, by_charge_point):
    ours, theirs = InMemoryMetricReader(), InMemoryMetricReader()
    by_measures(provider(ours, views), by_charge_point=by_charge_point)
    by_record(provider(theirs, views), by_charge_point=by_charge_point)
    rows = shape(ours)
    assert rows == shape(theirs)
    assert rows or views is VIEWS["dropped"]


def test_a_span_that_is_current_is_no_exemplar_unless_the_recorder_asks_for_it():
    reader = InMemoryMetricReader()
    measures, span = ApiMeasures(provider(reader).get_meter("m")), Span("CP1", "Heartbeat")
    with trace.use_span(span.otel):
        for _ in range(3):
            measures.handled(span, 0.5, 1, exemplar=False)
    ((*_, exemplars),) = shape(reader)
    assert exemplars == []


@pytest.mark.parametrize("exemplars", [TraceBasedExemplarFilter, AlwaysOnExemplarFilter, AlwaysOffExemplarFilter])
def test_exemplars_are_the_same_as_by_record(exemplars):
    ours, theirs = InMemoryMetricReader(), InMemoryMetricReader()
    by_measures(provider(ours, exemplars=exemplars()), exemplar_of=19)
    by_record(provider(theirs, exemplars=exemplars()), exemplar_of=19)
    rows = shape(ours)
    assert rows == shape(theirs)
    assert any(row[-1] for row in rows) is (exemplars is not AlwaysOffExemplarFilter)


def test_a_reader_that_is_added_later_has_what_follows():
    first, second = InMemoryMetricReader(), InMemoryMetricReader()
    meters = provider(first)
    measures = ApiMeasures(meters.get_meter("m"))
    span = Span("CP1", "Heartbeat")
    for _ in range(3):
        measures.handled(span, 0.5, 1, exemplar=False)
    meters.add_metric_reader(second)
    for _ in range(4):
        measures.handled(span, 0.5, 1, exemplar=False)
    assert [[point.count for point in points(reader)] for reader in (first, second)] == [[7], [4]]
    measures.forget("CP1")
    measures.handled(span, 0.5, 1, exemplar=False)
    assert [point.count for point in points(first)] == [8]


def test_a_meter_that_records_nothing_will_do():
    measures = ApiMeasures(NoOpMeterProvider().get_meter("m"))
    for _ in range(3):
        measures.handled(Span("CP1", "Heartbeat"), 0.5, 1, exemplar=False)
