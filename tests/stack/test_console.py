"""The console as people use it: Debian's Chromium at two widths, a fleet that charges, and axe looking for barriers.

Screenshots go to build/screenshots; CI keeps them.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from stack.toolchain import ROOT, tool
from support.central import Csms
from support.chargers import BOOT, START
from wattspan.domain.events import ChargePointBooted
from wattspan.simulator import ArrivalPattern, Simulation

pytestmark = pytest.mark.stack

SHOTS = ROOT / "build" / "screenshots"
WIDTHS = {"desktop": (1440, 900, "light"), "phone": (390, 844, "dark")}
BARRIERS = {"serious", "critical"}
MANY = 10_000
expect.set_options(timeout=30_000)  # a limit and not a wait: by itself 5 s, and other servers start on the same cores


@pytest.fixture
async def csms(tmp_path: Path) -> AsyncIterator[Csms]:
    csms = Csms(tmp_path / "fleet.db", unknown_id_tags="accept")
    await csms.start()
    yield csms
    await csms.stop()


@pytest.fixture
async def fleet(csms: Csms) -> AsyncIterator[None]:
    """Three charge points, one a version, whose cars come and stay."""
    arrivals = ArrivalPattern(
        sessions_per_day=2.0, busy_at_start=0.5, stay_s=(86_400.0, 90_000.0), meter_interval_s=60.0
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


class Console:
    """A logged-in page, with all that the browser had to complain about."""

    def __init__(self, page: Page, base: str, name: str) -> None:
        self.page = page
        self.base = base
        self.name = name
        self.complaints: list[str] = []
        page.on("console", lambda told: self._complain(told.type, told.text))
        page.on("pageerror", lambda error: self._complain("error", str(error)))
        page.on("requestfailed", lambda request: self._complain("error", f"{request.url} {request.failure}"))

    def _complain(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "net::ERR_ABORTED" not in text:  # an event stream that its page closed
            self.complaints.append(text)

    async def log_in(self, password: str) -> None:
        await self.page.goto(self.base)
        await self.page.get_by_label("Name").fill("admin")
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name="Log in").click()
        await expect(self.page.get_by_role("heading", name="Fleet")).to_be_visible()

    async def open(self, path: str, heading: str) -> None:
        await self.page.goto(f"{self.base}/#/{path}")
        await expect(self.page.get_by_role("heading", name=heading, exact=True)).to_be_visible()

    async def seen(self, what: str) -> None:
        """Keep a picture, and let axe look: nothing serious may bar anybody, and nothing runs over the page's edge."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SHOTS / f"{self.name}-{what}.png", full_page=True)
        found: list[dict[str, Any]] = await self.page.evaluate(f"{AXE()}; axe.run().then((told) => told.violations)")
        assert not [f"{what}: {each['id']} {each['nodes'][0]['html']}" for each in found if each["impact"] in BARRIERS]
        over = await self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{what} is {over} px too wide"


def AXE() -> str:  # noqa: N802 - its own name
    return tool("axe").read_text()


@pytest.fixture(params=WIDTHS)
async def console(request: pytest.FixtureRequest, browser: Browser, csms: Csms) -> AsyncIterator[Console]:
    width, height, scheme = WIDTHS[request.param]
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="light" if scheme == "light" else "dark",
        bypass_csp=True,  # axe is brought in by evaluation; the policy itself is tested in tests/wire/api
    )
    context.set_default_timeout(15_000)
    console = Console(await context.new_page(), f"http://127.0.0.1:{csms.central.api_port}", request.param)
    assert csms.first_password is not None
    await console.log_in(csms.first_password)
    yield console
    assert not console.complaints
    await context.close()


