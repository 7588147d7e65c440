"""Fixtures of the console's tests: a server, its fleet and site, and a page at three widths."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from stack.console.page import Console
from support.central import Csms
from support.chargers import BOOT, START, energy, meter_values, status
from support.operators import admin
from wattspan.history.series import SeriesRecorder
from wattspan.simulator import ArrivalPattern, Simulation

WIDTHS = {"desktop": (1440, 900, "light"), "tablet": (1024, 768, "dark"), "phone": (390, 844, "dark")}


@pytest.fixture
async def csms(tmp_path: Path) -> AsyncIterator[Csms]:
    csms = Csms(tmp_path / "fleet.db", unknown_id_tags="accept")
    await csms.start()
    yield csms
    await csms.stop()


@pytest.fixture
async def fleet(csms: Csms) -> AsyncIterator[None]:
    """Three charge points, one a version, with cars that stay; no other comes to a connector that a test found free."""
    arrivals = ArrivalPattern(
        sessions_per_day=1e-9, busy_at_start=0.5, stay_s=(86_400.0, 90_000.0), meter_interval_s=60.0
    )
    url = f"ws://127.0.0.1:{csms.central.port}"
    run = asyncio.create_task(Simulation(url=url, charge_points=3, arrivals=arrivals, time_factor=30.0, seed=3).run())
    yield
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None, "not installed: chromium (on Debian: apt install chromium)"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture(params=WIDTHS)
async def console(request: pytest.FixtureRequest, browser: Browser, csms: Csms) -> AsyncIterator[Console]:
    width, height, scheme = WIDTHS[request.param]
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        timezone_id=_where_it_is_noon(),
        color_scheme="light" if scheme == "light" else "dark",
        bypass_csp=True,  # axe is brought in by evaluation; the policy itself is tested in tests/wire/api
    )
    context.set_default_timeout(60_000)  # a limit and not a wait
    console = Console(await context.new_page(), f"http://127.0.0.1:{csms.central.api_port}", request.param)
    assert csms.first_password is not None
    await console.log_in(csms.first_password)
    yield console
    assert not console.complaints
    await context.close()


def _where_it_is_noon() -> str:
    """Return a time zone in which no day ends during a test, for pages that show what happened today."""
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"  # "+11" is eleven hours behind UTC


@pytest.fixture
def series(csms: Csms) -> SeriesRecorder:
    """For a test that samples the minutes itself: named before `site`, so that none is sampled by the server."""
    return csms.sample_by_hand()


@pytest.fixture
async def site(csms: Csms) -> AsyncIterator[None]:
    """The charge point CP1 at a site, with a session under way at connector 1, and a faulted connector 2."""
    async with admin(csms) as boss:
        await boss.ask("PUT", "/sites/north", json={"name": "North", "grid_limit_kw": 50})
        new = {"cp_id": "CP1", "name": "Gate", "location": "Quai 7", "site_id": "north", "labels": {"owner": "city"}}
        await boss.ask("POST", "/charge-points", 201, json={**new, "credentials": False})
        await boss.ask("POST", "/charge-points", 201, json={"cp_id": "CP2", "credentials": False})
        await boss.ask("PUT", "/id-tags/TAG1", json={"group": "Drivers"})
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        started = await charger.call("StartTransaction", START)
        battery = {"value": "61", "measurand": "SoC", "unit": "Percent"}
        await charger.call("MeterValues", meter_values(started["transactionId"], energy(1500), battery))
        for connector_id, word, error in ((2, "Faulted", "GroundFailure"), (1, "Charging", "NoError")):
            await charger.call("StatusNotification", status(word, connector_id, error))
        await csms.durable()
        yield
