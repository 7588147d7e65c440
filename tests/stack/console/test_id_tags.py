"""Id tags in the console, with users, tokens and the audit log."""

from __future__ import annotations

from playwright.async_api import expect

from stack.console.page import Clicks, Console
from support.central import Csms
from support.operators import admin
from support.waiting import eventually


async def test_id_tags_users_tokens_and_the_audit_log_are_kept_from_the_console(csms: Csms, console: Console) -> None:
    page, dialog = console.page, console.page.get_by_role("dialog")
    await console.open("id-tags", "Id tags")
    await page.get_by_role("button", name="Add id tag").click()
    await dialog.get_by_label("Id tag").fill("CARD-1")
    await dialog.get_by_role("button", name="Save").click()
    await page.get_by_role("button", name="Edit CARD-1").click()
    await dialog.get_by_label("Status").select_option("Blocked")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_have_count(0)  # it has the word, too
    await expect(page.get_by_text("Blocked", exact=True)).to_be_visible()
    await console.seen("id-tags")
    await console.open("users", "Users")
    await page.get_by_role("button", name="Add user").click()
    await dialog.get_by_label("Name").fill("olga")
    await dialog.get_by_label("Password").fill("short")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_be_visible()  # the browser itself says that it is too short
    await dialog.get_by_label("Password").fill("long enough to be one")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("cell", name="olga", exact=True)).to_be_visible()
    await console.seen("users")
    await console.open("system", "System")
    await page.get_by_role("button", name="Make a token").click()
    await dialog.get_by_role("button", name="Make", exact=True).click()
    await page.get_by_role("button", name="I have saved it").click()
    await expect(page.get_by_role("button", name="Revoke")).to_be_visible()
    await console.seen("system")
    for path, heading in (
        ("audit", "Audit"),
        ("reservations", "Reservations"),
        ("alerts", "Alerts"),
        ("sessions", "Sessions"),
    ):
        await console.open(path, heading)
        await page.wait_for_load_state("load")
        await console.seen(path)
    await console.open("audit", "Audit")
    await expect(page.get_by_text("Create user")).to_be_visible()


async def test_who_used_a_tag_last_week_is_found_with_three_clicks(csms: Csms, site: None, console: Console) -> None:
    page = console.page
    async with Clicks(page) as clicks:
        await clicks.go("Id tags")
        await page.get_by_role("link", name="Sessions of TAG1").click()
        await expect(page.get_by_label("Period")).to_have_value("7d")
        await expect(page.locator("tbody tr")).to_have_count(1)
        await expect(page.locator("tbody tr")).to_contain_text("Gate / 1")
        assert await clicks.count() <= 3


async def test_the_next_card_at_a_charge_point_is_enrolled(csms: Csms, site: None, console: Console) -> None:
    page, dialog = console.page, console.page.get_by_role("dialog")

    async def wait_for_a_card() -> None:
        await page.get_by_role("button", name="Enrol by tapping").click()
        await dialog.get_by_label("Charge point").fill("CP2")
        await dialog.get_by_label("Group").fill("Staff")
        await dialog.get_by_role("button", name="Wait for a card").click()
        await expect(dialog.get_by_text("Hold the card to the reader of CP2")).to_be_visible()

    async with csms.charger("CP2") as charger, admin(csms) as boss:
        await console.open("id-tags", "Id tags")
        await wait_for_a_card()
        await console.seen("enrol")
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        await eventually(lambda: csms.central._enrolments.get("CP2") is None)  # the server waits no longer, too
        await charger.call("Authorize", {"idTag": "NEW1"})
        await wait_for_a_card()
        await charger.call("Authorize", {"idTag": "NEW2"})
        await expect(dialog.get_by_text("NEW2 is on file, in Staff.")).to_be_visible()
        await dialog.get_by_role("button", name="Close").click()
        await expect(page.locator("tbody tr", has_text="NEW2")).to_contain_text("Staff")
        await boss.ask("GET", "/id-tags/NEW1", 404)
