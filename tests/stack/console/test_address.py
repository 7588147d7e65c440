"""What the address keeps: search, order, tab, position, and views saved under a name."""

from __future__ import annotations

import re

from playwright.async_api import expect

from stack.console.page import Console
from stack.console_load import many
from support.central import Csms


async def test_search_sort_and_tab_are_kept_in_the_address_and_on_back(
    csms: Csms, site: None, console: Console
) -> None:
    page = console.page
    await console.open("fleet", "Fleet")
    await page.get_by_placeholder("Search").fill("quai")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("button", name="Faulted", exact=True).click()
    await expect(page).to_have_url(re.compile(r"#/fleet\?q=quai&show=faulted$"))
    await page.get_by_role("link", name="Gate").click()
    await page.get_by_role("link", name="Security", exact=True).click()
    await expect(page.get_by_role("heading", name="Access")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", name="Health")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_placeholder("Search")).to_have_value("quai")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.reload()
    await expect(page.get_by_role("button", name="Faulted", exact=True)).to_have_attribute("aria-pressed", "true")


async def test_the_scroll_position_of_a_long_list_is_kept_on_back(csms: Csms, console: Console) -> None:
    csms.central._core.record(many(1_000))
    page = console.page
    await console.open("fleet", "Fleet")
    await page.reload()
    await expect(page.get_by_text("1,000 shown", exact=True)).to_be_visible()
    region = page.get_by_role("region", name="Charge points")
    await region.evaluate("(box) => { box.scrollTop = box.scrollHeight / 2; }")
    await expect(page).to_have_url(re.compile(r"row=\d+"))
    link = page.get_by_role("link", name="M0503")
    await link.click()
    await expect(page.get_by_role("heading", name="M0503")).to_be_visible()
    await page.go_back()
    await expect(link).to_be_in_viewport()


async def test_filters_are_saved_under_a_name_opened_from_the_navigation_renamed_and_deleted(
    csms: Csms, site: None, console: Console
) -> None:
    page, dialog = console.page, console.page.get_by_role("dialog")
    menu = page.locator("details.drop", has_text="Save this view")
    await console.open("fleet?q=quai&show=faulted", "Fleet")
    await menu.locator("summary").click()
    await menu.get_by_role("button", name="Save this view").click()
    await dialog.get_by_label("Name").fill("Faults at the quay")
    await console.seen("save-a-view")
    await dialog.get_by_role("button", name="Save").click()
    await expect(menu.get_by_role("link", name="Faults at the quay")).to_have_attribute("aria-current", "true")
    await console.open("sessions", "Sessions")
    await page.reload()  # kept by the server, and not by the page
    await expect(page.get_by_role("heading", name="Sessions")).to_be_visible()
    if await page.get_by_role("button", name="More").is_visible():
        await page.get_by_role("button", name="More").click()
    await page.get_by_role("link", name="Faults at the quay").locator("visible=true").click()
    await expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
    await expect(page).to_have_url(re.compile(r"#/fleet\?q=quai&show=faulted$"))
    await expect(page.locator("tbody tr")).to_have_count(1)
    await menu.locator("summary").click()
    await console.seen("views")
    await menu.get_by_role("button", name="Rename Faults at the quay").click()
    await dialog.get_by_label("Name").fill("Faults")
    await dialog.get_by_role("button", name="Rename").click()
    await expect(menu.get_by_role("link", name="Faults", exact=True)).to_be_visible()
    await menu.get_by_role("button", name="Delete Faults").click()
    await dialog.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("link", name="Faults", exact=True)).to_have_count(0)


async def test_what_a_list_is_searched_for_is_kept_in_the_address(csms: Csms, site: None, console: Console) -> None:
    """On a reload, which is also what a copied link shows."""
    page = console.page
    await console.open("audit", "Audit")
    await page.get_by_placeholder("Path contains").fill("sites")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.reload()
    await expect(page.get_by_placeholder("Path contains")).to_have_value("sites")
    await expect(page.locator("tbody tr")).to_contain_text("Put site")
    await console.open("charge-points/CP1?tab=events", "Gate")
    await page.get_by_label("Kind").select_option("Sessions")
    await page.reload()
    await expect(page.get_by_label("Kind")).to_have_value("session")
    await page.get_by_role("link", name="Messages", exact=True).click()
    await page.get_by_placeholder("Search the content").fill("GroundFailure")
    await expect(page.locator(".message")).to_have_count(1)
    await page.reload()
    await expect(page.get_by_placeholder("Search the content")).to_have_value("GroundFailure")
    await expect(page.locator(".message")).to_have_count(1)
    await page.get_by_role("link", name="Security", exact=True).click()
    await expect(page).to_have_url(re.compile(r"/CP1\?tab=security$"))
