"""One command to many charge points."""

from __future__ import annotations

import re

from playwright.async_api import Browser, expect

from stack.console.page import Clicks, Console
from stack.console_load import many
from support.central import Csms
from support.operators import admin


async def test_ten_charge_points_are_reset_with_five_clicks(csms: Csms, console: Console) -> None:
    csms.central._core.record(many(10))
    page, dialog = console.page, console.page.get_by_role("dialog")
    async with Clicks(page) as clicks:
        await clicks.go("Fleet")
        await expect(page.locator("tbody tr")).to_have_count(10)
        await page.get_by_role("button", name="Connected", exact=True).click()
        await expect(page.locator("tbody tr")).to_have_count(10)
        await page.get_by_role("button", name="Choose all shown").click()
        await page.get_by_role("button", name="Command them").click()
        await dialog.get_by_role("button", name="Reset: 10").click()
        await expect(page.get_by_role("heading", name="Reset")).to_be_visible()
        assert await clicks.count() == 5
    await expect(page.locator(".figures")).to_contain_text("of 10")


async def test_a_command_to_chosen_charge_points_shows_each_result_and_retries_the_failed(
    csms: Csms, site: None, console: Console
) -> None:
    page, dialog = console.page, console.page.get_by_role("dialog")
    async with csms.charger("CP1") as charger:
        await console.open("fleet", "Fleet")  # 1
        await page.get_by_role("button", name="Choose all shown").click()  # 2
        await page.get_by_role("button", name="Command them").click()  # 3
        await console.seen("bulk")
        await dialog.get_by_role("button", name="Reset: 2").click()  # 4
        await charger.reply(await charger.expect("Reset"), {"status": "Accepted"})
        await expect(page.locator("tbody tr", has_text="Gate")).to_contain_text("Accepted")
        await expect(page.locator("tbody tr", has_text="CP2")).to_contain_text("Failed")
        await console.seen("job")
        await page.get_by_role("button", name="Retry the failed").click()
        tries = page.locator("tbody tr", has_text="CP2").locator("[data-title=Tries]")  # which a phone does not show
        await expect(tries).to_have_text("2")


BULK_FIELDS = {"key": "HeartbeatInterval", "value": "60", "location": "http://127.0.0.1:9/firmware.bin", "limit": "16"}
"""What the fields of bulk commands are filled with."""


async def test_every_bulk_command_makes_a_job_of_its_form(csms: Csms, browser: Browser) -> None:
    """The fields of one command leave nothing behind in those of the next."""
    csms.central._core.record(many(2))
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    console, dialog = Console(page, f"http://127.0.0.1:{csms.central.api_port}", "bulk"), page.get_by_role("dialog")
    await console.log_in(csms.first_password or "")
    titles: list[str] = []
    while True:
        await console.open("fleet", "Fleet")
        await page.get_by_role("button", name="Choose all shown").click()
        await page.get_by_role("button", name="Command them").click()
        command = dialog.locator("select").first
        await expect(command).to_be_visible()
        options = await command.locator("option").all_text_contents()
        left = [each for each in options if each not in titles]
        if not left:
            break
        for title in (*options, left[0]):  # through all of them
            await command.select_option(title)
        for name, value in BULK_FIELDS.items():
            if await (field := dialog.locator(f"input[name={name}]")).count():
                await field.fill(value)
        await dialog.get_by_role("button", name=f"{left[0]}: 2").click()
        await expect(page.get_by_role("heading", name=left[0], exact=True)).to_be_visible()
        titles.append(left[0])
    assert len(titles) == 9
    assert not console.complaints
    await page.close()


async def test_a_command_to_many_is_stopped_half_way_and_the_rest_is_sent_later(csms: Csms, browser: Browser) -> None:
    csms.central._core.record(many(10))
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    console, dialog = Console(page, f"http://127.0.0.1:{csms.central.api_port}", "stop"), page.get_by_role("dialog")
    await console.log_in(csms.first_password or "")
    await console.open("fleet", "Fleet")
    await page.get_by_role("button", name="Choose all shown").click()
    await page.get_by_role("button", name="Command them").click()
    await page.get_by_text("Waves, rate and name").click()
    await dialog.get_by_label("Commands a second").fill("0.1")
    await dialog.get_by_label("Name", exact=True).fill("Slow")
    await dialog.get_by_role("button", name="Reset: 10").click()
    await expect(page.get_by_role("heading", name="Slow")).to_be_visible()
    await page.get_by_role("button", name="Stop", exact=True).click()
    await expect(page.locator("main .head .chip")).to_have_text("Stopped")
    await expect(page.locator("tbody tr", has_text="Stopped").first).to_be_visible()
    figures = page.locator(".figures > div")
    await expect(figures.filter(has_text="Done")).to_have_text(re.compile(r"^Done\d of 10$"))
    await expect(figures.filter(has_text="Stopped")).to_have_text(re.compile(r"^Stopped[1-9]"))
    await page.get_by_role("button", name="Retry the failed").click()
    await expect(page.locator("main .head .chip")).to_have_text("Running")
    await page.get_by_role("button", name="Stop", exact=True).click()
    await expect(page.locator("main .head .chip")).to_have_text("Stopped")
    async with admin(csms) as boss:
        audit = await boss.ask("GET", "/audit?target=jobs")
    assert {each["who"] for each in audit["items"]} == {"admin"}
    assert len(audit["items"]) >= 4
    assert not console.complaints
    await page.close()
