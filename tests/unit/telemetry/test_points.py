from collections import Counter
from dataclasses import replace
from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric, ScopeMetrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from support.recorders import metrics_of
from support.scraping import NOW_TS, STARTED_TS, fill, state
from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.telemetry import catalogue
from wattspan.telemetry.histogram import Exemplar
from wattspan.telemetry.instruments import FleetInstruments
from wattspan.telemetry.otlp.points import DELTA, Points

NS = 1_000_000_000


def collected(points: Points) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics_of(points)}


def data(metric: Metric) -> Any:
    return getattr(metric, metric.WhichOneof("data"))


def labels(point: Any) -> dict[str, str]:
    return {each.key: each.value.string_value for each in point.attributes}


def told(metrics: dict[str, Metric], name: str) -> dict[tuple[str, ...], float]:
    points = data(metrics[name]).data_points if name in metrics else []
    return {tuple(labels(point).values()): getattr(point, point.WhichOneof("value")) for point in points}


def boot(cp_id: str) -> ev.Event:
    return ev.ChargePointBooted(cp_id=cp_id, received_ts=NOW_TS)


def test_cumulative_counters_are_lifetime_totals_since_the_charge_point_is_known() -> None:
    shown = state()
    fill(shown, 1)
    metric = collected(Points(shown))["ocpp_cp_boots_total"]
    (point,) = metric.sum.data_points
    assert (point.as_int, point.start_time_unix_nano, point.time_unix_nano) == (1, int(NOW_TS) * NS, int(NOW_TS) * NS)
    assert labels(point) == {"cp_id": "CP-000001"}
    assert metric.sum.is_monotonic
    assert metric.sum.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE


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
    (first,) = collected(points)["ocpp_store_commit_seconds"].histogram.data_points
    assert (first.count, first.min, first.max, round(first.sum, 9)) == (2, 0.0007, 0.2, 0.2007)
    series.record(0.003)
    metric = collected(points)["ocpp_store_commit_seconds"]
    assert metric.histogram.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    (second,) = metric.histogram.data_points
    assert (second.count, second.min, second.max) == (1, 0.003, 0.003)
    assert (sum(second.bucket_counts), len(second.bucket_counts)) == (1, len(second.explicit_bounds) + 1)
    assert second.explicit_bounds == list(series.bounds)
    assert "ocpp_store_commit_seconds" not in collected(points)


def test_an_exemplar_is_told_once() -> None:
    now_ts = NOW_TS
    shown = replace(state(), clock=lambda: now_ts)
    fill(shown, 1, actions=("Heartbeat",))
    points = Points(shown)
    now_ts += 10
    shown.histograms.handling.series("CP-000001", "Heartbeat").exemplars[1] = Exemplar(255, 16, 0.002, NOW_TS + 5)

    def exemplars() -> list[tuple[str, str, float, int]]:
        (point,) = collected(points)["ocpp_msg_handling_seconds"].histogram.data_points
        assert point.start_time_unix_nano == int(STARTED_TS) * NS
        assert labels(point) == {"cp_id": "CP-000001", "message_type": "Heartbeat"}
        return [
            (each.trace_id.hex(), each.span_id.hex(), each.as_double, each.time_unix_nano) for each in point.exemplars
        ]

    assert exemplars() == [(f"{255:032x}", f"{16:016x}", 0.002, int(NOW_TS + 5) * NS)]
    assert exemplars() == []


def test_points_come_in_pieces_that_together_are_all_of_them() -> None:
    shown = state()
    fill(shown, 3)
    pieces: Counter[str] = Counter()
    for piece in Points(shown).pieces(2):
        (metric,) = ScopeMetrics.FromString(piece.metric).metrics
        assert len(data(metric).data_points) == piece.points in (1, 2)
        pieces[metric.name] += piece.points
    assert pieces == {name: len(data(metric).data_points) for name, metric in collected(Points(shown)).items()}


def test_a_label_that_is_no_unicode_harms_no_other_point() -> None:
    shown = state()
    fill(shown, 1)
    apply(shown.fleet, boot("CP-\ud800"))
    assert told(collected(Points(shown)), "ocpp_cp_boots_total") == {("CP-000001",): 1, ("CP-?",): 1}


def test_points_are_what_the_stock_sdk_and_its_encoder_make_of_the_same_state() -> None:
    shown = state()
    fill(shown, 3)
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    FleetInstruments(provider.get_meter(catalogue.METER), shown)
    metrics = reader.get_metrics_data()
    assert metrics is not None
    stock = {metric.name: metric for metric in encode_metrics(metrics).resource_metrics[0].scope_metrics[0].metrics}
    ours = collected(Points(shown))
    assert stock.keys() == ours.keys() - {histogram.metric.name for histogram in shown.histograms}
    for name, metric in stock.items():
        assert told(stock, name) == told(ours, name)
        assert (metric.unit, metric.description) == (ours[name].unit, ours[name].description)
        assert metric.WhichOneof("data") == ours[name].WhichOneof("data")
        if metric.HasField("sum"):
            assert metric.sum.aggregation_temporality == ours[name].sum.aggregation_temporality
            assert metric.sum.is_monotonic == ours[name].sum.is_monotonic
        for point in (*data(metric).data_points, *data(ours[name]).data_points):  # the stock clock is now's
            point.ClearField("time_unix_nano")
            point.ClearField("start_time_unix_nano")
        assert data(metric) == data(ours[name])
    provider.shutdown()


def test_a_histogram_is_what_the_stock_sdk_and_its_encoder_make_of_the_same_values() -> None:
    shown = state()
    series = shown.histograms.sessions.series()
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    stock = provider.get_meter(catalogue.METER).create_histogram(
        catalogue.SESSIONS.name,
        catalogue.SESSIONS.unit,
        catalogue.SESSIONS.help,
        explicit_bucket_boundaries_advisory=series.bounds,
    )
    for value in (0.0, 59.9, 60.0, 4_000.5, 1e9):
        series.record(value)
        stock.record(value)
    metrics = reader.get_metrics_data()
    assert metrics is not None
    (theirs,) = encode_metrics(metrics).resource_metrics[0].scope_metrics[0].metrics
    ours = collected(Points(shown))[catalogue.SESSIONS.name]
    for point in (*theirs.histogram.data_points, *ours.histogram.data_points):
        point.ClearField("time_unix_nano")
        point.ClearField("start_time_unix_nano")
    assert theirs == ours
    provider.shutdown()
