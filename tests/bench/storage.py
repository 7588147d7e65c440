"""What a fleet takes on disk, for docs/scaling.md: Prometheus, Jaeger, our own database.

`PYTHONPATH=tests python -m bench.storage`. A simulated fleet ten times as fast as life, its page read every second and
put into a real Prometheus block as if every ten seconds; then spans into a real Jaeger. Three minutes. It counts bytes,
which a busy machine does not change.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from stack.process import eventually
from stack.servers import Collector, Jaeger, promtool
from stack.wattspan_server import WattspanServer, to_collector
from support.chargers import Charger
from wattspan.simulator import ArrivalPattern, Simulation

FASTER = 10
EVERY_S = 10
BLOCK_S = 7200
BEATS, BEATING = 500, 20


def samples(page: str, at_s: int) -> Iterator[str]:
    """The samples of a page, each with a time."""
    return (f"{line} {at_s}\n" for line in page.splitlines() if line and not line.startswith("#"))


def size(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def total(server: WattspanServer, name: str) -> float:
    """The sum of a metric's series."""
    lines = (await server.page()).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{"))


async def watched(folder: Path, charge_points: int, seconds: int) -> Path:
    """A fleet's life as a file for promtool; says what the database grew by."""
    told = folder / "fleet.om"
    begin_s = int(time.time() // BLOCK_S) * BLOCK_S - BLOCK_S
    async with WattspanServer.run(folder) as server:
        await server.stop()
        empty = server.database.stat().st_size
        await server.start()
        simulation = Simulation(
            url=f"{server.url}/ws", charge_points=charge_points, time_factor=FASTER, arrivals=ArrivalPattern(), seed=1
        )
        run = asyncio.create_task(simulation.run())
        await asyncio.sleep(10)
        with told.open("w", encoding="utf-8") as file:
            next_s = time.monotonic()
            for number in range(seconds * FASTER // EVERY_S):
                file.writelines(samples(await server.page(), begin_s + number * EVERY_S))
                next_s += EVERY_S / FASTER
                await asyncio.sleep(max(0.0, next_s - time.monotonic()))
            file.write("# EOF\n")
        messages = await total(server, "ocpp_msg_handling_seconds_count")
        run.cancel()
        await asyncio.wait([run])
        await server.stop()
    grown = server.database.stat().st_size - empty
    print(f"database: {grown / messages:.0f} bytes a message ({messages:.0f} messages)")
    return told


def block(told: Path, folder: Path, charge_points: int) -> None:
    """Says what a real block takes."""
    command = [str(promtool()), "tsdb", "create-blocks-from", "openmetrics", str(told), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    (meta,) = folder.glob("*/meta.json")
    stats = json.loads(meta.read_text())["stats"]
    chunks, index = size(meta.parent / "chunks"), (meta.parent / "index").stat().st_size
    print(f"series: {stats['numSeries']} ({stats['numSeries'] / charge_points:.0f} a charge point)")
    print(f"samples: {chunks / stats['numSamples']:.2f} bytes each in chunks ({stats['numSamples']} samples)")
    print(f"index: {index / stats['numSeries']:.0f} bytes a series and block")


async def traced(folder: Path) -> None:
    """Says what a message's span takes in Jaeger, once it is stopped and has written everything."""
    async with Jaeger.run(folder) as jaeger:
        ports = jaeger.ports
    empty = size(folder / "jaeger")
    async with (
        Jaeger.run(folder, ports=ports) as jaeger,
        Collector.run(folder, jaeger=jaeger.otlp_grpc, OTELCOL_BATCH_ITEMS="2000") as collector,
        WattspanServer.run(folder, to_collector(collector)) as server,
    ):

        async def beat(number: int) -> None:
            async with Charger(f"{server.url}/B{number:02}") as charger:
                for _ in range(BEATS):
                    await charger.call("Heartbeat")

        await asyncio.gather(*map(beat, range(BEATING)))

        async def arrived() -> bool:
            lines = (await collector.own_page()).splitlines()
            sent = [line for line in lines if line.startswith("otelcol_exporter_sent_spans{")]
            return sum(float(line.rpartition(" ")[2]) for line in sent) >= BEATS * BEATING

        await eventually(arrived, within_s=120)
    print(f"Jaeger: {(size(folder / 'jaeger') - empty) / (BEATS * BEATING):.0f} bytes a message span")


async def measure(charge_points: int, seconds: int) -> None:
    """Everything, in folders that go."""
    with tempfile.TemporaryDirectory(prefix="wattspan-storage-") as place:
        home = Path(place)
        for name in ("fleet", "blocks", "traces"):
            (home / name).mkdir()
        block(await watched(home / "fleet", charge_points, seconds), home / "blocks", charge_points)
        await traced(home / "traces")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.storage", description=__doc__)
    parser.add_argument("--charge-points", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=150)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.charge_points, arguments.seconds))
