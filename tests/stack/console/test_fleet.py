"""The fleet in the console: the list of charge points, live, and what one does with many."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from stack.console.page import Console
from stack.console_load import many
from support.central import Csms
from support.operators import admin
from support.waiting import eventually
from wattspan.domain.events import ConnectorStatusChanged

CARS = 4
"""At the chargers of `fleet` from the beginning, by its seed."""
FLEET_IS_READ = """() => performance.getEntriesByType("resource")
  .filter(({ name }) => name.endsWith("/api/v1/fleet")).length === 2"""
"""Whether the fleet was read at the beginning, and again once events had begun, for what happened before them."""


async def test_an_operator_sees_the_fleet_and_starts_and_stops_a_session_by_a_click(
    csms: Csms, fleet: None, console: Console
) -> None:
    page = console.page
    await console.open("fleet", "Fleet")
    await expect(page.locator("tbody tr")).to_have_count(3)
    await expect(page.get_by_text("Charging", exact=True).first).to_be_visible()
    await console.seen("fleet")
    await page.get_by_placeholder("Search").fill("nothing like this")
    await expect(page.get_by_text("No charge point matches the search.")).to_be_visible()
    await page.get_by_placeholder("Search").fill("")
    free = await _with_a_free_connector(csms)
    await page.get_by_role("link", name=free[0]).click()
    await expect(page.get_by_role("heading", name="Health")).to_be_visible()
    await page.get_by_role("button", name="Start", exact=True).click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Id tag").fill("CONSOLE-1")
    await dialog.get_by_label("Connector").select_option(free[1])
    await console.seen("start")
    await dialog.get_by_role("button", name="Start a session").click()
    await expect(dialog).to_be_hidden()
    await expect(page.locator("code", has_text="CONSOLE-1")).to_be_visible()
    await csms.durable()
    begun = [each for each in await csms.store.transactions() if each.id_token == "CONSOLE-1"]
    assert [each.cp_id for each in begun] == [free[0]]
    await console.seen("charge-point")
    await page.locator("tr", has_text="CONSOLE-1").get_by_role("link").first.click()
    await expect(page.get_by_role("heading", name="What happened")).to_be_visible()
    await expect(page.locator("canvas").first).to_be_visible()
    await console.seen("session")
    number = page.url.rsplit("/", 1)[-1]
    await page.get_by_role("link", name=free[0]).first.click()
    await page.get_by_role("button", name="Stop", exact=True).click()
    await dialog.get_by_label("Session").select_option(number)
    await dialog.get_by_role("button", name="Stop a session").click()
    await expect(dialog).to_be_hidden()
    await expect(page.locator("tr", has_text="CONSOLE-1").get_by_text("Remote")).to_be_visible()


async def _with_a_free_connector(csms: Csms) -> tuple[str, str]:
    """(identity, connector) of one where nothing runs, nor is about to: the cars that come at once are all there."""
    charge_points = csms.central.fleet.charge_points

    def free() -> list[tuple[str, str]]:
        if sum(len(cp.transactions) for cp in charge_points.values()) < CARS:
            return []
        pairs = [(cp, each) for cp in charge_points.values() for each in cp.connectors.values() if cp.connected]
        return [
            (cp.cp_id, each.connector_id)
            for cp, each in pairs
            if each.connector_id != "0" and each.status == "Available"
        ]

    found: list[tuple[str, str]] = await eventually(free, within_s=60.0)
    return found[0]


async def test_the_fleet_follows_events_and_is_never_read_again(csms: Csms, site: None, console: Console) -> None:
    page = console.page
    await console.open("fleet", "Fleet")
    row = page.locator("tbody tr", has_text="Gate")
    await expect(row.get_by_text("Faulted", exact=True).first).to_be_visible()  # the last status was Charging
    await page.wait_for_function(FLEET_IS_READ)
    reads: list[str] = []
    page.on("request", lambda request: reads.append(request.url))
    core, now_ts = csms.central._core, time.time()
    for word in ("Charging", "SuspendedEV", "Unavailable"):
        event = ConnectorStatusChanged(
            cp_id="CP1", received_ts=now_ts, connector_id="2", status=word, error_code="NoError"
        )
        core.record([event])
        shown = {"Charging": "Charging", "SuspendedEV": "Charging", "Unavailable": "Unavailable"}[word]
        await expect(row.get_by_text(shown, exact=True).first).to_be_visible()
    core.record(many(1))
    await expect(page.get_by_role("link", name="M0000")).to_be_visible()
    assert not [url for url in reads if "/charge-points?" in url or url.endswith("/fleet")]


@pytest.mark.parametrize("is_open", [True, False])
async def test_registration_is_offered_only_where_it_is_on(tmp_path: Path, browser: Browser, is_open: bool) -> None:
    csms = Csms(tmp_path / "r.db", registration=is_open)
    await csms.start()
    page = await browser.new_page()
    await page.goto(f"http://127.0.0.1:{csms.central.api_port}")
    await expect(page.get_by_role("button", name="Log in")).to_be_visible()
    await expect(page.get_by_role("button", name="Register")).to_have_count(int(is_open))
    await page.close()
    await csms.stop()


async def test_the_site_of_chosen_charge_points_is_set_at_once(csms: Csms, site: None, console: Console) -> None:
    page, dialog = console.page, console.page.get_by_role("dialog")
    await console.open("fleet?site=-", "Fleet")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("button", name="Choose all shown").click()
    await page.get_by_role("button", name="Set site").click()
    await console.seen("set-site")
    await dialog.get_by_label("Site").select_option("North")
    await dialog.get_by_role("button", name="Set site").click()
    await expect(page.get_by_text("The site of 1 charge point is set.")).to_be_visible()
    await expect(page.get_by_text("No charge point matches the search.")).to_be_visible()
    async with admin(csms) as boss:
        found = await boss.ask("GET", "/charge-points?site_id=north")
    assert [each["cp_id"] for each in found["items"]] == ["CP1", "CP2"]


async def test_what_another_operator_changes_of_a_charge_point_appears_without_a_reload(
    csms: Csms, site: None, console: Console
) -> None:
    page = console.page
    async with admin(csms) as boss:

        async def change(**fields: str) -> None:
            await boss.ask("PATCH", "/charge-points/CP2", json=fields, headers={"If-Match": "*"})

        await console.open("fleet", "Fleet")
        row = page.locator("tbody tr", has_text="CP2")
        await expect(row).to_be_visible()
        await expect(page.locator(".live.on").first).to_be_attached()
        await boss.ask("PUT", "/sites/south", json={"name": "South side"})
        await change(name="Barrier", site_id="south")
        await expect(row).to_contain_text("Barrier")
        await expect(row).to_contain_text("South side")  # a site that this browser did not know
        await boss.ask("PUT", "/sites/south", json={"name": "South gate"}, headers={"If-Match": "*"})
        await expect(row).to_contain_text("South gate")
        await console.open("charge-points/CP2", "Barrier")
        await change(name="Ramp", location="Quai 9")
        await expect(page.get_by_role("heading", name="Ramp", exact=True)).to_be_visible()
        await expect(page.get_by_text("Quai 9").first).to_be_visible()
