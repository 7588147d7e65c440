"""`make run` as a newcomer meets it: a log-in is printed, and a click on the console starts a session."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright, expect

from stack.process import Program, eventually, running

pytestmark = pytest.mark.timeout(300)

ENTRY = re.compile(r"^open (http://127\.0\.0\.1:\d+)/ and log in as (\w+), password (\S+)$", re.MULTILINE)
START_S = 90.0
SOON_MS = 30_000.0
expect.set_options(timeout=60_000)  # a limit and not a wait, as in stack.console.page


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Program]:
    """What `make run` runs, on free ports."""
    ports = [word for name in ("port", "metrics-port", "api-port") for word in (f"--{name}", "0")]
    command = [sys.executable, "-m", "wattspan", "demo", *ports]
    async with running("demo", command, folder=tmp_path) as program:
        yield program


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A browser's empty page."""
    path = shutil.which("chromium")
    assert path is not None, "not installed: chromium (on Debian: apt install chromium)"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = await browser.new_page()
        page.set_default_timeout(SOON_MS)
        yield page
        await browser.close()


async def entry(demo: Program) -> tuple[str, str, str]:
    """Address, name and password, as the demo printed them."""

    async def told() -> bool:
        return ENTRY.search(demo.log.read_text()) is not None

    await demo.until(told, "ready for a newcomer", within_s=START_S)
    found = ENTRY.search(demo.log.read_text())
    assert found is not None
    url, name, password = found.groups()
    return url, name, password


async def free(page: Page, url: str) -> list[tuple[str, str]]:
    """(identity, connector) of all where a session may start now."""
    answer = await page.request.get(f"{url}/api/v1/charge-points?connected=true")
    listed: dict[str, Any] = await answer.json()
    found = []
    for cp in listed["items"]:
        whole: dict[str, Any] = await (await page.request.get(f"{url}/api/v1/charge-points/{cp['cp_id']}")).json()
        here = {each["connector_id"] for each in whole["connectors"] if each["status"] == "Available"}
        found += [(cp["cp_id"], connector_id) for connector_id in sorted(here - {"0"})]
    return found


async def start(page: Page, cp_id: str, connector_id: str, id_tag: str) -> bool:
    """Start a session as a person does; whether it came about, for a car of the fleet's may have been quicker."""
    await page.get_by_role("link", name="Fleet").first.click()
    await page.locator("tr", has_text=cp_id).get_by_role("link").first.click()
    await page.get_by_role("button", name="Start", exact=True).click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Id tag").fill(id_tag)
    await dialog.get_by_label("Connector").select_option(connector_id)
    await dialog.get_by_role("button", name="Start a session").click()
    try:
        await expect(page.locator("code", has_text=id_tag)).to_be_visible(timeout=SOON_MS)
    except AssertionError:
        if await dialog.is_visible():
            await page.keyboard.press("Escape")
        return False
    return True


async def test_a_newcomer_logs_in_sees_the_fleet_and_starts_a_session_by_a_click(demo: Program, page: Page) -> None:
    url, name, password = await entry(demo)
    await page.goto(url)
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await expect(
        page.get_by_role("region", name="Power").or_(page.get_by_role("heading", name="Power"))
    ).to_be_visible()
    await page.get_by_role("link", name="Fleet").first.click()
    await expect(page.locator("tr", has_text="DEMO0008")).to_be_visible()
    await expect(page.locator("tr", has_text="DEMO0009").get_by_text("Faulted").first).to_be_visible()
    await expect(page.get_by_text("Charging", exact=True).first).to_be_visible()  # without anybody's doing
    for attempt in range(5):
        cp_id, connector_id = (await eventually(partial(free, page, url)))[0]  # none before the fleet connects
        if await start(page, cp_id, connector_id, id_tag := f"NEWCOMER-{attempt}"):
            await page.locator("tr", has_text=id_tag).get_by_role("link").first.click()
            await expect(page.get_by_role("heading", name="What happened")).to_be_visible()
            await expect(page.locator("main")).to_contain_text(f"with id tag {id_tag}")
            await expect(page.get_by_text("Charging.", exact=True).first).to_be_visible()
            await expect(page.locator("canvas").first).to_be_visible()  # its meter curve: it charges
            return
    pytest.fail("no session could be started")
