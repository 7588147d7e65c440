"""The page in Prometheus' protobuf format: the samples of the text page, and native histograms."""

import math
from collections.abc import Iterator
from io import BytesIO
from itertools import accumulate
from typing import Any

import pytest
from google.protobuf.proto import parse_length_prefixed
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource

from support.scraping import fill, samples, scraped, state
from wattspan.telemetry.families import State
from wattspan.telemetry.histogram import SCALE, Exemplar, ExponentialSeries, Histograms
from wattspan.telemetry.process import register_process
from wattspan.telemetry.prometheus.exposition import Format, number, pairs, wanted
from wattspan.telemetry.prometheus.protobuf import MetricFamily, ProtobufPage
from wattspan.telemetry.prometheus.reader import PrometheusReader

ACCEPT_OF_PROMETHEUS_3 = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


def families(page: bytes) -> Iterator[Any]:
    rest = BytesIO(page)
    while rest.tell() < len(page):
        yield parse_length_prefixed(MetricFamily, rest)


async def protobuf(reader: PrometheusReader, *names: str) -> dict[str, Any]:
    found = list(families(b"".join(await reader.scrape(Format.PROTOBUF, names=names))))
    by_name = {family.name: family for family in found}
    assert len(by_name) == len(found)
    return by_name


def text_of(found: dict[str, Any]) -> dict[str, str]:
    """Return the samples as the text page has them."""
    lines: dict[str, str] = {}
    for family in found.values():
        for metric in family.metric:
            labels = tuple((each.name, each.value) for each in metric.label)

            def sample(suffix: str, value: float, *more: tuple[str, str]) -> None:
                named = (*labels, *more)  # noqa: B023 - called at once
                text = pairs(tuple(name for name, _ in named), tuple(value for _, value in named))
                name = family.name + suffix  # noqa: B023
                lines[f"{name}{{{text}}}" if text else name] = number(value)

            if not metric.HasField("histogram"):
                (value,) = (each.value for field, each in metric.ListFields() if field.name != "label")
                sample("", value)
                continue
            for bucket in metric.histogram.bucket:
                bound = "+Inf" if math.isinf(bucket.upper_bound) else str(bucket.upper_bound)
                sample("_bucket", bucket.cumulative_count, ("le", bound))
            sample("_sum", metric.histogram.sample_sum)
            sample("_count", metric.histogram.sample_count)
    return lines


def as_numbers(found: dict[str, str]) -> dict[str, float]:
    return {name: float(value) for name, value in found.items() if not name.startswith("process_")}


async def test_it_has_the_samples_of_the_text_page() -> None:
    shown = state()
    fill(shown, 100)
    reader = PrometheusReader(shown, Resource({"service.name": "wattspan"}))
    provider = MeterProvider([reader], shutdown_on_exit=False)
    meter = provider.get_meter("library")
    register_process(provider.get_meter("wattspan"))
    meter.create_counter("library.calls").add(3, {"kind": "a"})
    meter.create_up_down_counter("library.open").add(2)
    meter.create_histogram("library.seconds").record(0.3, {"kind": "b"})
    found = await protobuf(reader)
    assert as_numbers(text_of(found)) == as_numbers(samples(await scraped(reader)))
    assert {"process_cpu_seconds_total", "target_info", "library_calls_total", "library_seconds"} <= found.keys()
    assert found["ocpp_cp_energy_total_wh"].type == 0
    assert found["ocpp_msg_handling_seconds"].type == 4
    provider.shutdown()


async def test_it_is_limited_to_the_families_that_were_named() -> None:
    shown = state()
    fill(shown, 2)
    found = await protobuf(PrometheusReader(shown), "ocpp_cp_connected", "ocpp_msg_handling_seconds_bucket")
    assert set(found) == {"ocpp_cp_connected", "ocpp_msg_handling_seconds"}


def recorded(*values: float) -> Any:
    """Return the message of a series with these values."""
    shown = exponential_state()
    series = shown.histograms.commits.series()
    for value in values:
        series.record(value)
    ((metric,),) = (
        family.metric
        for family in families(b"".join(ProtobufPage(shown).render(lambda name: name.startswith("ocpp_store_commit"))))
    )
    return metric.histogram


def exponential_state() -> State:
    found = state()
    return State(fleet=found.fleet, counters=found.counters, histograms=Histograms(exponential=True))


def buckets(histogram: Any) -> dict[int, int]:
    """Return the native buckets by index, as a reader of the format finds them."""
    counts = accumulate(histogram.positive_delta)
    index, found = 0, {}
    for span in histogram.positive_span:
        index += span.offset
        for _ in range(span.length):
            found[index] = next(counts)
            index += 1
    return found


def test_a_value_is_in_the_native_bucket_that_ends_at_or_above_it() -> None:
    values = (0.0007, 0.001, 0.001, 0.0011, 1.0, 2.0, 2.0, 300.0)
    histogram = recorded(*values)
    assert (histogram.schema, histogram.sample_count) == (SCALE, len(values))
    assert histogram.sample_sum == pytest.approx(sum(values))
    found = buckets(histogram)
    assert sum(found.values()) == len(values)
    for value in values:
        (index,) = [index for index in found if 2 ** ((index - 1) / 8) < value <= 2 ** (index / 8)]
        assert found[index] == sum(2 ** ((index - 1) / 8) < each <= 2 ** (index / 8) for each in values)
    assert len(histogram.bucket) > 1


def test_what_is_not_positive_is_in_the_zero_bucket() -> None:
    histogram = recorded(0.0, 0.0, 1.0)
    assert (histogram.zero_count, histogram.sample_count) == (2, 3)
    assert buckets(histogram) == {0: 1}


def test_an_exemplar_stays_with_its_classic_bucket() -> None:
    shown = exponential_state()
    series = shown.histograms.commits.series()
    series.exemplars[series.record(0.003)] = Exemplar(255, 16, 0.003, 1.5)
    (family,) = families(b"".join(ProtobufPage(shown).render(lambda name: name.startswith("ocpp_store_commit"))))
    ((found,),) = [
        [bucket.exemplar for bucket in metric.histogram.bucket if bucket.HasField("exemplar")]
        for metric in family.metric
    ]
    assert {each.name: each.value for each in found.label} == {"trace_id": f"{255:032x}", "span_id": f"{16:016x}"}
    assert (found.timestamp.seconds, found.timestamp.nanos, found.value) == (1, 500_000_000, 0.003)
    assert isinstance(series, ExponentialSeries)


async def test_what_utf_8_cannot_encode_is_replaced() -> None:
    shown = state()
    shown.counters.messages["in", "\ud800"] = 1
    found = await protobuf(PrometheusReader(shown), "ocpp_central_messages_total")
    assert '="?"' in "".join(text_of(found))


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (ACCEPT_OF_PROMETHEUS_3, Format.PROTOBUF),
        (Format.PROTOBUF.value, Format.PROTOBUF),
        ("application/vnd.google.protobuf", Format.TEXT),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=compact-text",
            Format.TEXT,
        ),
        (f"{Format.PROTOBUF.value};q=0.1,application/openmetrics-text", Format.OPENMETRICS),
        ("text/plain", Format.TEXT),
    ],
)
def test_protobuf_is_for_those_who_prefer_it(accept: str, form: Format) -> None:
    assert wanted(accept, protobuf=True) is form
    assert wanted(accept) is not Format.PROTOBUF
