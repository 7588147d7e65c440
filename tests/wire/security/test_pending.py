"""Policy `pending`: whom nobody registered is connected, boots, and waits; an operator says yes or no."""

import json

import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from support.chargers import BOOT, START, CallErrorReceived
from support.operators import admin
from support.waiting import eventually
from wattspan.gateway import pending as waiting

PENDING = "/charge-points/pending"
BOOT_2X = {"reason": "PowerUp", "chargingStation": {"vendorName": "Acme", "model": "Two", "serialNumber": "SN-2"}}


@pytest.fixture
async def secured(make_secured):
    """One that has strangers wait."""
    return await make_secured(unknown_charge_points="pending")


async def test_a_newcomer_boots_pending_and_may_say_nothing_else(secured):
    async with secured.charger("NEW1", tls=False) as charger:
        answer = await charger.call("BootNotification", BOOT)
        assert answer["status"] == "Pending"
        assert answer["interval"] > 0
        for action, payload in (("StartTransaction", START), ("Authorize", {"idTag": "TAG1"}), ("Heartbeat", {})):
            with pytest.raises(CallErrorReceived, match="SecurityError"):
                await charger.call(action, payload)
        assert await secured.csms.metric("ocpp_central_pending_charge_points") == 1
        assert await secured.csms.metric("ocpp_cp_connected", cp_id="NEW1") is None
    await secured.csms.becomes(0, "ocpp_central_pending_charge_points")
    assert "NEW1" not in secured.csms.central.fleet.charge_points


async def test_an_operator_sees_who_waits_as_it_told_of_itself(secured):
    async with (
        admin(secured.csms) as operator,
        secured.charger("NEW2", subprotocols=[Subprotocol("ocpp2.0.1")]) as charger,
    ):
        assert (await charger.call("BootNotification", BOOT_2X))["status"] == "Pending"
        (shown,) = await operator.ask("GET", PENDING)
    assert (shown["cp_id"], shown["protocol"], shown["address"]) == ("NEW2", "ocpp2.0.1", "127.0.0.1")
    assert (shown["vendor"], shown["model"], shown["serial_number"]) == ("Acme", "Two", "SN-2")
    assert shown["since"] is not None


async def test_who_is_approved_comes_again_and_is_let_in(secured):
    async with admin(secured.csms) as operator:
        async with secured.charger("NEW1", tls=False) as charger:
            await charger.call("BootNotification", BOOT)
            made = await operator.ask("POST", f"{PENDING}/NEW1/approve", 201)
            assert await charger.closed() == 1012
        assert (made["cp_id"], made["registered_at"] is not None) == ("NEW1", True)
        assert await operator.ask("GET", PENDING) == []
        await operator.ask("POST", f"{PENDING}/NEW1/approve", 404)
        audit = await operator.ask("GET", "/audit")
    assert any("NEW1" in entry["target"] and entry["status"] == 201 for entry in audit["items"])
    async with secured.charger("NEW1", tls=False) as charger:
        assert (await charger.call("BootNotification", BOOT))["status"] == "Accepted"
        assert (await charger.call("StartTransaction", START))["transactionId"] > 0


async def test_who_is_rejected_is_not_let_wait_again_until_it_is_registered(secured):
    async with admin(secured.csms) as operator:
        async with secured.charger("NEW1", tls=False) as charger:
            await charger.call("BootNotification", BOOT)
            await operator.ask("POST", f"{PENDING}/NEW1/reject", 204)
            assert await charger.closed() == 1008
        assert await secured.outcome("NEW1", tls=False) == 404
        assert await secured.rejected("rejected") == 1
        await operator.ask("POST", "/charge-points", 201, json={"cp_id": "NEW1", "credentials": False})
    assert await secured.outcome("NEW1", tls=False) == 101


async def test_one_that_is_registered_otherwise_while_it_waits_is_told_to_come_again(secured):
    async with admin(secured.csms) as operator, secured.charger("NEW1", tls=False) as charger:
        await charger.call("BootNotification", BOOT)
        await operator.ask("POST", "/charge-points", 201, json={"cp_id": "NEW1", "credentials": False})
        assert await charger.closed() == 1012


async def test_of_two_under_one_name_the_newer_waits(secured):
    async with secured.charger("NEW1", tls=False) as older:
        await older.call("BootNotification", BOOT)
        async with secured.charger("NEW1", tls=False) as newer, admin(secured.csms) as operator:
            assert await older.closed() == 1008
            await newer.call("BootNotification", BOOT | {"chargePointModel": "Newer"})
            (shown,) = await operator.ask("GET", PENDING)
    assert shown["model"] == "Newer"


@pytest.mark.parametrize("payload", ["null", "[]", '"x"', '{"chargePointVendor": 5, "chargePointModel": {}}', "{}"])
async def test_a_newcomers_nonsense_harms_nobody(secured, payload):
    async with secured.charger("NEW1", tls=False) as charger:
        answer = await charger.raw(f'[2,"m1","BootNotification",{payload}]')
        assert answer[0] in (3, 4)
        await charger.send_raw("not json")
        await charger.send_raw(json.dumps([3, "m9", {}]))
        assert (await charger.call("BootNotification", BOOT))["status"] == "Pending"


async def test_the_waiting_room_is_bounded_and_bounds_each_address(secured, monkeypatch):
    monkeypatch.setattr(waiting, "MAX_PENDING_OF_SOURCE", 2)
    async with secured.charger("NEW1", tls=False) as one, secured.charger("NEW2", tls=False) as two:
        await one.call("BootNotification", BOOT)
        await two.call("BootNotification", BOOT)
        with pytest.raises(InvalidStatus) as refused:
            await secured.charger("NEW3", tls=False).__aenter__()
        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["Retry-After"]) > 0
    assert await secured.rejected("waiting_room") == 1


async def test_a_registered_one_is_let_in_as_ever_and_needs_its_secret(secured):
    await secured.register("CP1", "a secret of its own")
    assert await secured.outcome("CP1", tls=False, secret="a secret of its own") == 101
    assert await secured.outcome("CP1", tls=False) == 401


async def test_shutting_down_lets_go_of_those_who_wait(secured):
    async with secured.charger("NEW1", tls=False) as charger:
        await charger.call("BootNotification", BOOT)
        await secured.csms.restart()
        assert await charger.closed() == 1001
    await eventually(lambda: not secured.csms.central._gateway.pending())
