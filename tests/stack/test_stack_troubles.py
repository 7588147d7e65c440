"""What stands behind the Collector fails, or the Collector itself: chargers notice nothing, and what waited arrives."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from stack.process import LOOPBACK, eventually, free_ports
from stack.servers import Collector, Jaeger
from stack.shipped import VictoriaLogs
from stack.wattspan_server import WattspanServer, to_collector
from support.chargers import BOOT, START, Charger, stop

LINES = '{service.name="wattspan"}'
SESSION = "charging session"
LOGS = "otlp_http/logs"
"""The Collector's exporter of log records."""
SPANS = 7
"""Of `charge`: the connection's begin and end, three messages, the session and its phase."""
RECORDS = 6
"""Of a server's start and `charge`."""


async def charge(server: WattspanServer, cp_id: str) -> None:
    """A session, each message of which is answered."""
    async with Charger(f"{server.url}/{cp_id}") as charger:
        await charger.call("BootNotification", BOOT)
        # Jaeger searches two days back, and a session's spans have the charger's time.
        at = {"timestamp": datetime.now(UTC).isoformat()}
        transaction_id = (await charger.call("StartTransaction", START | at))["transactionId"]
        await charger.call("StopTransaction", stop(transaction_id, 8500, **at))


async def sessions(jaeger: Jaeger, *cp_ids: str) -> bool:
    """Whether each of these has its session's trace, and no other has."""
    found = await jaeger.traces("wattspan", operation=SESSION)
    told = [tag["value"] for trace in found for tag in trace["spans"][0]["tags"] if tag["key"] == "cp_id"]
    return sorted(told) == sorted(cp_ids)


async def logged(logs: VictoriaLogs, *cp_ids: str) -> bool:
    """Whether each of these has a line for its session, and no other has."""
    ended = [line for line in await logs.lines(LINES) if line.text.startswith("session ended")]
    return sorted(line.fields["cp_id"] for line in ended) == sorted(cp_ids)


async def counted(collector: Collector, name: str, exporter: str) -> float:
    """A figure of the Collector's own about one of its exporters."""
    page = await collector.own_page()
    return sum(map(float, re.findall(rf'^{name}{{[^}}]*exporter="{exporter}"[^}}]*}} (\S+)$', page, re.MULTILINE)))


async def waits(collector: Collector, exporter: str, least: int) -> bool:
    return await counted(collector, "otelcol_exporter_queue_size", exporter) >= least


@asynccontextmanager
async def refusing(port: int) -> AsyncIterator[list[bytes]]:
    """Something at VictoriaLogs' address that answers 503; the requests it got."""
    got: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readline())
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, LOOPBACK, port):
        yield got


async def test_jaeger_is_down_for_a_while(tmp_path: Path) -> None:
    async with Jaeger.run(tmp_path) as jaeger:
        ports = jaeger.ports
    async with (
        Collector.run(tmp_path, jaeger=jaeger.otlp_grpc) as collector,
        WattspanServer.run(tmp_path, to_collector(collector)) as server,
    ):
        await charge(server, "CP1")
        await eventually(partial(waits, collector, "otlp_grpc/jaeger", 1))
        async with Jaeger.run(tmp_path, ports=ports) as back:
            await eventually(partial(sessions, back, "CP1"))
            await charge(server, "CP2")
            await eventually(partial(sessions, back, "CP1", "CP2"))
        assert await counted(collector, "otelcol_exporter_enqueue_failed_spans", "otlp_grpc/jaeger") == 0
        assert await server.value('ocpp_central_telemetry_dropped_total{signal="traces"}') == 0


