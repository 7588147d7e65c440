"""A logged-in page of the console in Debian's Chromium, with axe looking for barriers.

Screenshots go to build/screenshots; CI keeps them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from playwright.async_api import Page, expect
from starlette.applications import Starlette

from stack.toolchain import ROOT, tool
from support.waiting import eventually

SHOTS = ROOT / "build" / "screenshots"
PAGES = {
    "": "Overview",
    "fleet": "Fleet",
    "fleet?view=matrix": "Fleet",
    "sessions": "Sessions",
    "alerts": "Alerts",
    "sites": "Sites",
    "sites/north": "North",
    "pending": "Pending charge points",
    "id-tags": "Id tags",
    "reservations": "Reservations",
    "jobs": "Bulk work",
    "exports": "Exports",
    "users": "Users",
    "audit": "Audit",
    "system": "System",
    "charge-points/CP1": "Gate",
    "charge-points/CP1?tab=sessions": "Gate",
    "charge-points/CP1?tab=messages": "Gate",
    "charge-points/CP1?tab=configuration": "Gate",
    "charge-points/CP1?tab=firmware": "Gate",
    "charge-points/CP1?tab=security": "Gate",
    "charge-points/CP1?tab=events": "Gate",
    "sessions/1": "Session 1",
}
"""The address of each page, and its heading."""
COUNT_CLICKS = """() => {
  window.clicksOfUser = 0;
  addEventListener("click", (event) => { if (event.isTrusted && event.detail > 0) window.clicksOfUser += 1; }, true);
}"""
EVENT_STREAM = re.compile(r"/api/v1/(events|charge-points/[^/]+/messages)")
expect.set_options(timeout=60_000)  # a limit and not a wait: by itself 5 s, and other servers start on the same cores


class Console:
    """A logged-in page, with all that the browser had to complain about."""

    def __init__(self, page: Page, base: str, name: str) -> None:
        self.page = page
        self.base = base
        self.name = name
        self.complaints: list[str] = []
        page.on("console", lambda told: self._complain(told.type, told.text, told.location.get("url", "")))
        page.on("pageerror", lambda error: self._complain("error", str(error)))
        page.on("requestfailed", lambda request: self._complain("error", f"{request.failure}", request.url))

    def _complain(self, kind: str, text: str, url: str = "") -> None:
        # A page that is left ends its requests. Only an event stream is cut by the server, for a listener that does not
        # keep up; any other answer that is not whole is a fault.
        is_dropped = "net::ERR_INCOMPLETE_CHUNKED_ENCODING" in text and EVENT_STREAM.fullmatch(urlsplit(url).path)
        is_end = "net::ERR_ABORTED" in text or is_dropped
        is_of_screenshot = "GPU stall due to ReadPixels" in text  # a picture of the map is read back
        if kind in ("error", "warning") and not is_end and not is_of_screenshot:
            self.complaints.append(f"{url} {text}")

    async def log_in(self, password: str) -> None:
        await self.page.goto(self.base)
        await self.page.get_by_label("Name").fill("admin")
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name="Log in").click()
        await expect(self.page.get_by_role("heading", name="Overview")).to_be_visible()

    async def open(self, path: str, heading: str) -> None:
        await self.page.goto(f"{self.base}/#/{path}")
        await expect(self.page.get_by_role("heading", name=heading, exact=True)).to_be_visible()

    async def seen(self, what: str) -> None:
        """Keep a picture, and let axe look: it finds nothing, however slight, and nothing runs over the page's edge."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SHOTS / f"{self.name}-{what}.png", full_page=True)
        await self.has_no_barrier(what)
        over = await self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{what} is {over} px too wide"

    async def has_no_barrier(self, what: str) -> None:
        """Axe finds nothing, however slight."""
        found: list[dict[str, Any]] = await self.page.evaluate(f"{AXE()}; axe.run().then((told) => told.violations)")
        assert not [f"{what}: {each['id']} {each['nodes'][0]['html']}" for each in found]


def AXE() -> str:  # noqa: N802 - its own name
    return tool("axe").read_text()


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[str]:
    """The origin of a server of another program."""
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)  # its graceful end is short, for a browser keeps its connections
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await running


class Clicks:
    """Clicks of the user in a page, which counts them itself; it is not loaded anew meanwhile."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def __aenter__(self) -> Clicks:
        await self._page.evaluate(COUNT_CLICKS)
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def count(self) -> int:
        found: int = await self._page.evaluate("window.clicksOfUser")
        return found

    async def go(self, name: str) -> None:
        """Click a page of the navigation, which a phone may have under More."""
        link = self._page.get_by_role("link", name=name).locator("visible=true")
        if not await link.count():
            await self._page.get_by_role("button", name="More").click()
        await link.first.click()
