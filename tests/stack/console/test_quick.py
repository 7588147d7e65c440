"""What is done while a page still begins: events before its stream is open, and keys as soon as it is seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page, Route, expect

from stack.console.page import Console
from support.central import Csms
from support.chargers import BOOT, START

REPORT = {"type": "TamperDetectionActivated", "timestamp": START["timestamp"], "techInfo": "the lid"}
KEYS_AT_ONCE = """(keys) => new Promise((done) => {
  new MutationObserver((_, observer) => {
    if (document.querySelector("h1")?.textContent !== "Overview") return;
    observer.disconnect();
    for (const key of keys) document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    done();
  }).observe(document.body, { childList: true, subtree: true });
})"""
"""Presses keys in the moment in which the overview is drawn."""
BURST = """async () => {
  const { stream } = await import("/static/api.js");
  const own = window.EventSource;
  let take = null;
  window.EventSource = class { addEventListener(_kind, listener) { take = listener; } close() {} };
  const seen = [];
  const busy = (event) => {
    seen.push(event.number);
    const end = performance.now() + 3;
    while (performance.now() < end);
  };
  const close = stream("/events", ["Seen"], busy);
  window.EventSource = own;
  for (let number = 0; number < 20; number += 1) take({ data: JSON.stringify({ number }) });
  const atOnce = seen.length;
  while (seen.length < 20) await new Promise((resolve) => setTimeout(resolve));
  take({ data: JSON.stringify({ number: 20 }) });
  while (seen.length < 21) await new Promise((resolve) => setTimeout(resolve));
  close();
  return [atOnce, seen];
}"""
"""Twenty events at once, of 3 ms each, and one more: how many were handled at once, and the order of all."""


@asynccontextmanager
async def held(page: Page, stream: str) -> AsyncIterator[Callable[[], None]]:
    """Hold back an event stream until the function that this yields is called."""
    begin, asked = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        asked.set()
        await begin.wait()
        await route.continue_()

    await page.route(stream, hold)
    yield begin.set
    assert asked.is_set()
    await page.unroute(stream, hold)


@pytest.mark.parametrize("console", ["desktop"], indirect=True)
async def test_events_that_come_at_once_leave_pauses_for_the_browser_and_keep_their_order(console: Console) -> None:
    at_once, seen = await console.page.evaluate(BURST)
    assert at_once < 20
    assert seen == list(range(21))


async def test_what_happens_before_a_pages_events_begin_is_shown(csms: Csms, console: Console) -> None:
    page = console.page
    async with csms.charger("CP1") as charger, held(page, "**/api/v1/events") as begin:
        await charger.call("Heartbeat")
        await console.open("charge-points/CP1?tab=security", "CP1")
        await page.reload()
        await expect(page.get_by_text("None reported.")).to_be_visible()
        await charger.call("SecurityEventNotification", REPORT)
        begin()
        await expect(page.get_by_text("the lid")).to_be_visible()


async def test_a_message_before_the_watch_begins_is_shown(csms: Csms, console: Console) -> None:
    page = console.page
    async with csms.charger("CP1") as charger, held(page, "**/messages") as begin:
        await charger.call("Heartbeat")
        await console.open("charge-points/CP1?tab=messages", "CP1")
        await expect(page.locator(".message")).to_have_count(1)
        await charger.call("SecurityEventNotification", REPORT)
        begin()
        await expect(page.get_by_role("log")).to_contain_text("SecurityEventNotification")


@pytest.mark.parametrize("console", ["desktop"], indirect=True)
async def test_a_further_page_is_not_dropped_as_the_list_is_read_again(csms: Csms, console: Console) -> None:
    page, further = console.page, asyncio.Event()

    async def hold(route: Route) -> None:
        await further.wait()
        await route.continue_()

    async with csms.charger("CP1") as charger:
        for _ in range(12):
            await charger.call("SecurityEventNotification", REPORT)
        await console.open("charge-points/CP1?tab=security", "CP1")
        rows = page.get_by_role("region", name="Security events").locator("tbody tr")
        await expect(rows).to_have_count(10)
        await page.route("**/security-events*cursor=*", hold)
        async with page.expect_request("**/security-events*cursor=*"):
            await page.get_by_role("button", name="Show earlier events").click()
        async with page.expect_response("**/charge-points/CP1"):  # the page follows the event, as its parts do
            await charger.call("SecurityEventNotification", REPORT)
        further.set()
        await expect(rows).to_have_count(12)


@pytest.mark.parametrize("console", ["desktop"], indirect=True)
async def test_keys_work_as_soon_as_the_page_is_seen(csms: Csms, console: Console) -> None:
    page = console.page
    await page.add_init_script(f"addEventListener('DOMContentLoaded', () => ({KEYS_AT_ONCE})(['g', 'f']))")
    await page.reload()
    await expect(page.get_by_role("heading", name="Fleet")).to_be_visible()


@pytest.mark.parametrize("console", ["desktop"], indirect=True)
async def test_what_is_typed_into_a_form_stays_as_the_page_is_drawn_again(csms: Csms, console: Console) -> None:
    page, dialog = console.page, console.page.get_by_role("dialog")
    async with csms.charger("CP1") as charger:
        await charger.call("Heartbeat")
        await console.open("charge-points/CP1", "CP1")
        await page.get_by_role("button", name="Edit").click()
        await dialog.get_by_label("Labels").fill("owner: city")
        await charger.call("BootNotification", BOOT)
        await expect(page.get_by_text("Acme One")).to_be_visible()
        await expect(dialog.get_by_label("Labels")).to_have_value("owner: city")
