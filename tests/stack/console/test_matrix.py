"""The status matrix: every connector as a cell."""

from __future__ import annotations

from playwright.async_api import expect

from stack.console.page import Console
from support.central import Csms
from support.chargers import START, status
from support.waiting import eventually


async def test_the_matrix_is_read_and_opened_by_keyboard(csms: Csms, site: None, console: Console) -> None:
    page = console.page
    await console.open("fleet?view=matrix", "Fleet")
    matrix = page.get_by_role("application")
    await matrix.focus()
    await expect(page.get_by_role("status").filter(has_text="CP1, connector 1: Charging")).to_have_count(1)
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("status").filter(has_text="connector 2: Faulted, GroundFailure")).to_have_count(1)
    box = await matrix.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 2, box["y"] + 2)  # the pointer rests on the matrix, on no cell
    await page.mouse.move(box["x"] + 3, box["y"] + 3)
    await expect(page.get_by_role("status").filter(has_text="connector 2: Faulted, GroundFailure")).to_have_count(1)
    await expect(page.locator(".matrix-tip")).to_contain_text("GroundFailure")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Gate")).to_be_visible()


async def test_the_matrix_describes_the_cell_that_is_there_now(csms: Csms, console: Console) -> None:
    page = console.page
    told = page.get_by_role("status")
    async with csms.charger("CP7") as charger:
        await charger.call("StatusNotification", status("Available"))
        await console.open("fleet?view=matrix", "Fleet")
        await page.get_by_role("application").focus()
        await expect(told.filter(has_text="CP7, connector 1: Available")).to_have_count(1)
        await charger.call("StatusNotification", status("Charging"))
        await expect(told.filter(has_text="CP7, connector 1: Charging")).to_have_count(1)


async def test_the_matrix_takes_in_what_connects_and_what_comes_to_match_its_filter(
    csms: Csms, console: Console
) -> None:
    page = console.page
    told = page.get_by_role("status")
    await console.open("fleet?view=matrix&show=connected", "Fleet")
    await page.get_by_role("application").focus()
    async with csms.charger("CP7") as charger:
        await charger.call("StatusNotification", status("Available"))
        await expect(told.filter(has_text="CP7, connector 1: Available")).to_have_count(1)
        await page.get_by_role("button", name="Charging", exact=True).click()
        await expect(told.filter(has_text="0 shown")).to_have_count(1)
        await page.get_by_role("application").focus()
        await charger.call("StartTransaction", START)
        await expect(told.filter(has_text="CP7, connector 1")).to_have_count(1)
        await page.get_by_role("button", name="All", exact=True).click()
        await page.get_by_role("application").focus()
        async with csms.charger("CP8") as second:
            await second.call("StatusNotification", status("Available"))

            async def is_last() -> bool:
                await page.keyboard.press("End")
                return await told.filter(has_text="CP8, connector 1: Available").count() == 1

            await eventually(is_last)
