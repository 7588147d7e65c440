"""`wattspan.prometheus`: the page of any program that has a MeterProvider."""

import threading
from collections.abc import Iterator

import httpx
import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest

from support.scraping import NOW_TS, fill, samples, scraped, state
from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.prometheus import PrometheusReader
from wattspan.telemetry import catalogue
from wattspan.telemetry.families import FAMILIES, State
from wattspan.telemetry.instruments import ApiMeasures, FleetInstruments
from wattspan.telemetry.prometheus.reader import PrometheusReader as ServerReader

OPENMETRICS = "application/openmetrics-text"


@pytest.fixture
def reader() -> PrometheusReader:
    return PrometheusReader()


@pytest.fixture
def provider(reader: PrometheusReader) -> Iterator[MeterProvider]:
    made = MeterProvider([reader], shutdown_on_exit=False)
    yield made
    made.shutdown()


def fleet_of(provider: MeterProvider, count: int = 2) -> State:
    shown = state()
    fill(shown, count, actions=())
    FleetInstruments.of(provider, provider.get_meter(catalogue.METER)).add(shown)
    return shown


async def test_the_page_is_the_servers(reader: PrometheusReader, provider: MeterProvider) -> None:
    shown = fleet_of(provider)
    _, text = reader.page()
    theirs = samples(await scraped(ServerReader(shown)))
    ours = {name: value for name, value in samples(text).items() if not name.startswith("process_")}
    assert ours == theirs
    assert "# TYPE ocpp_cp_energy_total_wh counter\n" in text


def test_two_fleets_of_one_program_share_the_families(reader: PrometheusReader, provider: MeterProvider) -> None:
    fleet_of(provider)
    other = state()
    apply(other.fleet, ev.ChargePointConnected(cp_id="OTHER", received_ts=NOW_TS, protocol="ocpp1.6"))
    FleetInstruments.of(provider, provider.get_meter(catalogue.METER)).add(other)
    _, text = reader.page()
    found = samples(text)
    assert found['ocpp_cp_connected{cp_id="CP-000001"}'] == found['ocpp_cp_connected{cp_id="OTHER"}'] == "1"
    assert text.count("# TYPE ocpp_cp_connected gauge\n") == 1
    assert found['ocpp_cp_energy_total_wh{cp_id="CP-000001"}'] == "0.0"


def test_all_names_but_one_are_those_of_the_stock_reader() -> None:
    registry = CollectorRegistry()
    stock, ours = PrometheusMetricReader(scope_info_enabled=False, registry=registry), PrometheusReader()
    provider = MeterProvider([stock, ours], shutdown_on_exit=False)
    fleet_of(provider)
    provider.get_meter("library").create_counter("jobs.done", "1").add(3)
    measures = ApiMeasures(provider.get_meter(catalogue.METER))
    measures.record(catalogue.COMMITS, 0.1, 1)
    names = [_sample_names(generate_latest(registry).decode()), _sample_names(ours.page()[1])]
    provider.shutdown()
    assert names[0] - names[1] == {"ocpp_cp_energy_total_wh_total", "target_info"}
    assert names[1] - names[0] == {"ocpp_cp_energy_total_wh"}


def _sample_names(page: str) -> set[str]:
    return {line.partition(" ")[0].partition("{")[0] for line in page.splitlines() if not line.startswith("#")}


def test_openmetrics_and_one_family(reader: PrometheusReader, provider: MeterProvider) -> None:
    fleet_of(provider)
    content_type, text = reader.page(OPENMETRICS, ["ocpp_cp_connected"])
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert text.splitlines()[-1] == "# EOF"
    assert {series.partition("{")[0] for series in samples(text)} == {"ocpp_cp_connected"}


def test_a_server_serves_the_page_until_it_is_stopped(reader: PrometheusReader, provider: MeterProvider) -> None:
    fleet_of(provider)
    with reader.start_http_server(0) as server:
        url = f"http://127.0.0.1:{server.port}/metrics"
        answer = httpx.get(url)
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert answer.headers["content-encoding"] == "gzip"
        assert samples(answer.text)['ocpp_cp_connected{cp_id="CP-000002"}'] == "1"
        assert httpx.head(f"{url}?name[]=ocpp_cp_boots_total").content == b""
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


async def test_an_asgi_application_serves_it(reader: PrometheusReader, provider: MeterProvider) -> None:
    fleet_of(provider)
    transport = httpx.ASGITransport(reader.asgi_app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/metrics", headers={"Accept": OPENMETRICS})
    assert answer.text.endswith("# EOF\n")
    assert answer.headers["content-encoding"] == "gzip"


def test_the_fleet_may_change_while_the_page_is_rendered(reader: PrometheusReader, provider: MeterProvider) -> None:
    shown = fleet_of(provider, 50)
    ended = threading.Event()

    def change() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            cp_id, connector = f"CP-{number % 80:06d}", str(number % 40)
            event = ev.ConnectorStatusChanged(
                cp_id=cp_id, received_ts=NOW_TS, connector_id=connector, status="Faulted", error_code=f"E{number}"
            )
            apply(shown.fleet, event)
            if number % 7 == 0:
                apply(shown.fleet, ev.ChargePointDecommissioned(cp_id=cp_id, received_ts=NOW_TS))

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(30):
            assert len(samples(reader.page()[1])) > len(FAMILIES)
    finally:
        ended.set()
        changing.join()
