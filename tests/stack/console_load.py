"""A large fleet that changes all the time, and what a page of the console costs meanwhile.

`python -m stack.console_load --minutes 10` keeps the overview, the fleet and the matrix open for that long, one after
the other, and prints the longest task and the size of the heap; it fails if the heap grows. The end-to-end tests do
the same for seconds. Knows nothing of what the pages show.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from support.central import Csms
from wattspan.domain.events import ChargePointBooted, ChargePointConnected, ConnectorStatusChanged, Event

EVENTS_S = 200
TICK_S = 0.05
STATES = ("Available", "Charging", "Faulted")
FIRST_PAINT = """new Promise((done) => new PerformanceObserver((list) => list.getEntries().forEach((each) => {
  if (each.name === "first-contentful-paint") done(each.startTime);
})).observe({ type: "paint", buffered: true }))"""
TRACED = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"]
PAGES = ("", "fleet", "fleet?view=matrix")
SAMPLE_S = 30.0
GROWTH_MB = 5.0
"""By how much the later half of the samples may lie above the earlier one: the heap moves, and must not climb."""


def many(count: int) -> Iterator[Event]:
    """Yield the events of connected charge points with two free connectors each."""
    now_ts = time.time()
    for number in range(count):
        cp_id = f"M{number:04}"
        yield ChargePointConnected(cp_id=cp_id, received_ts=now_ts, protocol="ocpp1.6")
        yield ChargePointBooted(cp_id=cp_id, received_ts=now_ts, vendor="Many", model="X")
        yield from (status_of(number, connector_id, "Available") for connector_id in "12")


def status_of(number: int, connector_id: str, word: str) -> ConnectorStatusChanged:
    """Return the event of a connector's new status."""
    return ConnectorStatusChanged(
        cp_id=f"M{number:04}", received_ts=time.time(), connector_id=connector_id, status=word, error_code="NoError"
    )


@asynccontextmanager
async def changing(core: Any, count: int) -> AsyncIterator[None]:
    """Change connectors of `count` charge points, EVENTS_S a second, as long as the context lasts."""
    drawn = random.Random(1)

    async def change() -> None:
        while True:
            await asyncio.sleep(TICK_S)
            core.record(
                status_of(drawn.randrange(count), drawn.choice("12"), drawn.choice(STATES))
                for _ in range(round(EVENTS_S * TICK_S))
            )

    task = asyncio.create_task(change())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def longest_task_ms(browser: Browser, page: Page, duration_s: float) -> float:
    """Return the longest task of the page's main thread in that time, in processor time."""
    await browser.start_tracing(page=page, categories=TRACED)
    await asyncio.sleep(duration_s)
    events = json.loads(await browser.stop_tracing())["traceEvents"]
    main = {
        (each["pid"], each["tid"])
        for each in events
        if each.get("name") == "thread_name" and each["args"]["name"] == "CrRendererMain"
    }
    # Tasks that began before the trace have no processor time.
    tasks: list[float] = [
        each["tdur"] / 1000
        for each in events
        if each["name"] == "RunTask" and "tdur" in each and (each["pid"], each["tid"]) in main
    ]
    assert tasks, "the trace has no tasks with processor times"
    return max(tasks)


async def heap_mb(page: Page) -> float:
    """Return what the page's scripts hold, after a garbage collection."""
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("HeapProfiler.collectGarbage")
    used: dict[str, float] = await devtools.send("Runtime.getHeapUsage")
    await devtools.detach()
    return used["usedSize"] / 1e6


async def first_paint_ms(page: Page) -> float:
    """Load the page anew, and return when it first painted text or pictures."""
    await page.reload(wait_until="commit")
    found: float = await page.evaluate(FIRST_PAINT)
    return found


async def _watch(minutes: float) -> bool:
    """Return whether the heap stayed flat on each page."""
    path = shutil.which("chromium")
    assert path is not None, "not installed: chromium (on Debian: apt install chromium)"
    is_flat = True
    with tempfile.TemporaryDirectory() as folder:
        csms = Csms(Path(folder) / "fleet.db")
        await csms.start()
        csms.central._core.record(many(5_000))
        async with async_playwright() as playwright, changing(csms.central._core, 5_000):
            browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            page = await browser.new_page(viewport={"width": 1440, "height": 900})
            base = f"http://127.0.0.1:{csms.central.api_port}"
            await page.goto(base)
            await page.get_by_label("Name").fill("admin")
            await page.get_by_label("Password").fill(csms.first_password or "")
            await page.get_by_role("button", name="Log in").click()
            await page.get_by_role("heading", name="Overview").wait_for()
            for each in PAGES:
                await page.goto(f"{base}/#/{each}")
                is_flat &= await _watch_page(browser, page, each or "overview", minutes * 60 / len(PAGES))
            await browser.close()
        await csms.stop()
    return is_flat


async def _watch_page(browser: Browser, page: Page, name: str, duration_s: float) -> bool:
    sizes: list[float] = []
    until = time.monotonic() + duration_s
    while time.monotonic() < until or len(sizes) < 4:
        longest_ms = await longest_task_ms(browser, page, min(SAMPLE_S, duration_s / 4))
        sizes.append(await heap_mb(page))
        sys.stdout.write(f"{name}: longest task {longest_ms:.0f} ms, heap {sizes[-1]:.1f} MB\n")
        sys.stdout.flush()
    half = len(sizes) // 2
    return min(sizes[half:]) < max(sizes[:half]) + GROWTH_MB and sizes[-1] < sizes[0] + GROWTH_MB


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    sys.exit(0 if asyncio.run(_watch(parser.parse_args().minutes)) else "the heap grew")
