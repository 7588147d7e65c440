"""What a large connected fleet costs: memory for each charge point, and how long a scrape of it holds messages up."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager
from multiprocessing import get_context
from pathlib import Path

import uvloop

from bench import scrape, servers
from bench.figures import Figure, Results, middle
from bench.load import Beside, Fleet, LoadError, pin
from bench.servers import Collector, Server
from bench.words import V16
from wattspan.telemetry.prometheus.exposition import Format

PROBES = 50
"""Charge points that go on sending during a scrape,"""
PROBE_RATE = 1000.0
"""and how many messages a second they send together."""
CONNECTORS = (1, 2)
SYNCS = 2_000


def talk(fleet: Fleet, first: int) -> None:
    """What a charge point says when it comes: boot, both connectors, a transaction and a reading on each."""
    new = fleet.chargers[first:]
    fleet.each(lambda _: V16.boot(), new)
    for connector in CONNECTORS:
        fleet.each(lambda _, connector=connector: V16.status(connector), new)
        ids = iter(
            [answer["transactionId"] for answer in fleet.each(lambda cp, c=connector: V16.start(c, cp.cp_id), new)]
        )
        fleet.each(lambda _, c=connector, ids=ids: V16.measure(c, next(ids), 100_000_100, 0), new)


async def memory(
    run: Callable[[], AbstractAsyncContextManager[Server]], few: int, many: int, scrapes: int
) -> tuple[list[float], list[Beside], list[float]]:
    """Bytes a charge point at `few` and at `many`; then `scrapes` with the longest wait of a message in each."""
    async with run() as server:
        fleet = Fleet(server.port)
        try:
            fleet.connect(1)
            talk(fleet, 0)
            empty = await _calm(server)
            each = []
            for count in (few, many):
                known = len(fleet.chargers)
                fleet.connect(count)
                talk(fleet, known)
                each.append((await _calm(server) - empty) / (count - 1))
            pages, waits = _scraped(server, fleet, scrapes) if server.metrics_port else ([], [])
        finally:
            fleet.close()
    return each, pages, waits


async def _calm(server: Server) -> int:
    """Memory once the server has nothing to do: batches written, spans sent, garbage left to its own collector."""
    await asyncio.sleep(3)
    return server.memory()


def _scraped(server: Server, fleet: Fleet, scrapes: int) -> tuple[list[Beside], list[float]]:
    for charger in fleet.chargers[:PROBES]:
        charger.prepare(1, 0)
    fleet.paced(PROBE_RATE, 1.0, PROBES)
    pages, waits = [], []
    for _ in range(scrapes):
        page = Beside(server.metrics_port, "/metrics")
        measured = fleet.paced(PROBE_RATE, 0.5, PROBES, page)
        page.close()
        if measured.lost or not page.done:
            raise LoadError("a scrape, or a message during it, did not end")
        pages.append(page)
        waits.append(measured.percentile_s(1.0))
    quiet = fleet.paced(PROBE_RATE, 2.0, PROBES)
    waits.append(quiet.percentile_s(1.0))
    return pages, waits


async def fleets(folder: Path, collector: Collector, few: int, many: int, results: Results) -> None:
    """The rows on memory and scrapes."""
    plain, _, _ = await memory(lambda: servers.plain(folder), few, many, 0)
    ours, pages, waits = await memory(lambda: servers.wattspan(folder, collector), few, many, 7)
    kib = [value / 1024 for value in (*plain, *ours)]
    detail = f"{kib[2]:.1f} KiB at {few:,}, {kib[3]:.1f} at {many:,}; plain server {kib[0]:.1f} and {kib[1]:.1f}"
    name = f"memory for a charge point, {many:,} connected, over {few:,}"
    results.add(Figure(name=name, value=kib[3] / kib[2], target=1.1, unit="x", below=True, detail=detail))
    name = "memory for a charge point, over the plain server's"
    results.add(Figure(name=name, value=kib[3] / kib[1], target=1.0, unit="x", below=True, detail=detail))
    results.raw["memory_kib"] = {"plain": kib[:2], "wattspan": kib[2:]}
    *during, quiet = waits
    results.raw["scrape"] = {
        "seconds": [page.seconds for page in pages],
        "bytes": [page.size for page in pages],
        "longest_wait_ms": [wait * 1e3 for wait in during],
        "longest_wait_without_ms": quiet * 1e3,
    }
    await _against_stock(many, results)
    page_s, disk_s = middle([page.seconds for page in pages]), _longest_sync_s(folder)
    results.raw["disk_longest_ms"] = disk_s * 1e3
    detail = (
        f"worst {max(during) * 1e3:.1f} ms; {quiet * 1e3:.1f} ms without a scrape; over HTTP {page_s:.2f} s; "
        f"the disk alone {disk_s * 1e3:.1f} ms"
    )
    name = "longest wait of a message during a scrape, median of 7"
    results.add(Figure(name=name, value=middle(during) * 1e3, target=10, unit="ms", below=True, detail=detail))


def _longest_sync_s(folder: Path) -> float:
    """What the disk alone takes at the longest, for a page at a time, as often as a scrape has messages."""
    page, longest = b"w" * 4096, 0.0
    with (folder / "sync").open("wb") as file:
        for number in range(SYNCS):
            os.pwrite(file.fileno(), page, number % 1_000 * len(page))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            longest = max(longest, time.perf_counter() - began)
    return longest


async def _against_stock(many: int, results: Results) -> None:
    """Both readers in a process of their own on the server's core, over one and the same state."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        ours_s, stock_s = await asyncio.get_running_loop().run_in_executor(pool, _readers, many)
    results.raw["readers"] = {"ours_s": ours_s, "stock_s": stock_s}
    detail = f"{ours_s:.2f} s, stock {stock_s:.1f} s"
    name = f"scrape of {many:,} charge points, quicker than the stock reader"
    results.add(Figure(name=name, value=stock_s / ours_s, target=20, unit="x", detail=detail))


def _readers(many: int) -> tuple[float, float]:
    """Seconds of a scrape by our reader and by the stock one."""
    pin(servers.SERVER_CORE)
    shown = scrape.fleet(many)

    async def both() -> tuple[float, float]:
        ours_s, _, _ = await scrape.ours(shown, Format.TEXT, gzip=False)
        stock_s, _, _ = await scrape.stock(shown)
        return ours_s, stock_s

    return uvloop.run(both())
