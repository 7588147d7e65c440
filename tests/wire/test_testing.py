"""`wattspan.testing` does what its documentation says, with a real central system and real WebSockets."""

import asyncio

import pytest
from ocpp.v16 import call as v16_call
from ocpp.v16 import call_result as v16_result
from ocpp.v16.enums import ResetStatus
from websockets.exceptions import InvalidStatus

from wattspan import CommandRefused, ResponseInvalid
from wattspan.testing import CallErrorReceived, Charger, central_system

BOOT = {"chargePointVendor": "Acme", "chargePointModel": "One"}


async def test_a_charger_calls_and_is_answered():
    async with central_system() as csms, Charger(csms.port, "CP1") as charger:
        assert (await charger.call("BootNotification", BOOT))["status"] == "Accepted"
        assert csms.fleet.charge_points["CP1"].connected


async def test_a_call_error_is_raised_with_its_code():
    async with central_system() as csms, Charger(csms.port, "CP1") as charger:
        with pytest.raises(CallErrorReceived) as caught:
            await charger.call("NoSuchAction")
    assert caught.value.code == "NotImplemented"


async def test_a_command_with_a_prepared_answer_is_answered_at_once_and_its_response_is_typed():
    async with central_system() as csms, Charger(csms.port, "CP1") as charger:
        charger.answers["Reset"] = {"status": "Accepted", "vendorField": 1}
        result = await csms.call("CP1", v16_call.Reset(type="Soft"))
    assert result.accepted
    assert result.response == v16_result.Reset(status=ResetStatus.accepted)
    assert result.payload["vendorField"] == 1


async def test_a_command_can_be_received_and_answered_by_hand():
    async with central_system() as csms, Charger(csms.port, "CP1") as charger, asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(csms.call("CP1", v16_call.ClearCache()))
        command = await charger.receive("ClearCache")
        assert command.payload == {}
        await charger.reply(command, {"status": "Rejected"})
        assert (await sending).status == "Rejected"


async def test_a_refused_command_raises():
    async with central_system() as csms, Charger(csms.port, "CP1") as charger:

        async def refuse() -> None:
            await charger.refuse(await charger.receive(), "InternalError", "no memory")

        result, _ = await asyncio.gather(csms.call("CP1", v16_call.ClearCache()), refuse(), return_exceptions=True)
    assert isinstance(result, CommandRefused)
    assert (result.code, result.description) == ("InternalError", "no memory")


async def test_a_response_without_its_required_fields_says_so_and_keeps_the_payload():
    async with central_system() as csms, Charger(csms.port, "CP1") as charger:
        charger.answers["Reset"] = {"vendorField": 1}
        result = await csms.call("CP1", v16_call.Reset(type="Soft"))
    assert result.payload == {"vendorField": 1}
    with pytest.raises(ResponseInvalid, match="lacks status"):
        _ = result.response


async def test_settings_and_credentials_reach_the_server():
    async with central_system(unknown_charge_points="reject") as csms:
        with pytest.raises(InvalidStatus):
            async with Charger(csms.port, "CP2", password="wrong-password-0001"):
                pass


async def test_a_call_fails_when_the_connection_closes_before_its_answer():
    async with central_system() as csms:
        charger = Charger(csms.port, "CP1")
        async with charger:
            pass
        with pytest.raises(ConnectionError):
            await charger.call("Heartbeat")
