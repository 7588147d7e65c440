import asyncio
import gc

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from support.scraping import NOW_TS, fill, samples, scraped, state, unpacked
from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.telemetry.histogram import Exemplar
from wattspan.telemetry.prometheus import reader as prometheus
from wattspan.telemetry.prometheus.exposition import Format
from wattspan.telemetry.prometheus.reader import PrometheusReader


async def test_raw_lines_of_a_charge_point_that_charges() -> None:
    shown = state()
    fill(shown, 1)
    lines = (await scraped(PrometheusReader(shown))).splitlines()
    expected = """
# TYPE ocpp_central_up gauge
ocpp_central_up 1
# TYPE ocpp_cp_connected gauge
ocpp_cp_connected{cp_id="CP-000001"} 1
# TYPE ocpp_cp_energy_total_wh counter
ocpp_cp_energy_total_wh{cp_id="CP-000001"} 0.0
# TYPE ocpp_cp_boots_total counter
ocpp_cp_boots_total{cp_id="CP-000001"} 1
ocpp_cp_last_heartbeat_ts{cp_id="CP-000001"} 1800000000.0
ocpp_cp_status{cp_id="CP-000001"} 2
ocpp_tx_active{cp_id="CP-000001",connector_id="1"} 1
ocpp_tx_active{cp_id="CP-000001",connector_id="2"} 0
ocpp_tx_energy_wh{cp_id="CP-000001",connector_id="1"} 500.5
ocpp_cp_current_limit_a{cp_id="CP-000001",connector_id="1"} 32.0
ocpp_connector_state{cp_id="CP-000001",connector_id="2",state="available"} 1
# TYPE ocpp_msg_handling_seconds histogram
ocpp_msg_handling_seconds_bucket{cp_id="CP-000001",message_type="Heartbeat",le="0.001"} 0
ocpp_msg_handling_seconds_bucket{cp_id="CP-000001",message_type="Heartbeat",le="0.0025"} 1
ocpp_msg_handling_seconds_bucket{cp_id="CP-000001",message_type="Heartbeat",le="+Inf"} 1
ocpp_msg_handling_seconds_sum{cp_id="CP-000001",message_type="Heartbeat"} 0.002
ocpp_msg_handling_seconds_count{cp_id="CP-000001",message_type="Heartbeat"} 1
ocpp_central_telemetry_dropped_total{signal="traces"} 0
"""
    assert [line for line in expected.split("\n")[1:-1] if line not in lines] == []


async def test_openmetrics_has_exemplars_and_its_own_names_and_ends_with_eof() -> None:
    shown = state()
    fill(shown, 1)
    series = shown.histograms.handling.series("CP-000001", "Heartbeat")
    series.exemplars[1] = Exemplar(255, 16, 0.002, NOW_TS)
    page = await scraped(PrometheusReader(shown), Format.OPENMETRICS)
    assert "# TYPE ocpp_cp_boots counter\n" in page
    assert 'ocpp_cp_boots_total{cp_id="CP-000001"} 1\n' in page
    assert "# TYPE ocpp_cp_energy_total_wh unknown\n" in page
    assert (
        'message_type="Heartbeat",le="0.0025"} 1 '
        '# {trace_id="000000000000000000000000000000ff",span_id="0000000000000010"} 0.002 1800000000.000\n'
    ) in page
    assert page.endswith("\n# EOF\n")
    assert "trace_id" not in await scraped(PrometheusReader(shown))


async def test_a_second_opinion_reads_both_formats() -> None:
    shown = state()
    fill(shown, 3)
    shown.histograms.commits.series().record(0.0007)
    shown.histograms.calls.series("Reset").record(0.2)
    shown.histograms.handling.series("CP-000001", "Heartbeat").exemplars[1] = Exemplar(1, 2, 0.002, NOW_TS)
    reader = PrometheusReader(shown)
    text = {family.name: family for family in text_families(await scraped(reader))}
    opened = {family.name: family for family in openmetrics_families(await scraped(reader, Format.OPENMETRICS))}
    assert opened["ocpp_cp_energy_total_wh"].type == "unknown"
    assert text["ocpp_store_commit_seconds"].type == opened["ocpp_store_commit_seconds"].type == "histogram"
    assert len(opened["ocpp_msg_handling_seconds"].samples) == 3 * 4 * (13 + 1 + 2)


async def test_odd_identities_stay_whole() -> None:
    shown = state()
    odd = 'a"b\\c\n100%d {}ü'
    apply(shown.fleet, ev.ChargePointConnected(cp_id=odd, received_ts=NOW_TS, protocol="ocpp1.6"))
    apply(shown.fleet, ev.ConnectorStatusChanged(cp_id=odd, received_ts=NOW_TS, connector_id='1"', status="Available"))
    shown.histograms.handling.series(odd, "Heartbeat").record(0.002)
    page = await scraped(PrometheusReader(shown))
    found = {
        sample.labels["cp_id"]
        for family in text_families(page)
        for sample in family.samples
        if sample.labels.get("cp_id")
    }
    assert found == {odd}


