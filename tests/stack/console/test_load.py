"""The console with a large fleet."""

from __future__ import annotations

import asyncio
import time

from playwright.async_api import Browser, expect

from stack.console.page import PAGES, Console
from stack.console_load import changing, first_paint_ms, heap_mb, longest_task_ms, many
from support.central import Csms
from wattspan.domain.events import ChargePointBooted

MANY = 10_000
LONG_TASK_MS = 50.0
""""Long" by the Long Tasks API of browsers."""
FIRST_PAINT_MS = 1_000.0
LIVE_S = 6.0
GROWTH_MB = 3.0
"""What a page's heap may grow by while it is live. `python -m stack.console_load` watches longer."""


async def test_ten_thousand_charge_points_are_listed_and_scrolled(csms: Csms, console: Console) -> None:
    now_ts = time.time()
    csms.central._core.record(
        ChargePointBooted(cp_id=f"M{number:05}", received_ts=now_ts, vendor="Many", model="X") for number in range(MANY)
    )
    page = console.page
    await console.open("fleet", "Fleet")
    await page.reload()
    await expect(page.get_by_text("10,000 shown", exact=True)).to_be_visible()
    assert await page.locator("tbody tr").count() < 100
    await page.get_by_role("region", name="Charge points").evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
    await expect(page.get_by_role("link", name=f"M{MANY - 1:05}")).to_be_visible()
    await page.get_by_placeholder("Search").fill("M04242")
    await expect(page.locator("tbody tr")).to_have_count(1)


async def test_ten_thousand_connectors_at_two_hundred_events_a_second_block_no_page(
    csms: Csms, browser: Browser
) -> None:
    """No task of the page takes longer than 50 ms of processor time; other programs on the machine don't count.

    What the page holds does not grow meanwhile, and a page that is loaded then paints within a second.
    """
    core = csms.central._core
    core.record(many(5_000))
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    console = Console(page, f"http://127.0.0.1:{csms.central.api_port}", "many")
    await console.log_in(csms.first_password or "")
    async with changing(core, 5_000):
        for path in ("", "fleet", "fleet?view=matrix", "alerts"):
            await console.open(path, PAGES[path])
            await expect(page.locator("[aria-busy=true]")).to_have_count(0)
            await asyncio.sleep(1.0)
            assert await longest_task_ms(browser, page, LIVE_S) < LONG_TASK_MS, path
        for path in ("", "fleet", "fleet?view=matrix"):
            await console.open(path, PAGES[path])
            await expect(page.locator("[aria-busy=true]")).to_have_count(0)
            await asyncio.sleep(2.0)
            first_mb = await heap_mb(page)
            await asyncio.sleep(LIVE_S)
            assert await heap_mb(page) < first_mb + GROWTH_MB, path
            paints_ms = [await first_paint_ms(page) for _ in range(3)]
            assert min(paints_ms) < FIRST_PAINT_MS, (path, paints_ms)
    await page.close()
