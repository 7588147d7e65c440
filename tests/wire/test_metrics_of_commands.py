"""What commands, limits and handling leave on the page, by its raw lines."""

import asyncio

import pytest
from ocpp.v16 import call

from support.chargers import START, meter_values, stop
from support.lines import CP, at, typed
from support.waiting import eventually
from wattspan.errors import CommandTimeout


async def test_current_limit_is_the_lower_of_offered_and_the_profile_in_force(csms):
    def profile(purpose: str, limit: float, unit: str, number: int) -> dict[str, object]:
        period = {"startPeriod": 0, "limit": limit}
        schedule = {
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [period],
            "startSchedule": "2026-01-01T00:00:00Z",
        }
        return {
            "chargingProfileId": number,
            "stackLevel": 0,
            "chargingProfilePurpose": purpose,
            "chargingProfileKind": "Absolute",
            "chargingSchedule": schedule,
        }

    async def install(charger, connector_id: int, status: str, wanted: dict[str, object]) -> None:
        sending = asyncio.create_task(
            csms.central.commands.send_payload(
                "CP1", "SetChargingProfile", {"connectorId": connector_id, "csChargingProfiles": wanted}
            )
        )
        await charger.reply(await charger.expect("SetChargingProfile"), {"status": status})
        await sending

    name = "ocpp_cp_current_limit_a"
    offered = {"value": "32", "measurand": "Current.Offered"}
    async with csms.charger("CP1") as charger:
        await charger.call("StartTransaction", START)
        assert await csms.metric(name, cp_id="CP1", connector_id="1") is None
        await charger.call("MeterValues", meter_values(None, offered))
        assert await csms.lines(name) == at(name, "gauge", 32.0)
        await install(charger, 1, "Rejected", profile("TxDefaultProfile", 6, "A", 1))
        assert await csms.lines(name) == at(name, "gauge", 32.0)
        await install(charger, 0, "Accepted", profile("TxDefaultProfile", 13_800, "W", 2))
        assert await csms.lines(name) == at(name, "gauge", 20.0)
        await install(charger, 1, "Accepted", profile("TxDefaultProfile", 16, "A", 3))
        assert await csms.lines(name) == at(name, "gauge", 16.0)
    await csms.restart()
    assert await csms.lines(name) == at(name, "gauge", 16.0)


async def test_commands_that_fail_and_commands_that_are_rejected(csms):
    async with csms.charger("CP1") as charger:
        with pytest.raises(CommandTimeout):
            await csms.central.call("CP1", call.ClearCache(), timeout_s=0.01)
        await charger.expect("ClearCache")
        sending = asyncio.create_task(csms.central.call("CP1", call.Reset(type="Soft")))
        await charger.reply(await charger.expect("Reset"), {"status": "Rejected"})
        assert not (await sending).accepted
        sending = asyncio.create_task(csms.central.call("CP1", call.Reset(type="Soft")))
        await charger.reply(await charger.expect("Reset"), {"status": "Accepted"})
        assert (await sending).accepted
    name = "ocpp_central_call_errors_total"
    assert await csms.lines(name) == typed(name, "counter", f'{{{CP},action="ClearCache",error_type="Timeout"}} 1')
    name = "ocpp_central_call_rejected_total"
    assert await csms.lines(name) == typed(name, "counter", f'{{{CP},action="Reset",status="Rejected"}} 1')
    assert await csms.metric("ocpp_central_call_seconds_count", action="Reset") == 2


async def test_handling_is_a_histogram_by_charge_point_and_message_type(csms):
    async with csms.charger("CP1") as charger:
        await charger.call("Heartbeat")
        await charger.raw('[2,"x","Gibberish",{}]')
        name = "ocpp_msg_handling_seconds"
        lines = await csms.lines(name, f"{name}_bucket", f"{name}_sum", f"{name}_count")
    assert lines[0] == f"# TYPE {name} histogram"
    assert f'{name}_count{{{CP},message_type="Heartbeat"}} 1' in lines
    assert f'{name}_bucket{{{CP},message_type="Heartbeat",le="+Inf"}} 1' in lines
    assert f'{name}_count{{{CP},message_type="other"}} 1' in lines
    assert {line.partition("{")[0] for line in lines[1:]} == {f"{name}_bucket", f"{name}_sum", f"{name}_count"}


async def test_handling_without_cp_id_when_so_set(make_csms):
    csms = await make_csms(handling_by_charge_point=False)
    async with csms.charger("CP1") as charger:
        await charger.call("Heartbeat")
        assert await csms.metric("ocpp_msg_handling_seconds_count", message_type="Heartbeat") == 1


async def test_the_rest_of_the_page_answers_what_production_asks(csms):
    async with csms.charger("CP1") as charger:
        await charger.call("Authorize", {"idTag": "TAG1"})
        tx = (await charger.call("StartTransaction", START))["transactionId"]
        await charger.call("StopTransaction", stop(tx))
        assert await csms.metric("ocpp_central_sockets") == 1
    await eventually(lambda: csms.metric("ocpp_store_commit_seconds_count"))
    assert await csms.metric("ocpp_cp_authorizations_total", cp_id="CP1", status="Accepted") == 1
    assert await csms.metric("ocpp_central_messages_total", direction="in", message_type="Authorize") == 1
    assert await csms.metric("ocpp_tx_duration_seconds_count") == 1
    assert await csms.metric("ocpp_store_waiting") == 0
    assert await csms.metric("ocpp_store_failures_total") == 0
    await csms.becomes(0, "ocpp_central_sockets")
