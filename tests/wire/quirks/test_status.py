"""What real chargers say of their connectors. Each docstring has the words of docs/quirks.md."""

import pytest

from support.chargers import BOOT, START, energy, meter_values, status
from support.transcripts import EndedSession

AT = {"cp_id": "CP1", "connector_id": "1"}
HOUR_S = 3600


@pytest.fixture
async def charger(timed):
    async with timed.charger("CP1") as connected:
        yield connected


async def test_connector_0(timed, charger):
    """connector 0"""
    await charger.call("StatusNotification", status("Unavailable", connector_id=0))
    assert await timed.metric("ocpp_cp_status", cp_id="CP1") == 7
    assert await timed.metric("ocpp_connector_status", cp_id="CP1", connector_id="0") == 7
    # It is the charge point as a whole: no place to charge at, and no share of stations booked.
    assert await timed.lines("ocpp_connector_state", "ocpp_tx_active") == []
    await charger.call("StatusNotification", status("Faulted", connector_id=0, error_code="InternalError"))
    assert await timed.metric("ocpp_cp_errors_total", cp_id="CP1", error_type="InternalError") == 1


async def test_straight_from_boot_into_preparing(timed, clock, charger):
    """straight from boot into Preparing"""
    told: list[EndedSession] = []
    timed.central.fleet.on_stopped.append(lambda session: told.append(EndedSession.of(session)))
    await charger.call("BootNotification", BOOT)
    await charger.call("StatusNotification", status("Preparing"))
    assert await timed.metric("ocpp_cp_status", cp_id="CP1") == 1
    assert await timed.metric("ocpp_connector_state", **AT, state="charging") == 1
    tx = (await charger.call("StartTransaction", {**START, "timestamp": clock.at(0)}))["transactionId"]
    clock.be_at(HOUR_S)
    await charger.call("StopTransaction", {"transactionId": tx, "meterStop": 2000, "timestamp": clock.at(HOUR_S)})
    assert [phase.name for phase in told[0].phases] == ["preparing"]


async def test_available_while_plugged_in(timed, clock, charger):
    """Available while plugged in"""
    tx = (await charger.call("StartTransaction", {**START, "timestamp": clock.at(0)}))["transactionId"]
    await charger.call("StatusNotification", status("Charging"))
    await charger.call("StatusNotification", status("Available"))
    # What it says is shown, and what it said of the transaction still holds.
    assert await timed.metric("ocpp_cp_status", cp_id="CP1") == 0
    assert await timed.metric("ocpp_tx_active", **AT) == 1
    await charger.call("MeterValues", meter_values(tx, energy(1700)))
    assert await timed.metric("ocpp_tx_energy_wh", **AT) == 700
    await charger.call("StopTransaction", {"transactionId": tx, "meterStop": 2000, "timestamp": clock.at(60)})
    assert await timed.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 1000


async def test_stale_timestamps_after_a_reconnect(timed, clock, charger):
    """stale timestamps after a reconnect"""
    told: list[EndedSession] = []
    timed.central.fleet.on_stopped.append(lambda session: told.append(EndedSession.of(session)))
    tx = (await charger.call("StartTransaction", {**START, "timestamp": clock.at(0)}))["transactionId"]
    clock.be_at(60)
    await charger.call("StatusNotification", {**status("Charging"), "timestamp": clock.at(60)})
    charger.vanish()
    await timed.becomes(0, "ocpp_cp_connected", cp_id="CP1")
    clock.be_at(2 * HOUR_S)
    async with timed.charger("CP1") as again:
        # It has been so for over an hour, and is so now.
        await again.call("StatusNotification", {**status("SuspendedEV"), "timestamp": clock.at(HOUR_S)})
        assert await timed.metric("ocpp_cp_status", cp_id="CP1") == 4
        await again.call("StatusNotification", {**status("SuspendedEV"), "timestamp": clock.at(HOUR_S)})
        clock.be_at(3 * HOUR_S)
        stop = {"transactionId": tx, "meterStop": 2000, "timestamp": clock.at(3 * HOUR_S)}
        await again.call("StopTransaction", stop)
    began_ts = clock.began_ts
    assert [(each.name, each.began_ts - began_ts, each.ended_ts - began_ts) for each in told[0].phases] == [
        ("preparing", 0, 60),
        ("charging", 60, HOUR_S),
        ("suspended by EV", HOUR_S, 3 * HOUR_S),
    ]
