"""What real chargers say of their connectors. Each docstring has the words of docs/quirks.md."""

import asyncio

import pytest
from ocpp.v16.call import TriggerMessage

from support.chargers import BOOT, START, energy, meter_values, status
from support.transcripts import EndedSession

AT = {"cp_id": "CP1", "connector_id": "1"}
HOUR_S = 3600
NOW = "2026-03-02T08:00:00Z"


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


@pytest.fixture
async def errors(timed):
    async def count(code: str = "GroundFailure") -> float | None:
        return await timed.metric("ocpp_cp_errors_total", cp_id="CP1", error_type=code)

    return count


async def triggered(timed, charger, told, connector_id: int | None = 1) -> None:
    """The charger sends `told` because TriggerMessage requested it."""
    asked = TriggerMessage(requested_message="StatusNotification", connector_id=connector_id)
    sending = asyncio.create_task(timed.central.call("CP1", asked))
    command = await charger.expect("TriggerMessage")
    await charger.reply(command, {"status": "Accepted"})
    await charger.call("StatusNotification", told)
    await sending


@pytest.mark.parametrize("asked", [1, None])
async def test_a_standing_fault_told_again(timed, clock, charger, errors, asked):
    """a standing fault told again at each TriggerMessage"""
    told = {**status("Faulted", error_code="GroundFailure"), "timestamp": clock.at(0)}
    await charger.call("StatusNotification", told)
    await charger.call("StatusNotification", told)
    clock.be_at(60)
    await triggered(timed, charger, told, asked)
    await triggered(timed, charger, told | {"timestamp": clock.at(60)}, asked)
    assert await errors() == 1
    await timed.restart()
    async with timed.charger("CP1") as again:
        await again.call("StatusNotification", told)
        clock.be_at(120)
        await triggered(timed, again, told | {"timestamp": clock.at(120)}, asked)
        assert await errors() == 1
        # Nobody asked; it happened again when it is dated later.
        await again.call("StatusNotification", told | {"timestamp": clock.at(120)})
        assert await errors() == 1
        await again.call("StatusNotification", told | {"timestamp": clock.at(121)})
        assert await errors() == 2
        await again.call("StatusNotification", told | {"timestamp": clock.at(90)})
        assert await errors() == 2


@pytest.mark.parametrize("dated", [True, False])
async def test_a_fault_that_happened_again_is_counted_again(timed, clock, charger, errors, dated):
    """a standing fault told again at each TriggerMessage"""
    at = {"timestamp": clock.at(0)} if dated else {}
    told = status("Faulted", error_code="GroundFailure") | at
    await charger.call("StatusNotification", told)
    await charger.call("StatusNotification", status("Available") | at)
    await charger.call("StatusNotification", told)
    assert await errors() == 2
    await charger.call("StatusNotification", status("Faulted", error_code="HighTemperature") | at)
    await charger.call("StatusNotification", told)
    assert (await errors(), await errors("HighTemperature")) == (3, 1)
    await charger.call("BootNotification", BOOT)
    await charger.call("StatusNotification", told)
    await charger.call("StatusNotification", told)
    assert await errors() == 4
    await charger.call("StatusNotification", told | {"connectorId": 2})
    assert await errors() == 5


async def test_a_refused_trigger_message_excuses_no_fault(timed, clock, charger, errors):
    """a standing fault told again at each TriggerMessage"""
    told = status("Faulted", error_code="GroundFailure")
    await charger.call("StatusNotification", told | {"timestamp": clock.at(0)})
    asked = TriggerMessage(requested_message="StatusNotification", connector_id=1)
    sending = asyncio.create_task(timed.central.call("CP1", asked))
    await charger.reply(await charger.expect("TriggerMessage"), {"status": "Rejected"})
    await sending
    await charger.call("StatusNotification", told | {"timestamp": clock.at(1)})
    assert await errors() == 2


@pytest.mark.parametrize(
    ("told", "shown"), [("charging", 2), ("SUSPENDEDEV", 4), ("Suspended EVSE", 3), ("faulted ", 8)]
)
async def test_a_status_in_another_case(csms, told, shown):
    """a status, a charging state or an eventType in another case or with spaces"""
    async with csms.charger("CP1") as charger:
        await charger.call("StatusNotification", status(told))
        assert await csms.metric("ocpp_connector_status", cp_id="CP1", connector_id="1") == shown
    async with csms.charger("CP2", subprotocols=["ocpp2.0.1"]) as station:
        info = {"transactionId": "T1", "chargingState": "charging"}
        for seq_no, kind in enumerate(("started", "UPDATED", "ended")):
            value = {"timestamp": NOW, "sampledValue": [{"value": 1_000 + 500 * seq_no}]}
            told_2x = {"eventType": kind, "timestamp": NOW, "triggerReason": "MeterValuePeriodic", "seqNo": seq_no}
            call = told_2x | {"transactionInfo": info, "evse": {"id": 1, "connectorId": 1}, "meterValue": [value]}
            await station.call("TransactionEvent", call)
            where = {"cp_id": "CP2", "connector_id": "1"}
            assert await csms.metric("ocpp_tx_active", **where) == (kind != "ended")
        assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP2") == 1_000


@pytest.mark.parametrize("code", ["noError", "No Error", "NOERROR", "no_error", "None", "none", "", " ", None])
async def test_no_error_in_other_words(timed, charger, code):
    """errorCode `noError`, `No Error`, `None` or empty"""
    await charger.call("StatusNotification", status("Faulted", error_code="GroundFailure"))
    assert await charger.call("StatusNotification", {**status("Available"), "errorCode": code}) == {}
    assert await timed.counts("ocpp_cp_errors_total", "error_type", cp_id="CP1") == {"GroundFailure": 1}
    assert timed.central.fleet.charge_points["CP1"].connectors["1"].error_code == "NoError"


@pytest.mark.parametrize("code", ["groundfailure", "Ground Failure", "GROUND_FAILURE", " groundFailure "])
async def test_an_error_code_in_another_case(timed, charger, code):
    """a known errorCode in another case or with spaces"""
    await charger.call("StatusNotification", status("Faulted", error_code=code))
    await charger.call("StatusNotification", status("Faulted", error_code="GroundFailure"))
    assert await timed.counts("ocpp_cp_errors_total", "error_type", cp_id="CP1") == {"GroundFailure": 1}
