"""A real Prometheus on our page: a large fleet, both formats, exemplars, its lint, and the queries that must work."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stack.process import LOOPBACK, eventually
from stack.servers import Collector, Jaeger, Prometheus, RunPrometheus, Target, attributes, promtool
from stack.wattspan_server import WattspanServer, to_collector
from support.chargers import BOOT, START, Charger, energy, meter_values, status, stop

FLEET = 2500
AT_ONCE = 50
PER_CHARGE_POINT = (
    "ocpp_cp_connected",
    "ocpp_cp_last_msg_ts",
    "ocpp_cp_last_heartbeat_ts",
    "ocpp_cp_disconnects_total",
    "ocpp_cp_boots_total",
    "ocpp_tx_total",
    "ocpp_cp_energy_total_wh",
    "ocpp_cp_info",
)
QUERIES = (
    "sum(ocpp_cp_connected)",
    "rate(ocpp_cp_disconnects_total[1h])",
    "sum(ocpp_tx_active)",
    "increase(ocpp_cp_energy_total_wh[24h])",
    "rate(ocpp_tx_total[5m]) * 60",
    "sum(ocpp_tx_energy_wh)",
    "rate(ocpp_msg_handling_seconds_sum[5m]) / rate(ocpp_msg_handling_seconds_count[5m])",
    "histogram_quantile(0.95, rate(ocpp_msg_handling_seconds_bucket[5m]))",
    "sum by (message_type) (rate(ocpp_msg_handling_seconds_count[5m]))",
    "rate(ocpp_cp_errors_total[5m]) * 60",
    "sum(rate(ocpp_cp_errors_total[1h])) by (error_type)",
    "ocpp_cp_errors_total > 0",
    "sum(ocpp_cp_current_a)",
    "ocpp_cp_current_a / ocpp_cp_current_limit_a > 0.9",
    "sum(ocpp_cp_current_a) * 240",
)
STALE_HEARTBEAT = "time() - ocpp_cp_last_heartbeat_ts{} > 300"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[WattspanServer]:
    async with WattspanServer.run(tmp_path) as server:
        yield server


@asynccontextmanager
async def charging(server: WattspanServer) -> AsyncIterator[None]:
    """CP1 had a fault and a session, and is in the next one, near its limit."""
    async with Charger(f"{server.url}/CP1") as charger:
        await charger.call("BootNotification", BOOT)
        await charger.call("Heartbeat")
        await charger.call("StatusNotification", status("Faulted", error_code="GroundFailure"))
        first = (await charger.call("StartTransaction", START))["transactionId"]
        await charger.call("StopTransaction", stop(first))
        later = START | {"timestamp": "2026-11-21T12:00:00Z"}
        second = (await charger.call("StartTransaction", later))["transactionId"]
        current = {"value": "31", "measurand": "Current.Import", "unit": "A"}
        offered = {"value": "32", "measurand": "Current.Offered", "unit": "A"}
        await charger.call("MeterValues", meter_values(second, energy(2000), current, offered))
        yield


async def test_a_fleet_of_2500_is_on_one_page_without_overflow_and_by_otlp(
    tmp_path: Path, collector: Collector
) -> None:
    environment = to_collector(collector) | {"OTEL_METRIC_EXPORT_INTERVAL": "5000", "OTEL_TRACES_EXPORTER": "none"}
    async with WattspanServer.run(tmp_path, environment) as server:
        await visit(server, [f"CP{number:04}" for number in range(FLEET)])
        await eventually(partial(nobody_is_connected, server))
        ours = await server.page()
        assert "overflow" not in ours
        assert series_of(ours) == dict.fromkeys(PER_CHARGE_POINT, FLEET)
        await eventually(lambda: all_are_told(collector))
        assert "overflow" not in await collector.page()
        seldom = {"scrape_interval": "5s", "scrape_timeout": "5s"}  # a large page takes its time
        async with Prometheus.run(tmp_path, [Target(address=server.metrics)], **{"global": seldom}) as database:
            await eventually(partial(gives, database, "count(ocpp_cp_connected)", FLEET))

            await decommission(server, "CP0007")
            await eventually(partial(is_gone, server, "CP0007"))
            assert series_of(await server.page()) == dict.fromkeys(PER_CHARGE_POINT, FLEET - 1)
            await eventually(partial(gives, database, "count(ocpp_cp_connected)", FLEET - 1))
            assert await database.query('ocpp_msg_handling_seconds_count{cp_id="CP0007"}') == []
            await eventually(partial(is_up, database))


async def visit(server: WattspanServer, cp_ids: list[str]) -> None:
    """Each charge point connects, boots, sends a heartbeat and leaves, some at a time."""
    waiting = iter(cp_ids)

    async def some() -> None:
        for cp_id in waiting:
            async with Charger(f"{server.url}/{cp_id}") as charger:
                await charger.call("BootNotification", BOOT)
                await charger.call("Heartbeat")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())


async def nobody_is_connected(server: WattspanServer) -> bool:
    return await server.value("ocpp_central_sockets") == 0


def series_of(page: str) -> dict[str, int]:
    """How many series those metrics have that each charge point has one of."""
    counted = Counter(line.partition("{")[0] for line in page.splitlines() if "{cp_id=" in line)
    return {name: counted[name] for name in PER_CHARGE_POINT}


async def all_are_told(collector: Collector) -> bool:
    counted = Counter(line.partition("{")[0] for line in (await collector.page()).splitlines())
    return all(counted[name] >= FLEET for name in PER_CHARGE_POINT)


async def gives(database: Prometheus, expression: str, value: float) -> bool:
    return [found for _, found in await database.query(expression)] == [value]


async def decommission(server: WattspanServer, cp_id: str) -> None:
    """As an operator does it, while the server runs."""
    command = [sys.executable, "-m", "wattspan", "cp", "remove", cp_id, "--database", str(server.database)]
    child = await asyncio.create_subprocess_exec(*command)
    assert await child.wait() == 0


async def is_gone(server: WattspanServer, cp_id: str) -> bool:
    return cp_id not in await server.page()


async def is_up(database: Prometheus) -> bool:
    """Whether the last scrape succeeded: on a busy machine one may take longer than its second."""
    return [(target["health"], target["lastError"]) for target in await database.targets()] == [("up", "")]


@asynccontextmanager
async def as_openmetrics(server: WattspanServer) -> AsyncIterator[Target]:
    """What every Prometheus asks for by itself."""
    yield Target(address=server.metrics)


@asynccontextmanager
async def as_text(server: WattspanServer) -> AsyncIterator[Target]:
    """Prometheus 2 can't be told to ask for text 0.0.4; so somebody stands between who does."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        page = (await server.page(accept="text/plain;version=0.0.4")).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(page)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + page)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(pass_on, LOOPBACK, 0) as proxy:
        yield Target(address=f"{LOOPBACK}:{proxy.sockets[0].getsockname()[1]}")


