"""Operations as methods of `CentralSystem`: the message each version gets on the wire, and the errors they raise."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from support.central import Csms
from support.chargers import Charger
from wattspan import CentralSystem, CommandResult
from wattspan.csms.operations.methods import OperationMethods
from wattspan.csms.operations.parameters import ChangeConfiguration
from wattspan.errors import (
    CommandInvalid,
    CommandRefused,
    CommandTimeout,
    ConnectionLost,
    NotConnected,
    OperationUnsupported,
    TransactionNotIdentified,
)

AT = datetime(2031, 1, 1, tzinfo=UTC)
ACCEPTED = {"status": "Accepted"}
Send = Callable[[OperationMethods], Awaitable[CommandResult]]

# method: (call, action in 1.6, action in 2.x)
METHODS: dict[str, tuple[Send, str, str]] = {
    "remote_start": (
        lambda csms: csms.remote_start("CP1", id_tag="04E1C9", connector_id=1),
        "RemoteStartTransaction",
        "RequestStartTransaction",
    ),
    "reset": (lambda csms: csms.reset("CP1", hard=True), "Reset", "Reset"),
    "unlock": (lambda csms: csms.unlock("CP1"), "UnlockConnector", "UnlockConnector"),
    "reserve": (lambda csms: csms.reserve("CP1", id_tag="04E1C9", expires_at=AT), "ReserveNow", "ReserveNow"),
    "cancel_reservation": (
        lambda csms: csms.cancel_reservation("CP1", reservation_id=1),
        "CancelReservation",
        "CancelReservation",
    ),
    "set_limit": (lambda csms: csms.set_limit("CP1", limit=16), "SetChargingProfile", "SetChargingProfile"),
    "clear_limit": (lambda csms: csms.clear_limit("CP1"), "ClearChargingProfile", "ClearChargingProfile"),
    "set_availability": (
        lambda csms: csms.set_availability("CP1", operative=False),
        "ChangeAvailability",
        "ChangeAvailability",
    ),
    "trigger": (lambda csms: csms.trigger("CP1", "Heartbeat"), "TriggerMessage", "TriggerMessage"),
    "send_local_list": (lambda csms: csms.send_local_list("CP1"), "SendLocalList", "SendLocalList"),
    "get_logs": (lambda csms: csms.get_logs("CP1"), "GetDiagnostics", "GetLog"),
    "update_firmware": (
        lambda csms: csms.update_firmware("CP1", location="http://127.0.0.1/fw"),
        "UpdateFirmware",
        "UpdateFirmware",
    ),
}
START = {"connectorId": 1, "idTag": "04E1C9", "meterStart": 0, "timestamp": "2026-11-21T12:00:00Z"}


async def answering(charger: Charger, action: str) -> dict[str, Any]:
    """Accept the command that comes next, and return its payload."""
    frame = await charger.expect(action)
    status = {"UnlockConnector": {"status": "Unlocked"}, "GetDiagnostics": {}}
    is_16_firmware = action == "UpdateFirmware" and "requestId" not in frame[3]
    await charger.reply(frame, {} if is_16_firmware else status.get(action, ACCEPTED))
    payload: dict[str, Any] = frame[3]
    return payload


def test_every_method_is_called_here() -> None:
    methods = {name for name in vars(OperationMethods) if not name.startswith("_")}
    assert methods - {"perform", "remote_stop"} == METHODS.keys()


@pytest.mark.parametrize("subprotocol", ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
async def test_every_method_sends_the_versions_message(csms: Csms, subprotocol: str) -> None:
    async with csms.charger("CP1", subprotocols=[subprotocol]) as charger:
        for name, (send, action_16, action_2x) in METHODS.items():
            action = action_16 if subprotocol == "ocpp1.6" else action_2x
            received = asyncio.create_task(answering(charger, action))
            result = await send(csms.central)
            await received
            assert (name, result.action, result.accepted) == (name, action, True)


async def test_a_stop_names_the_open_transaction(csms: Csms) -> None:
    async with csms.charger("CP1") as charger:
        with pytest.raises(TransactionNotIdentified, match="no such transaction"):
            await csms.central.remote_stop("CP1")
        started = await charger.call("StartTransaction", START)
        received = asyncio.create_task(answering(charger, "RemoteStopTransaction"))
        assert (await csms.central.remote_stop("CP1")).accepted
        assert await received == {"transactionId": started["transactionId"]}


async def test_a_rejection_is_a_result_and_not_an_error(csms: Csms) -> None:
    async with csms.charger("CP1") as charger:
        resetting = asyncio.create_task(csms.central.reset("CP1"))
        await charger.reply(await charger.expect("Reset"), {"status": "Rejected"})
        result = await resetting
        assert (result.status, result.accepted) == ("Rejected", False)


async def test_each_way_to_fail_is_an_error_of_its_own(csms: Csms) -> None:
    central = csms.central
    with pytest.raises(NotConnected):
        await central.reset("CP1")
    async with csms.charger("CP1") as charger:
        with pytest.raises(CommandInvalid):
            await central.remote_start("CP1", id_tag="longer than the twenty characters of 1.6")
        with pytest.raises(CommandTimeout):
            await central.reset("CP1", timeout_s=0.05)
        await charger.expect("Reset")
        resetting = asyncio.create_task(central.reset("CP1"))
        frame = await charger.expect("Reset")
        await charger.send_raw(f'[4, "{frame[1]}", "SecurityError", "no", {{}}]')
        with pytest.raises(CommandRefused) as refused:
            await resetting
        assert refused.value.code == "SecurityError"
        resetting = asyncio.create_task(central.reset("CP1"))
        await charger.expect("Reset")
        charger.vanish()
        with pytest.raises(ConnectionLost):
            await resetting


async def test_what_a_version_does_not_have_is_not_sent(csms: Csms) -> None:
    async with csms.charger("CP1", subprotocols=["ocpp2.0.1"]) as charger:
        with pytest.raises(OperationUnsupported, match="device model"):
            await csms.central.perform("CP1", ChangeConfiguration(key="HeartbeatInterval", value="60"))
        assert charger.unread == []


async def test_a_log_goes_to_this_server_unless_another_is_named(csms: Csms) -> None:
    async with csms.charger("CP1") as charger:
        received = asyncio.create_task(answering(charger, "GetDiagnostics"))
        await csms.central.get_logs("CP1")
        assert (await received)["location"].startswith(f"{csms.central.api_url()}/files/uploads/")
        received = asyncio.create_task(answering(charger, "GetDiagnostics"))
        await csms.central.get_logs("CP1", location="ftp://files.example/up")
        assert (await received)["location"] == "ftp://files.example/up"


async def test_waiting_ends_when_the_charge_point_connects(csms: Csms) -> None:
    central: CentralSystem = csms.central
    waiting = [asyncio.create_task(central.wait_until_connected("CP1")) for _ in range(2)]
    with pytest.raises(TimeoutError):
        await central.wait_until_connected("CP2", timeout_s=0.05)
    async with csms.charger("CP1"):
        await asyncio.gather(*waiting)
        await central.wait_until_connected("CP1", timeout_s=0)
    assert not central._waiter._waiters


async def test_waiting_goes_on_when_the_connection_has_ended_meanwhile(csms: Csms) -> None:
    async with csms.charger("CP1"):
        pass
    await csms.becomes(0.0, "ocpp_cp_connected", cp_id="CP1")
    waiting = asyncio.create_task(csms.central.wait_until_connected("CP1"))
    await asyncio.sleep(0)
    assert not waiting.done()
    async with csms.charger("CP1"):
        await waiting
