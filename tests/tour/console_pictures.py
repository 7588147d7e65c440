"""Pictures of the console for its page and the README, and of every page for who looks at its design.

Runs `wattspan demo` and Debian's Chromium. Five pictures go to docs/, all others to build/screenshots.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from playwright.async_api import Browser, Page, async_playwright, expect

from stack.process import LOOPBACK, free_ports, running
from stack.toolchain import ROOT
from support.central import Csms
from wattspan.domain.events import (
    ChargePointConnected,
    ChargePointDisconnected,
    ConnectorStatusChanged,
    Event,
)
from wattspan.store.queries import sites as site_queries
from wattspan.store.queries.sites import Site

DOCS = ROOT / "docs"
SHOTS = ROOT / "build" / "screenshots"
PASSWORD = "demo password 1"
SCREENS = {"1440-light": (1440, 900), "1440-dark": (1440, 900), "1024-light": (1024, 768), "390-dark": (390, 844)}
MORE_SCREENS = {"1024-dark": (1024, 768), "390-light": (390, 844)}
SETTLED_S = 2.0
"""Until what a page reads after its heading is drawn."""
PAGES = {
    "overview": "",
    "fleet": "fleet",
    "matrix": "fleet?view=matrix",
    "charge-point": "charge-points/DEMO0001",
    **{
        f"charge-point-{tab}": f"charge-points/DEMO0001?tab={tab}"
        for tab in ("sessions", "messages", "configuration", "firmware", "security", "events")
    },
    "session": "sessions/{session}",
    **{
        page: page
        for page in (
            "sessions",
            "alerts",
            "sites",
            "pending",
            "id-tags",
            "reservations",
            "jobs",
            "exports",
            "users",
            "audit",
            "system",
        )
    },
    "site": "sites/harbour",
}
KEPT = ("overview", "charge-point", "session")
SESSION = "document.querySelector('tbody a')?.textContent"


MATRIX_CPS = 420
PLACES = ("Airport", "Bus depot", "Harbour", "Hotel Alpina", "Retail park", "School street", "Town hall")
STATES = ("Available",) * 9 + ("Charging",) * 7 + ("SuspendedEV", "SuspendedEV", "Finishing", "Unavailable", "Faulted")


async def log_in(page: Page, base: str) -> None:
    """Open the overview."""
    await page.goto(base)
    await page.get_by_label("Name").fill("admin")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.mouse.move(0, 0)  # or a chart under it shows its values
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()


async def show(page: Page, base: str, path: str) -> None:
    """Open a page, and wait until its data is drawn."""
    await page.goto(f"{base}/#/{path}")
    await expect(page.locator("h1")).to_be_visible()
    await expect(page.locator("[aria-busy=true]")).to_have_count(0)
    await asyncio.sleep(SETTLED_S)


async def take(browser: Browser, base: str, screen: str, size: tuple[int, int]) -> None:
    """Take every page on one screen."""
    dark = screen.endswith("dark")
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
    )
    page = await context.new_page()
    await log_in(page, base)
    await show(page, base, "sessions?open=false")
    session = str(await page.evaluate(SESSION))
    for name, path in PAGES.items():
        await show(page, base, path.format(session=session))
        await page.screenshot(path=SHOTS / f"{name}-{screen}.png")
    await context.close()


def many() -> Iterator[Event]:
    """Yield the events of charge points with two connectors in various states, some of them offline."""
    drawn, now_ts = random.Random(3), time.time()
    for number in range(MATRIX_CPS):
        cp_id = f"CP{number:04}"
        yield ChargePointConnected(cp_id=cp_id, received_ts=now_ts - 90, protocol="ocpp1.6")
        for connector_id in "12":
            word = drawn.choice(STATES)
            yield ConnectorStatusChanged(
                cp_id=cp_id,
                received_ts=now_ts - drawn.random() * 9000,
                connector_id=connector_id,
                status=word,
                error_code="GroundFailure" if word == "Faulted" else "NoError",
            )
        if drawn.random() < 0.03:
            yield ChargePointDisconnected(cp_id=cp_id, received_ts=now_ts - 60, code=1006)


def set_places(connection: sa.Connection) -> None:
    """Spread the charge points over sites of different sizes."""
    drawn = random.Random(4)
    for place in PLACES:
        site_queries.put_site(
            connection,
            Site(site_id=place.lower().replace(" ", "-"), name=place, created_ts=time.time()),
            lambda _: None,
        )
    for number in range(MATRIX_CPS):
        (place,) = drawn.choices(PLACES, weights=range(len(PLACES), 0, -1))
        site_queries.put_place(connection, f"CP{number:04}", place.lower().replace(" ", "-"), {})


async def take_matrix(browser: Browser, folder: Path) -> None:
    """Take the matrix of a larger fleet than the demo has."""
    csms = Csms(folder / "matrix.db", admin_password=PASSWORD)
    await csms.start()
    csms.central._core.record(many())
    await csms.central._core.settled()
    await csms.central.store.do(set_places)
    await csms.central._directory.refresh()
    page = await browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
    base = f"http://{LOOPBACK}:{csms.central.api_port}"
    await log_in(page, base)
    await show(page, base, "fleet?view=matrix")
    await page.screenshot(path=DOCS / "console-matrix.png")
    await page.close()
    await csms.stop()


async def side_by_side(browser: Browser, names: list[str], target: Path) -> None:
    """Write one picture of phones beside each other."""
    page = await browser.new_page(viewport={"width": 390 * len(names), "height": 844})
    images = "".join(f"<img width=390 src='{(SHOTS / name).as_uri()}'>" for name in names)
    document = SHOTS / "phones.html"
    document.write_text(f"<body style='margin:0;display:flex'>{images}")
    await page.goto(document.as_uri())
    await page.screenshot(path=target)
    await page.close()


async def main(warm_up_s: float, screens: dict[str, tuple[int, int]]) -> None:
    """Run the demo for a while, then take all pictures."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        ports = ["--port", "0", "--metrics-port", "0", "--api-port", str(port)]
        command = [sys.executable, "-m", "wattspan", "demo", *ports, "--database", str(Path(folder) / "demo.db")]
        async with running("demo", command, folder=Path(folder), environment={"WATTSPAN_ADMIN_PASSWORD": PASSWORD}):
            await asyncio.sleep(warm_up_s)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                base = f"http://{LOOPBACK}:{port}"
                for screen, size in screens.items():
                    await take(browser, base, screen, size)
                for name in KEPT:
                    shutil.copy(SHOTS / f"{name}-1440-light.png", DOCS / f"console-{name}.png")
                await take_matrix(browser, Path(folder))
                await side_by_side(
                    browser, ["overview-390-dark.png", "charge-point-390-dark.png"], DOCS / "console-phone.png"
                )
                await browser.close()


if __name__ == "__main__":
    expect.set_options(timeout=30_000)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--warm-up", type=float, default=90.0, help="seconds until the first picture")
    parser.add_argument("--all", action="store_true", help="both schemes at each width")
    given = parser.parse_args()
    asyncio.run(main(given.warm_up, SCREENS | (MORE_SCREENS if given.all else {})))