async def test_an_operator_sees_the_fleet_and_starts_and_stops_a_session_by_a_click(
    csms: Csms, fleet: None, console: Console
) -> None:
    page = console.page
    await expect(page.locator("tbody tr")).to_have_count(3)
    await expect(page.get_by_text("Charging", exact=True).first).to_be_visible()
    await console.seen("fleet")
    await page.get_by_placeholder("Search").fill("nothing like this")
    await expect(page.get_by_text("No charge point matches the search.")).to_be_visible()
    await page.get_by_placeholder("Search").fill("")
    free = await _with_a_free_connector(csms)
    await page.get_by_role("link", name=free[0]).click()
    await expect(page.get_by_role("heading", name="Any command")).to_be_visible()
    before = csms.central.fleet.charge_points[free[0]].tx_total
    await page.get_by_role("button", name="Start", exact=True).click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Id tag").fill("CONSOLE-1")
    await dialog.get_by_label("Connector").select_option(free[1])
    await console.seen("start")
    await dialog.get_by_role("button", name="Start a session").click()
    await expect(dialog).to_be_hidden()
    await expect(page.locator("code", has_text="CONSOLE-1")).to_be_visible(timeout=30_000)
    assert csms.central.fleet.charge_points[free[0]].tx_total == before + 1
    await console.seen("charge-point")
    await page.locator("tr", has_text="CONSOLE-1").get_by_role("link").first.click()
    await expect(page.get_by_role("heading", name="What happened")).to_be_visible()
    await expect(page.locator("canvas")).to_be_visible(timeout=30_000)
    await console.seen("session")
    number = page.url.rsplit("/", 1)[-1]
    await page.get_by_role("link", name=free[0]).first.click()
    await page.get_by_role("button", name="Stop", exact=True).click()
    await dialog.get_by_label("Session").select_option(number)
    await dialog.get_by_role("button", name="Stop a session").click()
    await expect(dialog).to_be_hidden()
    await expect(page.locator("tr", has_text="CONSOLE-1").get_by_text("Remote")).to_be_visible(timeout=30_000)


async def test_every_version_has_its_commands_as_forms_and_its_messages_can_be_watched(
    csms: Csms, fleet: None, console: Console
) -> None:
    page = console.page
    await expect(page.locator("tbody tr")).to_have_count(3)
    for cp in list(csms.central.fleet.charge_points.values()):
        await console.open(f"charge-points/{cp.cp_id}", cp.cp_id)
        await page.get_by_role("button", name="Watch").click()
        await page.get_by_label("Command of OCPP").select_option("TriggerMessage")
        await page.get_by_label("requested Message").select_option("Heartbeat")
        await page.get_by_role("button", name="Send TriggerMessage").click()
        await expect(page.get_by_text("Accepted", exact=True).first).to_be_visible()
        await expect(page.get_by_role("log")).to_contain_text("TriggerMessage")
        await console.seen(f"commands-{cp.protocol}")


async def test_id_tags_users_tokens_and_the_audit_log_are_kept_from_the_console(csms: Csms, console: Console) -> None:
    page, dialog = console.page, console.page.get_by_role("dialog")
    await console.open("id-tags", "Id tags")
    await page.get_by_role("button", name="Add id tag").click()
    await dialog.get_by_label("Id tag").fill("CARD-1")
    await dialog.get_by_role("button", name="Save").click()
    await page.get_by_role("button", name="Edit CARD-1").click()
    await dialog.get_by_label("Status").select_option("Blocked")
    await dialog.get_by_role("button", name="Save").click()
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
    await expect(page.get_by_text("create_user")).to_be_visible()


