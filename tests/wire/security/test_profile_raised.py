"""A charge point that used a stronger security profile is not let in with a weaker one, unless an operator permits."""

import asyncio
from typing import Any

import pytest
from websockets.typing import Subprotocol

from support.operators import admin
from wattspan.csms.security.credentials import new_secret

CHANGE = "ChangeConfiguration"
V201 = [Subprotocol("ocpp2.0.1")]
SECRET = new_secret()


@pytest.fixture
async def cp1(secured: Any) -> Any:
    await secured.register("CP1", SECRET)
    return secured


async def plain(secured: Any) -> int:
    return int(await secured.outcome("CP1", tls=False, secret=SECRET))


async def shown(secured: Any, **fields: Any) -> dict[str, Any]:
    """CP1 as the API has it, after an operator changed it."""
    async with admin(secured.csms) as operator:
        found: dict[str, Any] = await operator.ask("GET", "/charge-points/CP1")
        if fields:
            found = await operator.ask("PATCH", "/charge-points/CP1", json=fields, headers={"If-Match": "*"})
        return found


async def told(secured: Any, charger: Any, action: str, payload: dict[str, Any], answer: dict[str, Any]) -> None:
    async with admin(secured.csms) as operator:
        asked = asyncio.create_task(operator.command("CP1", action, payload))
        await charger.reply(await charger.expect(action), answer)
        await asked


async def test_one_that_came_with_tls_may_not_come_without_it_again(cp1, caplog):
    assert await plain(cp1) == 101
    assert await cp1.outcome("CP1", secret=SECRET) == 101
    assert await plain(cp1) == 403
    assert await cp1.rejected("profile") == 1
    assert "security profile 2 is required" in caplog.text
    assert "for /ws/CP1 refused" in caplog.text
    await cp1.csms.restart()
    assert await plain(cp1) == 403
    assert await cp1.outcome("CP1", secret=SECRET) == 101


async def test_one_that_came_with_a_certificate_needs_one_from_then_on(cp1):
    pair = cp1.fleet.pair("CP1")
    assert await cp1.outcome("CP1", pair=pair) == 101
    assert await cp1.outcome("CP1", secret=SECRET) == 403
    assert await cp1.outcome("CP1", pair=pair) == 101
    assert (await shown(cp1))["security_profile"] == 3


async def test_one_that_nobody_registered_is_held_to_its_certificate_too(make_secured):
    secured = await make_secured(unknown_charge_points="accept")
    assert await secured.outcome("CP1", pair=secured.fleet.pair("CP1")) == 101
    assert await secured.outcome("CP1", tls=False) == 403
    assert await secured.outcome("CP1", pair=secured.fleet.pair("CP1")) == 101


async def test_those_that_only_ever_used_credentials_stay_as_they_were(cp1):
    assert await plain(cp1) == 101
    assert await plain(cp1) == 101
    assert (await shown(cp1))["security_profile"] == 0


async def test_a_handshake_that_fails_proves_nothing(cp1):
    assert await cp1.outcome("CP1", secret=new_secret()) == 401
    charger = cp1.charger("CP1", secret=SECRET, subprotocols=[Subprotocol("ocpp0.9")])
    with pytest.raises(Exception, match=r"subprotocol|1002"):
        async with charger as connected:
            await connected.call("Heartbeat")
    assert await plain(cp1) == 101


async def test_an_operator_may_lower_it_until_the_lower_one_was_used(cp1):
    assert await cp1.outcome("CP1", secret=SECRET) == 101
    assert (await shown(cp1, security_profile=1))["security_profile"] == 1
    assert await cp1.outcome("CP1", secret=SECRET) == 101
    assert await plain(cp1) == 101
    assert await cp1.outcome("CP1", secret=SECRET) == 101
    assert await plain(cp1) == 403
    async with admin(cp1.csms) as operator:
        audit = await operator.ask("GET", "/audit")
    assert any(each["action"] == "update_charge_point" and "CP1" in each["target"] for each in audit["items"])


