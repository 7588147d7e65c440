"""How much is measured: three steps of detail, and exponential histograms by OTLP."""

from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import ScopeMetrics
from opentelemetry.sdk.metrics.export import AggregationTemporality

from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.settings.loading import check_settings
from wattspan.telemetry.families import DETAILS, State, shows_detail
from wattspan.telemetry.histogram import MAX_INDEX, MIN_INDEX, SCALE, Histograms
from wattspan.telemetry.otlp.points import Points
from wattspan.telemetry.prometheus.exposition import Format
from wattspan.telemetry.prometheus.page import Page


def state(detail: str = "connectors", **histograms: bool) -> State:
    """Return the state of one charge point with a connector and a message."""
    fleet = Fleet()
    cp = fleet.charge_point("CP1", 1.0)
    connector = cp.connector("1")
    connector.status = "Available"
    found = State(
        fleet=fleet,
        counters=ServerCounters(started_ts=1.0),
        histograms=Histograms(by_charge_point=detail != "fleet", **histograms),
        clock=lambda: 2.0,
        shows=shows_detail(detail),
    )
    found.histograms.handling.series("CP1", "Heartbeat").record(0.003)
    return found


def metrics_of(points: Points) -> dict[str, Any]:
    written = b"".join(piece.metric for piece in points.pieces(1000))
    return {metric.name: metric for metric in ScopeMetrics.FromString(written).metrics}


@pytest.mark.parametrize(
    ("detail", "has_charge_points", "has_connectors"),
    [("fleet", False, False), ("charge_points", True, False), ("connectors", True, True)],
)
def test_a_step_of_detail_has_the_series_of_what_it_names(
    detail: str, has_charge_points: bool, has_connectors: bool
) -> None:
    shown = state(detail)
    page = "".join(Page(shown).render(Format.TEXT, lambda _: True))
    assert ('cp_id="CP1"' in page) == has_charge_points
    assert ("connector_id=" in page) == has_connectors
    assert "ocpp_msg_handling_seconds_count{" in page
    assert "ocpp_central_up 1" in page
    by_otlp = metrics_of(Points(shown))
    assert ("ocpp_cp_connected" in by_otlp) == has_charge_points
    assert ("ocpp_connector_status" in by_otlp) == has_connectors


def test_the_setting_takes_each_step_in_both_spellings() -> None:
    for detail in DETAILS:
        for spelling in (detail, detail.replace("_", "-")):
            settings, faults = check_settings({"metrics_detail": spelling}, None, {})
            assert not faults
            assert settings.metrics_detail == detail


def test_exponential_buckets_hold_their_values_and_the_classic_ones_stay() -> None:
    shown = state(exponential=True)
    series = shown.histograms.handling.series("CP1", "Heartbeat")
    values = [0.003, 0.0031, 0.5, 1.0, 2.0, 0.0, 1e-12, 1e12]
    for value in values[1:]:
        series.record(value)
    page = "".join(Page(shown).render(Format.TEXT, lambda _: True))
    assert 'ocpp_msg_handling_seconds_bucket{cp_id="CP1",message_type="Heartbeat",le="+Inf"} 8' in page
    (point,) = metrics_of(Points(shown))["ocpp_msg_handling_seconds"].exponential_histogram.data_points
    assert (point.count, point.zero_count, point.scale) == (8, 1, SCALE)
    assert point.sum == sum(values)
    found = {point.positive.offset + at: count for at, count in enumerate(point.positive.bucket_counts) if count}
    assert found.pop(MIN_INDEX) == found.pop(MAX_INDEX) == 1
    for value in values[:5]:
        assert any(2 ** (index / 2**SCALE) < value <= 2 ** ((index + 1) / 2**SCALE) * (1 + 1e-9) for index in found)
    assert found[-1] == 1, "1.0 is the upper edge of its bucket"


def test_exponential_deltas_are_what_came_since() -> None:
    shown = state(exponential=True)
    points = Points(shown, histograms=AggregationTemporality.DELTA)
    assert "ocpp_msg_handling_seconds" in metrics_of(points)
    assert "ocpp_msg_handling_seconds" not in metrics_of(points)
    shown.histograms.handling.series("CP1", "Heartbeat").record(0.5)
    (point,) = metrics_of(points)["ocpp_msg_handling_seconds"].exponential_histogram.data_points
    assert (point.count, point.sum) == (1, 0.5)
