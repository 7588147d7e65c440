"""What needs attention: on the overview, under alerts, and as pending charge points."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.async_api import Browser, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from stack.console.page import Console, served
from support.central import Csms
from support.chargers import BOOT
from support.operators import admin


async def test_pending_charge_points_are_approved_and_rejected_by_a_click(tmp_path: Path, browser: Browser) -> None:
    csms = Csms(tmp_path / "pending.db", unknown_charge_points="pending")
    await csms.start()
    context = await browser.new_context(bypass_csp=True, viewport={"width": 390, "height": 844})
    console = Console(await context.new_page(), f"http://127.0.0.1:{csms.central.api_port}", "pending")
    page, dialog = console.page, console.page.get_by_role("dialog")
    async with csms.charger("GATE-1") as wanted, csms.charger("STRANGER") as stranger:
        assert (await wanted.call("BootNotification", BOOT))["status"] == "Pending"
        await stranger.call("BootNotification", BOOT)
        await console.log_in(csms.first_password or "")
        await expect(page.get_by_role("navigation").get_by_text("2", exact=True)).to_have_count(1)
        await page.get_by_role("button", name="More").click()
        await page.get_by_role("navigation", name="All pages").get_by_role("link", name="Pending 2").click()
        await expect(page.get_by_role("heading", name="Pending charge points")).to_be_visible()
        await expect(page.get_by_text("Acme One").first).to_be_visible()
        await console.seen("newcomers")
        await page.get_by_role("button", name="Approve GATE-1").click()
        await dialog.get_by_role("button", name="Approve").click()
        assert await wanted.closed() == 1012
        await page.get_by_role("button", name="Reject STRANGER").click()
        await dialog.get_by_role("button", name="Reject").click()
        assert await stranger.closed() == 1008
        await expect(page.get_by_text("No charge point waits for approval.")).to_be_visible()
    async with csms.charger("GATE-1") as wanted:
        assert (await wanted.call("BootNotification", BOOT))["status"] == "Accepted"
        await console.open("charge-points/GATE-1?tab=security", "GATE-1")
        await page.get_by_role("button", name="Edit").click()
        await dialog.get_by_label("Security profile required").select_option("1")
        await console.seen("profile")
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog).to_be_hidden()
        await page.get_by_role("button", name="Rotate credentials").click()
        await dialog.get_by_role("button", name="Rotate").click()
        await wanted.reply(await wanted.expect("ChangeConfiguration"), {"status": "Accepted"})
        await expect(page.get_by_text("Old credentials until")).to_be_visible()
    assert not console.complaints
    await context.close()
    await csms.stop()


async def test_alerts_are_listed_without_an_alertmanager(csms: Csms, site: None, console: Console) -> None:
    page = console.page
    await console.open("alerts", "Alerts")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await expect(page.locator("tbody tr", has_text="Gate")).to_contain_text("GroundFailure")
    await expect(page.locator("tbody tr", has_text="CP2")).to_contain_text("never connected")
    await expect(page.get_by_role("link", name=re.compile("^Alerts")).locator("visible=true")).to_have_text("Alerts 2")
    await page.get_by_role("button", name="Offline 1").click()
    await expect(page.locator("tbody tr")).to_have_count(1)


async def test_the_overview_names_what_waits_for_an_operator(tmp_path: Path, browser: Browser) -> None:
    """Charge points to approve, and the alerts of an Alertmanager, beside the fleet's own troubles."""

    async def alerts(_: Request) -> JSONResponse:
        alert = {"labels": {"alertname": "GatewayDown", "severity": "critical"}, "startsAt": "2026-11-21T10:00:00Z"}
        told = {"fingerprint": "f1", "annotations": {"summary": "no answer"}, "status": {"silencedBy": []}}
        return JSONResponse([{**alert, **told}])

    async with served(Starlette(routes=[Route("/{path:path}", alerts)])) as alertmanager:
        csms = Csms(tmp_path / "o.db", unknown_charge_points="pending", alertmanager_url=alertmanager)
        await csms.start()
        async with admin(csms) as boss:
            await boss.ask("POST", "/charge-points", 201, json={"cp_id": "CP2", "credentials": False})
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        console = Console(page, f"http://127.0.0.1:{csms.central.api_port}", "waiting")
        async with csms.charger("GATE-1") as stranger:
            await stranger.call("BootNotification", BOOT)
            await console.log_in(csms.first_password or "")
            waiting = page.locator("section", has=page.get_by_role("heading", name="Needs attention"))
            await expect(waiting.get_by_role("listitem")).to_have_count(3)
            await expect(page.locator(".figures")).to_contain_text("Need attention3")
            await expect(waiting.get_by_role("link", name="CP2")).to_be_visible()
            await waiting.get_by_role("link", name="GatewayDown").click()
            await expect(page.get_by_role("heading", name="Firing in Alertmanager")).to_be_visible()
            await expect(page.get_by_text("no answer")).to_be_visible()  # the overview has these words, too
            await page.go_back()
            await waiting.get_by_role("link", name="1 charge point").click()
            await expect(page.get_by_role("button", name="Approve GATE-1")).to_be_visible()
        assert not console.complaints
        await page.close()
        await csms.stop()
