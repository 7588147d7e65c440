"""Scrape of a whole fleet: time, size and the longest wait of the event loop, ours beside the stock reader's.

`PYTHONPATH=tests python tests/bench/scrape.py [CHARGE_POINTS ...] [--stock]`

With `--details`, instead: series, CPU time, memory and size of the page at each step of `metrics_detail`.
"""

import argparse
import asyncio
import gc
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import uvloop
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from prometheus_client import CollectorRegistry, generate_latest

from support.scraping import ACTIONS, NOW_TS, fill, state
from wattspan.telemetry import catalogue
from wattspan.telemetry.families import DETAILS, State, shows_detail
from wattspan.telemetry.histogram import Exemplar, Histograms
from wattspan.telemetry.instruments import FleetInstruments
from wattspan.telemetry.prometheus.exposition import Format
from wattspan.telemetry.prometheus.reader import PrometheusReader

EIGHT_ACTIONS = (*ACTIONS, "MeterValues", "StartTransaction", "StopTransaction", "DataTransfer")
RECORDS = 5
STATUS = Path("/proc/self/status")


def fleet(charge_points: int, detail: str = "connectors", **histograms: bool) -> State:
    """A fleet whose every histogram series has a few values and exemplars."""
    chance = random.Random(1)
    shown = replace(state(), histograms=Histograms(**histograms), shows=shows_detail(detail))
    fill(shown, charge_points, actions=EIGHT_ACTIONS)
    for series in shown.histograms.handling:
        for _ in range(RECORDS):
            value = chance.lognormvariate(-6, 1)
            series.exemplars[series.record(value)] = Exemplar(
                chance.getrandbits(128), chance.getrandbits(64), value, NOW_TS
            )
    return shown


async def gaps(stop: asyncio.Event) -> float:
    """The longest time between two turns of the loop until `stop`, s."""
    longest, last = 0.0, time.perf_counter()
    while not stop.is_set():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest


async def measured(scrape: Callable[[], Awaitable[int]]) -> tuple[float, float, int]:
    """Duration, longest gap (both s) and bytes of one scrape; the duration is of a scrape with an idle loop."""
    began = time.perf_counter()
    size = await scrape()
    took = time.perf_counter() - began
    stop = asyncio.Event()
    watch = asyncio.create_task(gaps(stop))
    await asyncio.sleep(0)
    await scrape()
    stop.set()
    return took, await watch, size


async def ours(shown: State, form: Format, *, gzip: bool) -> tuple[float, float, int]:
    reader = PrometheusReader(shown)

    async def scrape() -> int:
        pieces = await reader.scrape(form, gzip=gzip)
        size = 0
        while pieces:  # as the HTTP side lets go of them
            size += len(pieces.pop())
            await asyncio.sleep(0)
        return size

    first = time.perf_counter()
    await scrape()
    print(f"    first scrape, label texts made: {time.perf_counter() - first:.3f} s")
    return await measured(scrape)


def peak_bytes() -> int:
    """The most memory that was resident since `forget_peak`."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    """Let the peak be what is resident now (proc(5): clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


async def step(shown: State, form: Format) -> str:
    """Memory that the first scrape takes, label texts included, then CPU time and size of the second one, gzipped."""
    reader = PrometheusReader(shown)
    gc.collect()
    forget_peak()
    before = peak_bytes()
    await reader.scrape(form, gzip=True)
    more, began = peak_bytes() - before, time.process_time()
    size = sum(map(len, await reader.scrape(form, gzip=True)))
    took = time.process_time() - began
    return f"{form.name}: {took:.2f} s of CPU, {more / 2**20:.0f} MiB more, {size / 1e6:.2f} MB"


async def details(charge_points: int) -> None:
    """Print what each step costs, with and without the handling time of each charge point."""
    for detail in DETAILS:
        for by_charge_point in (True, False) if detail != "fleet" else (False,):
            shown = fleet(charge_points, detail, by_charge_point=by_charge_point, exponential=False)
            page = b"".join(await PrometheusReader(shown).scrape(Format.TEXT))
            series = sum(not line.startswith(b"#") for line in page.splitlines())
            print(
                f"{charge_points} charge points, {detail}, handling_by_charge_point={by_charge_point}: {series} series"
            )
            del page
            for form in (Format.TEXT, Format.OPENMETRICS):
                print(f"    {await step(shown, form)}")
            del shown
            native = fleet(charge_points, detail, by_charge_point=by_charge_point, exponential=True)
            print(f"    {await step(native, Format.PROTOBUF)}, with native histograms")
            del native


async def stock(shown: State) -> tuple[float, float, int]:
    """The same figures as instruments, by the stock reader, in a thread as its HTTP server does."""
    registry = CollectorRegistry()
    buckets = ExplicitBucketHistogramAggregation(catalogue.HANDLING_BOUNDS)
    views = [View(instrument_name=catalogue.HANDLING.name, aggregation=buckets)]
    provider = MeterProvider([PrometheusMetricReader(registry=registry)], views=views)
    meter = provider.get_meter(catalogue.METER)
    FleetInstruments(meter, shown)
    handling = meter.create_histogram(catalogue.HANDLING.name, "s")
    for series in shown.histograms.handling:
        handling.record(0.003, dict(zip(catalogue.HANDLING.labels, series.labels, strict=True)))

    async def scrape() -> int:
        return len(await asyncio.to_thread(generate_latest, registry))

    try:
        return await measured(scrape)
    finally:
        provider.shutdown()


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("charge_points", type=int, nargs="*", default=[1_000, 10_000])
    arguments.add_argument("--stock", action="store_true", help="the stock reader too (12 s a scrape at 10,000)")
    arguments.add_argument("--details", action="store_true", help="each step of metrics_detail instead")
    chosen = arguments.parse_args()
    if chosen.details:
        for count in chosen.charge_points:
            await details(count)
        return
    _, quiet, _ = await measured(partial(asyncio.sleep, 0.5, 0))
    print(f"longest gap of this machine with nothing to do: {quiet * 1e3:.1f} ms")
    for count in chosen.charge_points:
        shown = fleet(count)
        gc.collect()
        for form in Format:
            for gzip in (False, True):
                print(f"{count} charge points, {form.name}{', gzip' if gzip else ''}")
                took, gap, size = await ours(shown, form, gzip=gzip)
                print(f"    {took:.3f} s, longest gap {gap * 1e3:.1f} ms, {size / 1e6:.1f} MB")
        if chosen.stock:
            took, gap, size = await stock(shown)
            print(f"{count} charge points, stock reader")
            print(f"    {took:.3f} s, longest gap {gap * 1e3:.1f} ms, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    uvloop.run(main())