async def test_an_edit_of_other_fields_leaves_it(cp1):
    assert await cp1.outcome("CP1", secret=SECRET) == 101
    assert (await shown(cp1, name="A name"))["security_profile"] == 2
    assert await plain(cp1) == 403


@pytest.mark.parametrize("status", ["Accepted", "RebootRequired"])
async def test_a_profile_that_1_6_accepted_is_required_once_it_was_used(cp1, status):
    async with cp1.charger("CP1", tls=False, secret=SECRET) as charger:
        await told(cp1, charger, CHANGE, {"key": "SecurityProfile", "value": "2"}, {"status": status})
    assert (await shown(cp1))["pending_security_profile"] == 2
    assert await plain(cp1) == 101
    assert await cp1.outcome("CP1", secret=SECRET) == 101
    assert await plain(cp1) == 403
    now = await shown(cp1)
    assert (now["security_profile"], now["pending_security_profile"]) == (2, None)


async def test_profile_1_is_required_too_once_a_command_set_it_and_it_was_used(cp1):
    await cp1.csms.store.add_charge_point("CP1", None)
    async with cp1.charger("CP1", tls=False) as charger:
        await told(cp1, charger, CHANGE, {"key": "AuthorizationKey", "value": SECRET}, {"status": "Accepted"})
        await told(cp1, charger, CHANGE, {"key": "SecurityProfile", "value": "1"}, {"status": "Accepted"})
    assert await cp1.outcome("CP1", tls=False) == 101
    assert await plain(cp1) == 101
    assert (await shown(cp1))["security_profile"] == 1
    assert await cp1.outcome("CP1", tls=False) == 401


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
async def test_a_profile_that_was_refused_is_not_pending(cp1, status):
    async with cp1.charger("CP1", tls=False, secret=SECRET) as charger:
        await told(cp1, charger, CHANGE, {"key": "SecurityProfile", "value": "2"}, {"status": "Accepted"})
        await told(cp1, charger, CHANGE, {"key": "SecurityProfile", "value": "3"}, {"status": status})
    assert (await shown(cp1))["pending_security_profile"] == 2


async def test_a_lower_profile_that_was_accepted_lowers_nothing(cp1):
    assert await cp1.outcome("CP1", secret=SECRET) == 101
    async with cp1.charger("CP1", secret=SECRET) as charger:
        await told(cp1, charger, CHANGE, {"key": "SecurityProfile", "value": "1"}, {"status": "Accepted"})
    assert await plain(cp1) == 403


async def test_a_network_profile_of_2_0_1_raises_it_once_it_was_used(cp1):
    connection = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": "wss://csms.example",
        "messageTimeout": 30,
        "securityProfile": 2,
        "ocppInterface": "Wired0",
    }
    payload = {"configurationSlot": 1, "connectionData": connection}
    async with cp1.charger("CP1", tls=False, secret=SECRET, subprotocols=V201) as charger:
        await told(cp1, charger, "SetNetworkProfile", payload, {"status": "Accepted"})
    assert (await shown(cp1))["pending_security_profile"] == 2
    assert await plain(cp1) == 101
    assert await cp1.outcome("CP1", secret=SECRET) == 101
    assert await plain(cp1) == 403


async def test_a_network_profile_that_failed_is_not_pending(cp1):
    connection = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": "wss://csms.example",
        "messageTimeout": 30,
        "securityProfile": 3,
        "ocppInterface": "Wired0",
    }
    async with cp1.charger("CP1", tls=False, secret=SECRET, subprotocols=V201) as charger:
        payload = {"configurationSlot": 1, "connectionData": connection}
        await told(cp1, charger, "SetNetworkProfile", payload, {"status": "Failed"})
    assert (await shown(cp1))["pending_security_profile"] is None


async def test_decommissioning_forgets_it(cp1):
    assert await cp1.outcome("CP1", secret=SECRET) == 101
    async with admin(cp1.csms) as operator:
        await operator.ask("DELETE", "/charge-points/CP1", 204, headers={"If-Match": "*"})
        await operator.ask("POST", "/charge-points", 201, json={"cp_id": "CP1", "credentials": False})
    assert await cp1.outcome("CP1", tls=False) == 101
