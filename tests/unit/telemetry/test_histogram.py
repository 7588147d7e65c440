import gc
from functools import reduce
from operator import add

from hypothesis import given
from hypothesis import strategies as st

from wattspan.telemetry import catalogue
from wattspan.telemetry.histogram import Histogram, Histograms

METRIC = catalogue.HANDLING


def test_a_bound_belongs_to_the_bucket_it_closes() -> None:
    series = Histogram(METRIC).series("CP1", "Heartbeat")
    assert series.record(METRIC.bounds[3]) == 3
    assert series.record(METRIC.bounds[3] * 1.0001) == 4


def test_what_exceeds_every_bound_has_a_bucket_of_its_own() -> None:
    series = Histogram(METRIC).series("CP1", "Heartbeat")
    assert series.record(1e9) == len(METRIC.bounds) == len(series.counts) - 1


@given(st.lists(st.floats(min_value=0, max_value=100)))
def test_nothing_recorded_is_lost(values: list[float]) -> None:
    series = Histogram(METRIC).series("CP1", "Heartbeat")
    for value in values:
        series.record(value)
    assert series.count == len(values)
    assert series.total == reduce(add, values, 0.0)  # one after the other: `sum` corrects rounding from Python 3.12 on
    if values:
        assert (series.lowest, series.highest) == (min(values), max(values))


def test_a_series_is_kept_for_its_labels() -> None:
    histogram = Histogram(METRIC)
    assert histogram.series("CP1", "Heartbeat") is histogram.series("CP1", "Heartbeat")
    assert histogram.series("CP1", "Heartbeat") is not histogram.series("CP2", "Heartbeat")


def test_a_decommissioned_charge_point_takes_its_series_along_and_no_other() -> None:
    histograms = Histograms()
    for cp_id in ("CP1", "CP2"):
        histograms.handling.series(cp_id, "Heartbeat").record(0.1)
    histograms.remove("CP1")
    assert [series.labels for series in histograms.handling] == [("CP2", "Heartbeat")]


def test_without_the_charge_point_all_of_a_message_type_is_one_series() -> None:
    histograms = Histograms(by_charge_point=False)
    for cp_id in ("CP1", "CP2"):
        histograms.handling.series(cp_id, "Heartbeat").record(0.1)
    histograms.remove("CP1")
    assert [(series.labels, series.count) for series in histograms.handling] == [(("Heartbeat",), 2)]
    assert histograms.handling.metric.labels == ("message_type",)


def test_series_may_come_while_others_are_read() -> None:
    histogram = Histogram(METRIC)
    histogram.series("CP1", "Heartbeat")
    for first, _ in histogram.groups():
        histogram.series(f"{first}x", "Heartbeat")
    assert len(list(histogram)) == 2


def test_a_metric_without_labels_has_one_series() -> None:
    histogram = Histogram(catalogue.COMMITS)
    histogram.series().record(0.001)
    assert [(series.labels, series.count) for series in histogram] == [((), 1)]


def test_a_series_may_come_while_another_thread_walks():
    """To copy pairs out of a dictionary makes a tuple each: the collector runs, and then whatever thread wants to."""
    histogram = Histogram(METRIC)
    for number in range(5000):  # above what tuples Python keeps in reserve
        histogram.series(f"CP{number}", "Heartbeat")

    def come(_phase: str, _info: object) -> None:
        histogram.series(f"CP{len(histogram.known)}", "Heartbeat")

    before = gc.get_threshold()
    gc.callbacks.append(come)
    gc.set_threshold(1)
    try:
        walked = sum(1 for _ in histogram)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(come)
    assert walked >= 5000
