"""Native histograms on the page, as a real Prometheus 2 and a real Prometheus 3 take them by protobuf."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stack.process import eventually
from stack.servers import Collector, Prometheus, Release, Target
from stack.test_prometheus import QUERIES, charging, exemplars, has_samples, is_up
from stack.wattspan_server import WattspanServer, to_collector

NATIVE = "histogram_count(ocpp_msg_handling_seconds)"
NATIVE_MEDIAN = "histogram_quantile(0.5, ocpp_tx_duration_seconds)"
NATIVE_QUANTILE = "histogram_quantile(0.95, sum(ocpp_msg_handling_seconds))"
CLASSIC_QUANTILE = "histogram_quantile(0.95, sum by (le) (ocpp_msg_handling_seconds_bucket))"
INTERVAL = {"scrape_interval": "1s", "scrape_timeout": "1s"}
SCRAPES_BOTH: dict[str, Any] = {
    "global": INTERVAL | {"scrape_native_histograms": True, "always_scrape_classic_histograms": True}
}
NEWEST = Release("prometheus-3")
ENABLED = {"WATTSPAN_METRICS_NATIVE_HISTOGRAMS": "true"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[WattspanServer]:
    async with WattspanServer.run(tmp_path, ENABLED) as server:
        yield server


async def has_native(database: Prometheus) -> bool:
    """Whether it was read after the last message of `charging`."""
    return bool(await database.query('histogram_count(ocpp_msg_handling_seconds{message_type="MeterValues"})'))


async def test_prometheus_3_has_native_and_classic_histograms_and_every_query(
    tmp_path: Path, collector: Collector
) -> None:
    """Spans are exported, so that there are exemplars."""
    async with (
        WattspanServer.run(tmp_path, to_collector(collector) | ENABLED) as server,
        Prometheus.run(tmp_path, [Target(address=server.metrics)], NEWEST, **SCRAPES_BOTH) as database,
        charging(server),
    ):
        await eventually(partial(has_samples, database, 4))
        await eventually(partial(has_native, database))
        await eventually(partial(is_up, database))
        # Eventually, here and below: for a while nothing is there after a scrape that failed.
        native, classic = [
            {labels["message_type"]: count for labels, count in await eventually(partial(database.query, query))}
            for query in (NATIVE, "ocpp_msg_handling_seconds_count")
        ]
        assert native == classic
        assert native["Heartbeat"] == 1
        for query in QUERIES:
            assert await eventually(partial(database.query, query)), query
        assert await eventually(partial(exemplars, database, time.time()))
        (_, found), *_ = await eventually(partial(database.query, "histogram_sum(ocpp_tx_duration_seconds)"))
        (_, expected), *_ = await eventually(partial(database.query, "ocpp_tx_duration_seconds_sum"))
        assert found == expected


async def test_a_native_quantile_is_within_the_width_of_a_bucket(tmp_path: Path, server: WattspanServer) -> None:
    """Sessions of known length: one of 90 minutes."""
    run = partial(Prometheus.run, tmp_path, [Target(address=server.metrics)], NEWEST, **SCRAPES_BOTH)
    async with run() as database, charging(server):
        await eventually(partial(has_native, database))
        (_, length_s), *_ = await eventually(
            partial(database.query, "ocpp_tx_duration_seconds_sum / ocpp_tx_duration_seconds_count")
        )
        (_, native_s), *_ = await eventually(partial(database.query, NATIVE_MEDIAN))
        assert native_s == pytest.approx(length_s, rel=0.091)
        for query in (NATIVE_QUANTILE, CLASSIC_QUANTILE):
            (_, quantile_s), *_ = await eventually(partial(database.query, f"{query} > 0"))
            assert 0 < quantile_s < 1


async def test_prometheus_2_has_native_histograms_in_the_place_of_classic_ones(
    tmp_path: Path, server: WattspanServer
) -> None:
    """Debian's 2.42 has no setting that keeps the classic ones."""
    enabled = Release("prometheus", ["--enable-feature=native-histograms"])
    run = partial(Prometheus.run, tmp_path, [Target(address=server.metrics)], enabled)
    async with run() as database, charging(server):
        await eventually(partial(has_native, database))
        await eventually(partial(is_up, database))
        assert await eventually(partial(database.query, f"{NATIVE_QUANTILE} > 0"))
        assert await database.query("ocpp_msg_handling_seconds_bucket") == []
        told = await eventually(partial(database.query, "ocpp_cp_energy_total_wh"))
        assert {value for _, value in told} == {7500}


async def test_without_the_setting_prometheus_3_gets_what_it_got_before(tmp_path: Path) -> None:
    async with WattspanServer.run(tmp_path) as server:
        run = partial(Prometheus.run, tmp_path, [Target(address=server.metrics)], NEWEST, **SCRAPES_BOTH)
        async with run() as database, charging(server):
            await eventually(partial(has_samples, database, 3))
            assert await database.query(NATIVE) == []
            assert await eventually(partial(database.query, "ocpp_msg_handling_seconds_bucket"))
