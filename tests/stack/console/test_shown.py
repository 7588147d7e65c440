"""What an operator must be able to read in the console: why an energy was corrected, which certificate was refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from stack.console.page import Console
from support.central import Csms
from support.certificates import certificate_request
from support.chargers import BOOT, START, energy, meter_values, stop


@pytest.fixture
async def csms(tmp_path: Path) -> AsyncIterator[Csms]:
    """One that signs certificate requests."""
    csms = Csms(tmp_path / "fleet.db", unknown_id_tags="accept", ca_dir=str(tmp_path / "ca"))
    await csms.start()
    yield csms
    await csms.stop()


async def test_a_corrected_energy_is_shown_with_its_reason_in_words(csms: Csms, console: Console) -> None:
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        for connector_id, stop_wh in ((1, 3000), (2, 1000)):
            start = {**START, "connectorId": connector_id}
            tx = (await charger.call("StartTransaction", start))["transactionId"]
            for minute, register_wh in ((20, 1800), (40, 2500)):
                values = meter_values(tx, energy(register_wh), connector_id=connector_id)
                values["meterValue"][0]["timestamp"] = f"2026-11-21T10:{minute}:00Z"
                await charger.call("MeterValues", values)
            await charger.call("StopTransaction", stop(tx, stop_wh))
        await csms.durable()
    page = console.page
    corrected = page.get_by_text("The energy is not the difference of the meter readings at start and stop")
    await console.open("sessions/2", "Session 2")
    await expect(corrected).to_have_text(
        "The energy is not the difference of the meter readings at start and stop: "
        "start and stop show no energy, but the readings between them do."
    )
    await expect(page.get_by_text("1.50 kWh delivered.")).to_be_visible()
    await console.seen("corrected")
    await console.open("sessions/1", "Session 1")
    await expect(page.get_by_text("2.00 kWh delivered.")).to_be_visible()
    await expect(corrected).to_be_hidden()


async def test_a_refused_certificate_and_those_issued_are_shown(csms: Csms, console: Console) -> None:
    page = console.page
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        await charger.call("SignCertificate", {"csr": certificate_request("CP1")})
        await charger.reply(await charger.expect("CertificateSigned"), {"status": "Rejected"})
        await console.open("charge-points/CP1?tab=security", "CP1")
        await page.reload()
        await expect(page.get_by_text("refused (Rejected) next try")).to_be_visible()
        issued = page.get_by_role("region", name="Issued certificates").locator("tbody tr")
        await expect(issued.filter(has_text="not accepted")).to_have_count(1)
        await console.seen("refused-certificate")
