"""A charge point's page: its commands, messages, transfers, certificates and planned outages."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import httpx
from playwright.async_api import expect

from stack.console.page import Clicks, Console
from support.central import PLAIN, Csms
from support.chargers import BOOT, START, meter_values
from support.operators import admin
from wattspan.history.series import SeriesRecorder


async def test_every_version_has_its_commands_as_forms_and_its_messages_can_be_watched(
    csms: Csms, fleet: None, console: Console
) -> None:
    page = console.page
    await console.open("fleet", "Fleet")
    await expect(page.locator("tbody tr")).to_have_count(3)
    for cp in list(csms.central.fleet.charge_points.values()):
        await console.open(f"charge-points/{cp.cp_id}?tab=messages", cp.cp_id)
        await expect(page.get_by_role("button", name="Pause")).to_be_visible()
        await page.get_by_label("Command of OCPP").select_option("TriggerMessage")
        await page.get_by_role("combobox", name="requestedMessage").select_option("Heartbeat")
        await page.get_by_role("button", name="Send TriggerMessage").click()
        await expect(page.get_by_text("Accepted", exact=True).first).to_be_visible()
        await expect(page.get_by_role("log")).to_contain_text("TriggerMessage")
        await console.seen(f"commands-{cp.protocol}")


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
        await console.open("charge-points/CP1?tab=firmware", "CP1")
        transfers = page.get_by_role("region", name="Firmware updates and log uploads")
        await transfers.get_by_text("2 statuses").click()
        await expect(transfers.get_by_text("Downloading")).to_be_visible()
        await charger.call("SignedFirmwareStatusNotification", {"status": "Downloading", "requestId": 8})
        await expect(transfers.locator("tbody tr")).to_have_count(2)
        await console.seen("firmware")
        await page.get_by_role("link", name="Security", exact=True).click()
        await page.get_by_role("button", name="Read installed certificates").click()
        accepted = {"status": "Accepted", "certificateHashData": [hashes]}
        await charger.reply(await charger.expect("GetInstalledCertificateIds"), accepted)
        await charger.reply(await charger.expect("GetInstalledCertificateIds"), {"status": "NotFound"})
        await expect(page.get_by_text("1f2e3d")).to_be_visible()
        events = page.get_by_role("region", name="Security events")
        await expect(events.locator("tbody tr")).to_have_count(10)
        await page.get_by_role("button", name="Show earlier events").click()
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


async def test_firmware_is_sent_and_a_log_fetched_on_a_charge_points_page(csms: Csms, console: Console) -> None:
    page, dialog = console.page, console.page.get_by_role("dialog")
    firmware = {"name": "fw-2.bin", "mimeType": "application/octet-stream", "buffer": b"new firmware"}
    async with csms.charger("CP1") as charger, httpx.AsyncClient(**PLAIN) as http:
        await charger.call("BootNotification", BOOT)
        await console.open("charge-points/CP1?tab=firmware", "CP1")
        await page.get_by_role("button", name="Update firmware").click()
        await dialog.get_by_label("Firmware").select_option("Upload a file")
        await dialog.locator("input[type=file]").set_input_files(firmware)  # type: ignore[arg-type]
        await console.seen("update-firmware")
        await dialog.get_by_role("button", name="Update firmware").click()
        frame = await charger.expect("UpdateFirmware")
        assert (await http.get(frame[3]["location"])).content == b"new firmware"
        await charger.reply(frame, {})
        await expect(dialog).to_be_hidden()
        await page.get_by_role("button", name="Update firmware").click()
        await dialog.get_by_label("Firmware").select_option("fw-2.bin")  # it is kept
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Get a log").click()
        await dialog.get_by_role("button", name="Get a log").click()
        frame = await charger.expect("GetDiagnostics")
        await http.put(frame[3]["location"] + "/log.txt", content=b"lines")
        await charger.reply(frame, {"fileName": "log.txt"})
        await charger.call("DiagnosticsStatusNotification", {"status": "Uploaded"})
        uploads = page.get_by_role("region", name="Uploaded logs")
        await expect(uploads.get_by_text("5 B")).to_be_visible()
        async with page.expect_download() as found:
            await uploads.get_by_role("link", name="log.txt").click()
        assert (await (await found.value).path()).read_bytes() == b"lines"
        await uploads.get_by_role("button", name="Delete log.txt").click()
        await dialog.get_by_role("button", name="Delete").click()
        await expect(page.get_by_text("None. Get a log asks")).to_be_visible()


async def test_a_planned_outage_is_added_and_deleted_on_a_charge_points_page(
    csms: Csms, site: None, console: Console
) -> None:
    page, dialog = console.page, console.page.get_by_role("dialog")
    await console.open("charge-points/CP1", "Gate")
    outages = page.locator("section", has=page.get_by_role("heading", name="Planned outages"))
    await outages.get_by_role("button", name="Plan an outage").click()
    await dialog.get_by_label("Reason").fill("works on the cable")
    await dialog.get_by_label("Until").fill("2000-01-01T00:00")
    await dialog.get_by_role("button", name="Plan", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_have_text("The end must be after the begin.")
    await dialog.get_by_label("Until").fill("2999-01-01T00:00")
    await console.seen("plan-an-outage")
    await dialog.get_by_role("button", name="Plan", exact=True).click()
    await expect(outages.locator("tbody tr")).to_contain_text("works on the cable")
    await expect(outages.locator("tbody tr")).to_contain_text("under way")
    await console.seen("planned-outages")
    async with admin(csms) as boss:
        (kept,) = await boss.ask("GET", "/planned-outages?cp_id=CP1")
        assert (kept["connector_id"], kept["reason"], kept["created_by"]) == ("", "works on the cable", "admin")
        await outages.get_by_role("button", name="Delete the outage").click()
        await dialog.get_by_role("button", name="Delete").click()
        await expect(outages.get_by_text("None in the last 30 days")).to_be_visible()
        assert await boss.ask("GET", "/planned-outages?cp_id=CP1") == []


async def test_a_charge_points_history_shows_power_or_current_and_its_planned_outages(
    csms: Csms, series: SeriesRecorder, site: None, console: Console
) -> None:
    page, now = console.page, datetime.now(UTC)
    async with csms.charger("CP1") as charger, admin(csms) as boss:
        await csms.central._history.timelines.write()
        curves = page.locator("section", has=page.get_by_role("heading", name="History"))
        await console.open("charge-points/CP1", "Gate")
        await expect(curves.get_by_role("img", name="Connector 1: ")).to_be_visible()
        await expect(curves.get_by_role("heading", name="Power")).to_be_hidden()  # none was measured
        power = {"measurand": "Power.Active.Import", "unit": "W", "value": "7200"}
        current = {"measurand": "Current.Import", "unit": "A", "value": "31.5"}
        await charger.call("MeterValues", meter_values(None, power, current))
        minute_ts = int(now.timestamp()) // 60 * 60
        for minute in range(10):
            await series.record(minute_ts - 3000 + 60 * minute)
        for connector_id, begun_h in (("", 20), ("2", 6)):
            outage = {"cp_id": "CP1", "connector_id": connector_id, "reason": f"works {begun_h} h ago"}
            outage["from_at"] = (now - timedelta(hours=begun_h)).isoformat()
            outage["until_at"] = (now - timedelta(hours=begun_h - 2)).isoformat()
            await boss.ask("POST", "/planned-outages", 201, json=outage)
        await page.reload()
        chart = curves.get_by_role("img", name="over time")
        await expect(chart).to_have_attribute("aria-label", "Power over time")
        await expect(curves.locator("b[title*='works 20 h ago']")).to_have_count(3)  # the connection, both connectors
        await expect(curves.locator("b[title*='works 6 h ago']")).to_have_count(1)
        await expect(curves.get_by_role("img", name="Connector 2: ")).to_have_attribute(
            "aria-label", re.compile("works 20 h ago.*works 6 h ago")
        )
        await expect(curves.get_by_text("Planned outage", exact=True)).to_be_visible()
        await console.seen("history-power")
        await curves.get_by_role("button", name="Current").click()
        await expect(chart).to_have_attribute("aria-label", "Current over time")
        await expect(chart.locator(".u-legend")).to_contain_text("Current")
        await console.seen("history-current")
        await page.reload()
        await expect(chart).to_have_attribute("aria-label", "Current over time")
        await curves.get_by_role("button", name="Power").click()
        await expect(chart).to_have_attribute("aria-label", "Power over time")


async def test_a_session_starts_with_two_clicks(csms: Csms, site: None, console: Console) -> None:
    page, dialog = console.page, console.page.get_by_role("dialog")
    async with csms.charger("CP1") as charger:
        await console.open("charge-points/CP1", "Gate")
        await expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()
        async with Clicks(page) as clicks:
            await page.get_by_role("button", name="Start", exact=True).click()
            await expect(dialog.get_by_label("Id tag")).to_be_focused()
            await page.keyboard.type("TAG1")
            await dialog.get_by_role("button", name="Start a session").click()
            start = await charger.expect("RemoteStartTransaction")
            await charger.reply(start, {"status": "Accepted"})
            await expect(dialog).to_be_hidden()
            assert await clicks.count() == 2
    assert start[3]["idTag"] == "TAG1"


async def test_why_a_charge_point_is_down_is_found_with_three_clicks(csms: Csms, site: None, console: Console) -> None:
    page = console.page
    async with Clicks(page) as clicks:
        await clicks.go("Alerts")
        await page.get_by_role("button", name="Offline 1").click()
        await page.locator("tbody").get_by_role("link", name="CP2").click()
        await expect(
            page.get_by_text("It has never connected. Check its URL, identity and credentials.")
        ).to_be_visible()
        assert await clicks.count() == 3