@pytest.mark.parametrize("scraped", [as_openmetrics, as_text])
async def test_the_queries_of_operators_give_data(
    server: WattspanServer,
    prometheus: RunPrometheus,
    scraped: Callable[[WattspanServer], AbstractAsyncContextManager[Target]],
) -> None:
    async with charging(server), scraped(server) as target, prometheus([target]) as database:
        heartbeat_s = await server.value('ocpp_cp_last_heartbeat_ts{cp_id="CP1"}')
        assert heartbeat_s
        await eventually(partial(has_samples, database, 4))
        for query in QUERIES:
            assert await eventually(partial(database.query, query)), query
        # Five minutes on, with the figures of now: Prometheus takes a sample for current for as long.
        stale = partial(database.query, STALE_HEARTBEAT, at_s=heartbeat_s + 301)
        (labels, age_s), *others = await eventually(stale)  # nothing is there after a scrape that failed
        assert (labels["cp_id"], others) == ("CP1", [])
        assert age_s > 300
        await eventually(partial(gives, database, "ocpp_cp_energy_total_wh", 7500))
        await eventually(partial(gives, database, "sum(ocpp_tx_energy_wh)", 1000))
        await eventually(partial(gives, database, "ocpp_cp_current_a / ocpp_cp_current_limit_a > 0.9", 31 / 32))
        await eventually(partial(is_up, database))


async def has_samples(database: Prometheus, count: int) -> bool:
    return any(value >= count for _, value in await database.query("count_over_time(ocpp_central_up[5m])"))


async def test_an_exemplar_in_prometheus_leads_to_its_trace_in_jaeger(
    tmp_path: Path, collector: Collector, jaeger: Jaeger, prometheus: RunPrometheus
) -> None:
    async with (
        WattspanServer.run(tmp_path, to_collector(collector)) as server,
        prometheus([Target(address=server.metrics)]) as database,
        charging(server),
    ):
        found, *_ = await eventually(partial(exemplars, database, time.time()))
        labels = found["seriesLabels"]
        exemplar = found["exemplars"][0]
        told = await eventually(partial(jaeger.trace, exemplar["labels"]["trace_id"]))
        assert told is not None
        (span,) = (each for each in told["spans"] if each["spanID"] == exemplar["labels"]["span_id"])
        assert span["operationName"] == labels["message_type"]
        facts = attributes(span)
        assert (facts["cp_id"], facts["csms.force_sample"]) == (labels["cp_id"], True)
        assert span["duration"] / 1e6 == pytest.approx(float(exemplar["value"]), abs=1e-5)
        assert float(exemplar["value"]) <= float(labels["le"])
        await eventually(partial(is_up, database))


async def exemplars(database: Prometheus, since_s: float) -> list[dict[str, Any]]:
    return await database.exemplars("ocpp_msg_handling_seconds_bucket", start_s=since_s - 60, end_s=since_s + 60)


async def test_without_a_place_for_traces_nothing_points_to_one(
    server: WattspanServer, prometheus: RunPrometheus
) -> None:
    async with prometheus([Target(address=server.metrics)]) as database, charging(server):
        await eventually(partial(has_samples, database, 3))
        assert await exemplars(database, time.time()) == []


def findings(page: str) -> list[str]:
    """What promtool says of a page."""
    command = [str(promtool()), "check", "metrics"]
    done = subprocess.run(command, input=page, check=False, capture_output=True, text=True, timeout=30)
    return (done.stdout + done.stderr).splitlines()


async def test_promtool_finds_nothing_but_the_energy_counters_name(server: WattspanServer) -> None:
    async with charging(server):
        page = await server.page()
    assert findings(page) == ['ocpp_cp_energy_total_wh counter metrics should have "_total" suffix']