async def test_a_charge_points_page_shows_transfers_certificates_and_security_events(
    csms: Csms, console: Console
) -> None:
    page, dialog = console.page, console.page.get_by_role("dialog")
    hashes = {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": "a" * 64,
        "issuerKeyHash": "b" * 64,
        "serialNumber": "1f2e3d",
    }
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        await charger.call("StartTransaction", START)
        for status in ("Downloading", "Installed"):
            await charger.call("SignedFirmwareStatusNotification", {"status": status, "requestId": 7})
        for number in range(12):
            reported = {"type": f"Type{number % 2}", "timestamp": START["timestamp"], "techInfo": f"number {number}."}
            await charger.call("SecurityEventNotification", reported)
        await csms.durable()
        await console.open("charge-points/CP1", "CP1")
        transfers = page.get_by_role("region", name="Firmware updates and log uploads")
        await transfers.get_by_text("2 statuses").click()
        await expect(transfers.get_by_text("Downloading")).to_be_visible()
        await charger.call("SignedFirmwareStatusNotification", {"status": "Downloading", "requestId": 8})
        await expect(transfers.locator("tbody tr")).to_have_count(2)
        await page.get_by_role("button", name="Read installed certificates").click()
        accepted = {"status": "Accepted", "certificateHashData": [hashes]}
        await charger.reply(await charger.expect("GetInstalledCertificateIds"), accepted)
        await charger.reply(await charger.expect("GetInstalledCertificateIds"), {"status": "NotFound"})
        await expect(page.get_by_text("1f2e3d")).to_be_visible()
        events = page.get_by_role("region", name="Security events")
        await expect(events.locator("tbody tr")).to_have_count(10)
        await page.get_by_role("button", name="Earlier").click()
        await expect(events.locator("tbody tr")).to_have_count(12)
        await console.seen("security")
        await page.get_by_placeholder("TamperDetectionActivated").fill("Type1")
        await expect(events.locator("tbody tr")).to_have_count(6)
        await page.get_by_role("button", name="Set limit").click()
        await dialog.get_by_label("Limit", exact=True).fill("16")
        await dialog.get_by_label("Later limits").fill("half an hour")
        await dialog.get_by_role("button", name="Set a limit").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("minutes, a colon and a limit")
        await console.seen("limit")
        await dialog.get_by_label("Later limits").fill("30: 8.5")
        await dialog.get_by_label("Where").select_option(label="only session 1 at connector 1")
        await dialog.get_by_role("button", name="Set a limit").click()
        frame = await charger.expect("SetChargingProfile")
        await charger.reply(frame, {"status": "Accepted"})
        await expect(dialog).to_be_hidden()
    profile = frame[3]["csChargingProfiles"]
    assert profile["chargingProfilePurpose"] == "TxProfile"
    assert [each["startPeriod"] for each in profile["chargingSchedule"]["chargingSchedulePeriod"]] == [0, 1800]


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
        await page.get_by_role("link", name="2 charge points wait for approval.").click()
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
        await console.open("charge-points/GATE-1", "GATE-1")
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


async def test_ten_thousand_charge_points_are_listed_and_scrolled(csms: Csms, console: Console) -> None:
    now_ts = time.time()
    csms.central._core.record(
        ChargePointBooted(cp_id=f"M{number:05}", received_ts=now_ts, vendor="Many", model="X") for number in range(MANY)
    )
    page = console.page
    await page.reload()
    await expect(page.get_by_text("10,000 shown", exact=True)).to_be_visible(timeout=30_000)
    assert await page.locator("tbody tr").count() < 100
    await page.get_by_role("region", name="Charge points").evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
    await expect(page.get_by_role("link", name=f"M{MANY - 1:05}")).to_be_visible()
    await page.get_by_placeholder("Search").fill("M04242")
    await expect(page.locator("tbody tr")).to_have_count(1)


async def test_a_wrong_password_is_told_and_log_out_ends_the_session(csms: Csms, console: Console) -> None:
    page = console.page
    await page.get_by_role("button", name="Log out").locator("visible=true").click()
    await page.get_by_label("Name").fill("admin")
    await page.get_by_label("Password").fill("not the password")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await console.seen("log-in")
    console.complaints.clear()  # the 401 itself, which a browser tells of
    await page.goto(f"{console.base}/#/users")
    await expect(page.get_by_role("button", name="Log in")).to_be_visible()


async def _with_a_free_connector(csms: Csms) -> tuple[str, str]:
    """(identity, connector) of one where nothing runs."""
    async with asyncio.timeout(30):
        while True:
            for cp in csms.central.fleet.charge_points.values():
                for connector in cp.connectors.values():
                    if connector.connector_id != "0" and connector.status == "Available" and cp.connected:
                        return cp.cp_id, connector.connector_id
            await asyncio.sleep(0.2)