async def test_victorialogs_refuses_for_a_while(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with (
        Collector.run(tmp_path, logs=f"{LOOPBACK}:{port}") as collector,
        WattspanServer.run(tmp_path, to_collector(collector)) as server,
    ):
        async with refusing(port) as got:
            await charge(server, "CP1")

            async def asked_twice() -> bool:
                return len(got) >= 2

            await eventually(asked_twice)
        async with VictoriaLogs.run(tmp_path, port=port) as logs:
            await eventually(partial(logged, logs, "CP1"))
            assert await counted(collector, "otelcol_exporter_send_failed_log_records", LOGS) == 0


async def test_victorialogs_is_down_for_a_while(tmp_path: Path) -> None:
    async with VictoriaLogs.run(tmp_path) as logs:
        port = int(logs.address.rpartition(":")[2])
        async with (
            Collector.run(tmp_path, logs=logs.address) as collector,
            WattspanServer.run(tmp_path, to_collector(collector)) as server,
        ):
            await charge(server, "CP1")
            await eventually(partial(logged, logs, "CP1"))
            await logs.program.stop()
            await charge(server, "CP2")
            await eventually(partial(waits, collector, LOGS, 1))
            async with VictoriaLogs.run(tmp_path, port=port) as back:
                await eventually(partial(logged, back, "CP1", "CP2"))
            assert await counted(collector, "otelcol_exporter_enqueue_failed_log_records", LOGS) == 0
            assert await server.value('ocpp_central_telemetry_dropped_total{signal="logs"}') == 0


async def test_victorialogs_is_slow_for_a_while(tmp_path: Path) -> None:
    """It is stopped in its tracks: connections are accepted, and nothing is answered."""
    async with (
        VictoriaLogs.run(tmp_path) as logs,
        Collector.run(tmp_path, logs=logs.address) as collector,
        WattspanServer.run(tmp_path, to_collector(collector)) as server,
    ):
        logs.program.pause()
        await charge(server, "CP1")
        await eventually(partial(waits, collector, LOGS, 1))
        await charge(server, "CP2")
        logs.program.resume()
        await eventually(partial(logged, logs, "CP1", "CP2"))
        assert await counted(collector, "otelcol_exporter_send_failed_log_records", LOGS) == 0


async def test_victorialogs_has_no_room_on_its_disk_for_a_while(tmp_path: Path) -> None:
    """A limit above what any disk has leaves it as little room as a full disk does: it refuses what is sent."""
    no_room = {"storage.minFreeDiskSpaceBytes": "1000TB"}
    async with VictoriaLogs.run(tmp_path, port=None, **no_room) as full:
        port = int(full.address.rpartition(":")[2])
        async with (
            Collector.run(tmp_path, logs=full.address) as collector,
            WattspanServer.run(tmp_path, to_collector(collector)) as server,
        ):
            await charge(server, "CP1")
            await eventually(partial(waits, collector, LOGS, 1))

            async def refused() -> bool:
                return "cannot add rows into storage in read-only mode" in full.program.log_tail()

            await eventually(refused)
            assert await full.lines(LINES) == []
            await full.program.stop()
            async with VictoriaLogs.run(tmp_path, port=port) as roomy:
                await eventually(partial(logged, roomy, "CP1"))
            assert await counted(collector, "otelcol_exporter_send_failed_log_records", LOGS) == 0


async def test_the_collector_is_killed_and_what_waited_in_it_arrives(tmp_path: Path) -> None:
    async with Jaeger.run(tmp_path) as jaeger:
        jaeger_ports = jaeger.ports
    (logs_port,) = free_ports(1)
    run = partial(Collector.run, tmp_path, jaeger=jaeger.otlp_grpc, logs=f"{LOOPBACK}:{logs_port}")
    async with run() as collector, WattspanServer.run(tmp_path, to_collector(collector)) as server:
        await charge(server, "CP1")
        # All of it: what is not in the queues yet, such as a trace that is not decided on, is lost.
        await eventually(partial(waits, collector, "otlp_grpc/jaeger", SPANS))
        await eventually(partial(waits, collector, LOGS, RECORDS))
        collector.program.child.kill()
        await collector.program.child.wait()
        await charge(server, "WHILE-AWAY")
        async with (
            run(ports=collector.ports),
            Jaeger.run(tmp_path, ports=jaeger_ports) as back,
            VictoriaLogs.run(tmp_path, port=logs_port) as logs,
        ):

            async def arrived() -> bool:
                found = await back.traces("wattspan", operation=SESSION, tags={"cp_id": "CP1"})
                lines = await logs.lines(f"{LINES} cp_id:=CP1")
                ended = [line for line in lines if line.text.startswith("session ended")]
                return len(found) == 1 and len(ended) == 1

            await eventually(arrived)
            await charge(server, "CP2")

            async def goes_on() -> bool:
                return bool(await back.traces("wattspan", operation=SESSION, tags={"cp_id": "CP2"}))

            await eventually(goes_on)


async def test_a_full_queue_drops_and_counts_and_chargers_charge(tmp_path: Path) -> None:
    async with (
        Collector.run(tmp_path, OTELCOL_QUEUE_ITEMS="20") as collector,
        WattspanServer.run(tmp_path, to_collector(collector)) as server,
    ):

        async def full() -> bool:
            await charge(server, "CP1")
            return await counted(collector, "otelcol_exporter_enqueue_failed_spans", "otlp_grpc/jaeger") > 0

        await eventually(full)
        assert await waits(collector, "otlp_grpc/jaeger", 1)
        async with Charger(f"{server.url}/CP2") as charger:
            assert (await charger.call("BootNotification", BOOT))["status"] == "Accepted"
        assert await server.value('ocpp_cp_errors_total{cp_id="CP1"}') is None


@pytest.mark.parametrize("signal", ["traces", "logs"])
async def test_what_the_server_itself_loses_is_counted_when_no_collector_is_there(tmp_path: Path, signal: str) -> None:
    (port,) = free_ports(1)
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1000",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_BLRP_SCHEDULE_DELAY": "200",
    }
    async with WattspanServer.run(tmp_path, environment) as server:
        await charge(server, "CP1")

        async def is_counted() -> bool:
            return bool(await server.value(f'ocpp_central_telemetry_dropped_total{{signal="{signal}"}}'))

        await eventually(is_counted)