async def test_10000_charge_points_are_all_there_and_nothing_overflows() -> None:
    shown = state()
    fill(shown, 10_000, actions=("Heartbeat",))
    reader = PrometheusReader(shown)
    MeterProvider([reader])
    lines = samples(await unpacked(reader))
    counted: dict[str, int] = {}
    for series in lines:
        name = series.partition("{")[0]
        counted[name] = counted.get(name, 0) + 1
    assert counted["ocpp_cp_connected"] == counted["ocpp_tx_total"] == 10_000
    assert counted["ocpp_tx_active"] == counted["ocpp_connector_status"] == 20_000
    assert counted["ocpp_cp_current_a"] == 10_000
    assert counted["ocpp_connector_state"] == 60_000
    assert counted["ocpp_msg_handling_seconds_bucket"] == 140_000
    assert sum(float(value) for series, value in lines.items() if series.startswith("ocpp_tx_energy_wh")) == 5_005_000
    assert not [series for series in lines if "overflow" in series]


async def test_gzip_holds_the_same_page() -> None:
    shown = state()
    fill(shown, 20)
    reader = PrometheusReader(shown)
    assert await unpacked(reader) == await scraped(reader)


async def test_a_filter_by_name_keeps_whole_families() -> None:
    shown = state()
    fill(shown, 2)
    reader = PrometheusReader(shown)
    found = samples(await scraped(reader, names=["ocpp_cp_connected", "ocpp_msg_handling_seconds_sum"]))
    assert {series.partition("{")[0] for series in found} == {
        "ocpp_cp_connected",
        "ocpp_msg_handling_seconds_bucket",
        "ocpp_msg_handling_seconds_sum",
        "ocpp_msg_handling_seconds_count",
    }
    assert await scraped(reader, names=["nothing"]) == ""


async def test_everything_else_goes_on_between_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "SLICE_S", 0.0)
    shown = state()
    fill(shown, 100)
    scrape = asyncio.create_task(scraped(PrometheusReader(shown)))
    turns = 0
    while not scrape.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 50


async def test_charge_points_may_come_and_go_in_the_middle_of_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "SLICE_S", 0.0)
    shown = state()
    fill(shown, 100)
    reader = PrometheusReader(shown)
    scrape = asyncio.create_task(scraped(reader))
    number = 0
    while not scrape.done():
        number += 1
        gone = f"CP-{number:06d}"
        apply(shown.fleet, ev.ChargePointDecommissioned(cp_id=gone, received_ts=NOW_TS))
        shown.histograms.remove(gone)
        reader.forget(gone)
        apply(shown.fleet, ev.ChargePointConnected(cp_id=f"new-{number}", received_ts=NOW_TS, protocol="ocpp1.6"))
        apply(
            shown.fleet,
            ev.ConnectorStatusChanged(
                cp_id="CP-000100", received_ts=NOW_TS, connector_id=str(number), status="Faulted"
            ),
        )
        await asyncio.sleep(0)
    samples(await scrape)


async def test_a_decommissioned_charge_point_leaves_the_page_and_the_memory() -> None:
    shown = state()
    fill(shown, 2)
    reader = PrometheusReader(shown)
    assert "CP-000001" in await scraped(reader)
    apply(shown.fleet, ev.ChargePointDecommissioned(cp_id="CP-000001", received_ts=NOW_TS))
    assert "CP-000001" not in await scraped(reader)
    assert "CP-000001" not in repr(vars(reader._page)["_labels"])


async def test_a_second_scrape_waits_for_the_first() -> None:
    shown = state()
    fill(shown, 50)
    reader = PrometheusReader(shown)
    first, second = await asyncio.gather(scraped(reader), scraped(reader))
    assert first == second


async def test_a_cancelled_scrape_leaves_the_next_one_unharmed() -> None:
    shown = state()
    fill(shown, 200)
    reader = PrometheusReader(shown)
    scrape = asyncio.create_task(scraped(reader))
    for _ in range(3):
        await asyncio.sleep(0)
    scrape.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scrape
    assert gc.isenabled()
    assert "CP-000200" in await scraped(reader)


async def test_without_the_charge_point_the_histogram_has_a_series_a_message_type() -> None:
    shown = state(by_charge_point=False)
    fill(shown, 3, actions=("Heartbeat",))
    found = samples(await scraped(PrometheusReader(shown)))
    assert found['ocpp_msg_handling_seconds_count{message_type="Heartbeat"}'] == "3"
