"""Sessions in the console: the list with its totals and its download."""

from __future__ import annotations

import asyncio
import re

from playwright.async_api import expect

from stack.console.page import Console
from support.central import Csms
from support.chargers import START, status


async def test_sessions_have_a_period_and_totals_and_the_battery_shows_only_while_a_car_is_there(
    csms: Csms, site: None, console: Console
) -> None:
    page = console.page
    await console.open("sessions?period=today", "Sessions")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator(".figures")).to_contain_text("500 Wh")
    await page.get_by_label("Period").select_option("yesterday")
    await expect(page.get_by_text("No session matches.")).to_be_visible()
    await console.open("charge-points/CP1", "Gate")
    battery = page.get_by_text("61 %", exact=True)  # and not that of an availability of 98.61 %
    await expect(battery).to_be_visible()
    stopped = {"transactionId": 1, "meterStop": 1500, "timestamp": START["timestamp"]}
    async with csms.charger("CP1") as charger:
        await charger.call("StopTransaction", stopped)
        await charger.call("StatusNotification", status("Available"))
        await expect(battery).to_have_count(0)


async def test_sessions_are_downloaded_as_filtered_and_charge_points_suggested_by_name(
    csms: Csms, site: None, console: Console
) -> None:
    page = console.page
    search, link = page.get_by_placeholder("Identity of a charge point"), page.get_by_role("link", name="Download CSV")
    await console.open("sessions?open=true", "Sessions")
    await search.fill("gat")
    await expect(page.locator("datalist option")).to_have_attribute("value", "CP1")
    for cp_id, rows in (("CP2", 0), ("CP1", 1)):
        await search.fill(cp_id)
        await expect(link).to_have_attribute("href", re.compile(f"cp_id={cp_id}"))
        async with page.expect_download() as download:
            await link.click()
        path = await (await download.value).path()
        text = await asyncio.to_thread(path.read_text)
        assert len(text.splitlines()) == 1 + rows
