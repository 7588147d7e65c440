from dataclasses import replace

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    Metric,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from support.scraping import NOW_TS, STARTED_TS, fill, state
from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.telemetry import catalogue
from wattspan.telemetry.histogram import Exemplar
from wattspan.telemetry.instruments import register
from wattspan.telemetry.points import CUMULATIVE, DELTA, Points

NS = 1_000_000_000


def collected(points: Points) -> list[Metric]:
    return list(points.pieces(10_000))


def told(metrics: list[Metric], name: str) -> dict[tuple[object, ...], object]:
    found = {metric.name: metric for metric in metrics}.get(name)
    points = [] if found is None else found.data.data_points
    return {tuple((point.attributes or {}).values()): getattr(point, "value", None) for point in points}


def boot(cp_id: str) -> ev.Event:
    return ev.ChargePointBooted(cp_id=cp_id, received_ts=NOW_TS)


def test_cumulative_counters_are_lifetime_totals_since_the_charge_point_is_known() -> None:
    shown = state()
    fill(shown, 1)
    metric = {each.name: each for each in collected(Points(shown))}["ocpp_cp_boots_total"]
    (point,) = metric.data.data_points
    assert (point.value, point.start_time_unix_nano, point.attributes) == (1, int(NOW_TS) * NS, {"cp_id": "CP-000001"})
    assert (metric.data.is_monotonic, metric.data.aggregation_temporality) == (True, CUMULATIVE)


def test_deltas_count_from_the_start_of_the_process_and_then_from_the_last_time() -> None:
    shown = state()
    fill(shown, 1)
    points = Points(shown, counters=DELTA, histograms=DELTA)
    assert told(collected(points), "ocpp_cp_boots_total") == {("CP-000001",): 0}
    apply(shown.fleet, boot("CP-000001"))
    apply(shown.fleet, boot("CP-new"))
    assert told(collected(points), "ocpp_cp_boots_total") == {("CP-000001",): 1, ("CP-new",): 1}
    assert told(collected(points), "ocpp_cp_boots_total") == {("CP-000001",): 0, ("CP-new",): 0}


def test_a_charge_point_that_is_added_again_counts_from_0_again() -> None:
    shown = state()
    fill(shown, 1)
    points = Points(shown, counters=DELTA)
    apply(shown.fleet, ev.ChargePointDecommissioned(cp_id="CP-000001", received_ts=NOW_TS))
    assert told(collected(points), "ocpp_cp_boots_total") == {}
    fill(shown, 1)
    assert told(collected(points), "ocpp_cp_boots_total") == {("CP-000001",): 1}


def test_a_histogram_by_delta_holds_what_came_since() -> None:
    shown = state()
    points = Points(shown, histograms=DELTA)
    series = shown.histograms.commits.series()
    for value in (0.0007, 0.2):
        series.record(value)
    metrics = {each.name: each for each in collected(points)}
    (first,) = metrics["ocpp_store_commit_seconds"].data.data_points
    assert (first.count, first.min, first.max) == (2, 0.0007, 0.2)
    series.record(0.003)
    (second,) = {each.name: each for each in collected(points)}["ocpp_store_commit_seconds"].data.data_points
    assert (second.count, second.min, second.max) == (1, 0.003, 0.003)
    assert "ocpp_store_commit_seconds" not in {each.name for each in collected(points)}


def test_an_exemplar_is_told_once() -> None:
    now_ts = NOW_TS
    shown = replace(state(), clock=lambda: now_ts)
    fill(shown, 1, actions=("Heartbeat",))
    points = Points(shown)
    now_ts += 10
    shown.histograms.handling.series("CP-000001", "Heartbeat").exemplars[1] = Exemplar(255, 16, 0.002, NOW_TS + 5)

    def exemplars() -> list[tuple[int | None, int | None]]:
        metric = {each.name: each for each in collected(points)}["ocpp_msg_handling_seconds"]
        (point,) = metric.data.data_points
        assert point.start_time_unix_nano == int(STARTED_TS) * NS
        return [(each.trace_id, each.span_id) for each in point.exemplars]

    assert exemplars() == [(255, 16)]
    assert exemplars() == []


def test_points_come_in_pieces_that_together_are_all_of_them() -> None:
    shown = state()
    fill(shown, 3)
    pieces = [(metric.name, len(metric.data.data_points)) for metric in Points(shown).pieces(2)]
    assert {size for _, size in pieces} == {1, 2}
    whole = {metric.name: len(metric.data.data_points) for metric in Points(shown).pieces(10_000)}
    assert {name: sum(size for other, size in pieces if other == name) for name, _ in pieces} == whole


def test_the_stock_encoder_takes_every_point() -> None:
    shown = state()
    fill(shown, 3)
    shown.histograms.sessions.series().record(100)
    scope = ScopeMetrics(InstrumentationScope(catalogue.METER), collected(Points(shown)), "")
    encoded = encode_metrics(MetricsData([ResourceMetrics(Resource({}), [scope], "")]))
    names = {metric.name for metric in encoded.resource_metrics[0].scope_metrics[0].metrics}
    assert {"ocpp_cp_energy_total_wh", "ocpp_msg_handling_seconds", "ocpp_tx_duration_seconds"} <= names


def test_instruments_of_the_api_tell_the_same_as_the_points() -> None:
    shown = state()
    fill(shown, 3)
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    register(provider.get_meter(catalogue.METER), shown)
    data = reader.get_metrics_data()
    assert data is not None
    by_api = {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    ours = {metric.name: metric for metric in collected(Points(shown))}
    recorded = {histogram.metric.name for histogram in shown.histograms}
    assert by_api.keys() == ours.keys() - recorded
    for name, metric in by_api.items():
        assert told([metric], name) == told([ours[name]], name)
        assert (metric.unit, metric.description) == (ours[name].unit, ours[name].description)
        assert type(metric.data) is type(ours[name].data)
        if name.endswith("_total"):
            assert metric.data.aggregation_temporality is AggregationTemporality.CUMULATIVE
    provider.shutdown()
