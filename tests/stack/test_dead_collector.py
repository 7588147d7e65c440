"""A Collector that is dead, hangs, is slow or dies in mid-run changes nothing for chargers (ADR 12, decision 10).

What is claimed of time is only that things end: no answer and no shutdown waits for an exporter.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from stack.process import LOOPBACK, eventually, free_ports
from stack.servers import Collector, Jaeger
from stack.wattspan_server import WattspanServer, otlp, to_collector
from support.chargers import BOOT, Charger, energy, meter_values

CHARGERS = 20
EACH = 250
MESSAGES = CHARGERS * EACH
QUEUE, BATCH = 256, 128
SMALL_QUEUE = {"OTEL_BSP_MAX_QUEUE_SIZE": str(QUEUE), "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(BATCH)}
SMALL_QUEUE |= {"OTEL_EXPORTER_OTLP_TIMEOUT": "2000"}
GROWTH_BYTES = 24_000_000
"""What a load may leave: a fleet that grew, and the allocator's slack. Spans kept are bounded exactly, by the drops."""

Environment = dict[str, str]
Meanwhile = Callable[[], Awaitable[None]]
Taken = Callable[[], int]
"""Returns how many requests were answered, each with a batch at most."""
Trouble = AbstractAsyncContextManager[tuple[Environment, Meanwhile, Taken]]


@asynccontextmanager
async def closed(folder: Path, protocol: str) -> AsyncIterator[tuple[Environment, Meanwhile, Taken]]:
    """Nobody listens."""
    (port,) = free_ports(1)
    yield otlp(f"http://{LOOPBACK}:{port}", protocol), nothing, none


@asynccontextmanager
async def hanging(folder: Path, protocol: str) -> AsyncIterator[tuple[Environment, Meanwhile, Taken]]:
    """Its sockets are open, and nothing is ever answered."""
    async with Collector.run(folder) as collector:
        collector.program.pause()
        yield otlp(endpoint(collector, protocol), protocol), nothing, none


@asynccontextmanager
async def dying(folder: Path, protocol: str) -> AsyncIterator[tuple[Environment, Meanwhile, Taken]]:
    """It takes what comes, until it is killed."""
    async with Collector.run(folder) as collector:

        async def die() -> None:
            collector.program.child.kill()
            await collector.program.child.wait()

        yield otlp(endpoint(collector, protocol), protocol), die, none


@asynccontextmanager
async def slow(folder: Path, protocol: str) -> AsyncIterator[tuple[Environment, Meanwhile, Taken]]:
    """Each request is answered, after a second."""
    assert protocol == "http/protobuf"
    answered: list[None] = []
    async with await asyncio.start_server(partial(answer_slowly, answered), LOOPBACK, 0) as server:
        address = f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        yield otlp(address, protocol), nothing, lambda: len(answered)


async def answer_slowly(answered: list[None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            (length,) = re.findall(rb"content-length: (\d+)", head.lower())
            await reader.readexactly(int(length))
            await asyncio.sleep(1)
            answered.append(None)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def endpoint(collector: Collector, protocol: str) -> str:
    return collector.grpc_endpoint if protocol == "grpc" else collector.http_endpoint


async def nothing() -> None:
    return


def none() -> int:
    return 0


@pytest.mark.parametrize(
    ("collector", "protocol"),
    [
        (closed, "grpc"),
        (closed, "http/protobuf"),
        (hanging, "grpc"),
        (hanging, "http/protobuf"),
        (dying, "grpc"),
        (dying, "http/protobuf"),
        (slow, "http/protobuf"),
    ],
)
async def test_chargers_never_notice(tmp_path: Path, collector: Callable[[Path, str], Trouble], protocol: str) -> None:
    async with (
        collector(tmp_path, protocol) as (environment, meanwhile, taken),
        WattspanServer.run(tmp_path, environment | SMALL_QUEUE) as server,
    ):
        await load(server, "A")
        await meanwhile()
        await load(server, "B")
        resident = await resident_bytes(server)
        await load(server, "C")
        assert await total(server, "ocpp_msg_handling_seconds_count") == 3 * MESSAGES
        assert await total(server, "ocpp_cp_errors_total") == 0
        # Of the last two loads at most a queue and the batches under way are still kept; the first may have left.
        await eventually(partial(has_dropped, server, 2 * MESSAGES - QUEUE - 2 * BATCH, taken))
        assert await resident_bytes(server) - resident < GROWTH_BYTES
        await server.stop()


async def has_dropped(server: WattspanServer, least: int, taken: Taken = none) -> bool:
    """Whether so many spans were dropped, but for those of requests that were answered."""
    dropped = await server.value('ocpp_central_telemetry_dropped_total{signal="traces"}') or 0
    return dropped >= least - BATCH * taken()


async def load(server: WattspanServer, prefix: str) -> None:
    """MESSAGES messages, each of which is answered."""
    async with asyncio.TaskGroup() as group:
        for number in range(CHARGERS):
            group.create_task(charge(server, f"{prefix}{number}"))


async def charge(server: WattspanServer, cp_id: str) -> None:
    """EACH messages."""
    async with Charger(f"{server.url}/{cp_id}") as charger:
        await charger.call("BootNotification", BOOT)
        for number in range(EACH - 1):
            assert await charger.call("MeterValues", meter_values(None, energy(1000 + number))) == {}


async def total(server: WattspanServer, name: str) -> float:
    """The sum of all series of a name."""
    lines = (await server.page()).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{"))


async def resident_bytes(server: WattspanServer) -> float:
    return await server.value("process_resident_memory_bytes") or 0


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_a_collector_that_comes_back_is_sent_to_again(
    tmp_path: Path, collector: Collector, jaeger: Jaeger, protocol: str
) -> None:
    environment = to_collector(collector) if protocol == "grpc" else otlp(collector.http_endpoint)
    async with WattspanServer.run(tmp_path, environment | SMALL_QUEUE) as server:
        collector.program.pause()
        await load(server, "A")
        await eventually(partial(has_dropped, server, MESSAGES // 2))
        collector.program.resume()

        async def is_found() -> bool:
            async with Charger(f"{server.url}/BACK") as charger:
                await charger.call("Heartbeat")
            return bool(await jaeger.traces("wattspan", tags={"cp_id": "BACK"}))

        assert await eventually(is_found)
