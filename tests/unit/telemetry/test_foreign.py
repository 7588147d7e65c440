import itertools
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from support.scraping import fill, samples, scraped, state
from wattspan.telemetry import catalogue
from wattspan.telemetry.instruments import FleetInstruments
from wattspan.telemetry.process import Process, register_process
from wattspan.telemetry.prometheus.exposition import Format
from wattspan.telemetry.prometheus.reader import PrometheusReader


@pytest.fixture
def reader() -> PrometheusReader:
    return PrometheusReader(state())


@pytest.fixture
def provider(reader: PrometheusReader) -> Iterator[MeterProvider]:
    made = MeterProvider([reader])
    yield made
    made.shutdown()


async def test_names_and_units_are_mapped_as_the_stock_exporter_does(
    reader: PrometheusReader, provider: MeterProvider
) -> None:
    meter = provider.get_meter("somebody")
    meter.create_counter("http.requests", "1", "Requests.").add(2, {"http.method": "GET", "n": 1})
    meter.create_up_down_counter("queue.size", "{item}").add(-3)
    meter.create_histogram("db.time", "ms", explicit_bucket_boundaries_advisory=[0.5]).record(0.7)
    page = await scraped(reader)
    assert "# HELP http_requests_total Requests.\n# TYPE http_requests_total counter\n" in page
    assert 'http_requests_total{http_method="GET",n="1"} 2.0\n' in page
    assert "# TYPE queue_size gauge\nqueue_size -3.0\n" in page
    assert 'db_time_milliseconds_bucket{le="0.5"} 0.0\ndb_time_milliseconds_bucket{le="+Inf"} 1.0\n' in page
    assert "# TYPE http_requests counter\n" in await scraped(reader, Format.OPENMETRICS)


async def test_two_meters_with_one_name_share_a_family(reader: PrometheusReader, provider: MeterProvider) -> None:
    provider.get_meter("a").create_counter("jobs").add(1, {"queue": "x"})
    provider.get_meter("b").create_counter("jobs").add(2, {"kind": "y"})
    provider.get_meter("c").create_counter("jobs").add(3, {"kind": "y"})
    provider.get_meter("d").create_up_down_counter("jobs_total").add(9)
    page = await scraped(reader)
    assert page.count("# TYPE jobs_total ") == 1
    found = samples(page)
    assert [found['jobs_total{kind="",queue="x"}'], found['jobs_total{kind="y",queue=""}']] == ["1.0", "2.0"]
    assert "jobs_total" not in found


async def test_keys_that_become_one_do_not_cost_the_page(reader: PrometheusReader, provider: MeterProvider) -> None:
    provider.get_meter("a").create_counter("jobs").add(1, {"a.b": "x", "a_b": "y"})
    assert samples(await scraped(reader))['jobs_total{a_b="y"}'] == "1.0"


async def test_an_exponential_histogram_does_not_cost_the_page() -> None:
    reader = PrometheusReader(state())
    views = [View(instrument_type=Histogram, aggregation=ExponentialBucketHistogramAggregation())]
    provider = MeterProvider([reader], views=views)
    provider.get_meter("a").create_histogram("size", "By").record(7)
    found = samples(await scraped(reader))
    assert [found['size_bytes_bucket{le="+Inf"}'], found["size_bytes_sum"]] == ["1.0", "7.0"]
    provider.shutdown()


async def test_a_name_that_is_ours_is_shown_once_and_from_the_state(
    reader: PrometheusReader, provider: MeterProvider
) -> None:
    shown = state()
    fill(shown, 2)
    FleetInstruments(provider.get_meter(catalogue.METER), shown)
    assert not [series for series in samples(await scraped(reader)) if "CP-" in series]


async def test_a_histogram_that_the_sdk_records_for_us_has_exemplars_too(
    reader: PrometheusReader, provider: MeterProvider
) -> None:
    metric = catalogue.HANDLING
    histogram = provider.get_meter(catalogue.METER).create_histogram(
        metric.name, metric.unit, metric.help, explicit_bucket_boundaries_advisory=metric.bounds
    )
    span = NonRecordingSpan(SpanContext(255, 16, is_remote=False, trace_flags=TraceFlags(1)))
    histogram.record(0.002, {"cp_id": "CP1", "message_type": "Heartbeat"}, trace.set_span_in_context(span))
    page = await scraped(reader, Format.OPENMETRICS)
    start = 'ocpp_msg_handling_seconds_bucket{cp_id="CP1",message_type="Heartbeat",le="0.0025"} 1'
    assert f'{start} # {{trace_id="000000000000000000000000000000ff",span_id="0000000000000010"}} 0.002 ' in page


async def test_the_process_is_told_under_the_usual_names(reader: PrometheusReader, provider: MeterProvider) -> None:
    register_process(provider.get_meter(catalogue.METER))
    page = await scraped(reader)
    found = samples(page)
    for name in (name for name in catalogue.METRICS if name.startswith("process_")):
        assert float(found[name]) > 0
    assert "# TYPE process_cpu_seconds_total counter\n" in page
    assert "# TYPE process_resident_memory_bytes gauge\n" in page


def test_figures_of_the_process_are_read_once_for_readers_that_come_together() -> None:
    now_s = 100.0
    process = Process(clock=lambda: now_s)
    first = process.values()
    assert process.values() is first
    now_s += 1.0
    assert process.values() is not first


async def test_a_callback_that_raises_costs_its_own_instrument_alone(
    reader: PrometheusReader, provider: MeterProvider
) -> None:
    def broken(_options: CallbackOptions) -> list[Observation]:
        raise ValueError("broken")

    provider.get_meter("a").create_observable_gauge("bad", [broken])
    provider.get_meter("a").create_counter("good").add(1)
    found = samples(await scraped(reader))
    assert found["good_total"] == "1.0"


async def test_a_collection_that_times_out_costs_one_page_the_instruments_of_the_sdk_alone(
    reader: PrometheusReader, provider: MeterProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a process was stopped for longer than the SDK's time-out, in the middle of a scrape."""
    provider.get_meter("a").create_observable_gauge("idle", [lambda _options: [Observation(1)]])
    now_ns = itertools.count(0, 60 * 10**9)
    with monkeypatch.context() as patched:
        patched.setattr("opentelemetry.sdk.metrics._internal.measurement_consumer.time_ns", lambda: next(now_ns))
        found = samples(await scraped(reader))
    assert "ocpp_central_sockets" in found
    assert "idle" not in found
    assert "Timed out while executing callback" in caplog.text
    assert samples(await scraped(reader))["idle"] == "1.0"
