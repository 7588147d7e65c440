"""A charge point's secret is exchanged over its own connection, and nobody is locked out by an answer that is lost."""

import asyncio
from typing import Any

import pytest
from websockets.typing import Subprotocol

from support.chargers import Charger, Frame
from support.operators import admin
from wattspan.csms.security.credentials import new_secret

ROTATE = "/charge-points/CP1/credentials/rotate"
V201 = [Subprotocol("ocpp2.0.1")]


def told_secret(command: Frame) -> str:
    """The secret in a command of either version, as the charge point will send it as its password."""
    payload = command[3]
    if command[2] == "ChangeConfiguration":
        assert payload["key"] == "AuthorizationKey"
        return bytes.fromhex(payload["value"]).decode()
    (variable,) = payload["setVariableData"]
    assert (variable["component"]["name"], variable["variable"]["name"]) == ("SecurityCtrlr", "BasicAuthPassword")
    return str(variable["attributeValue"])


def result(status: str) -> dict[str, Any]:
    named = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    return {"setVariableResult": [{"attributeStatus": status, **named}]}


class Rotating:
    """A charge point that is asked for a rotation by HTTP; the command as it came, and what the operator was told."""

    def __init__(self, secured: Any, charger: Charger) -> None:
        self.secured = secured
        self.charger = charger

    async def rotate(self, answer: dict[str, Any], action: str = "ChangeConfiguration") -> tuple[str, dict[str, Any]]:
        async with admin(self.secured.csms) as operator:
            asked = asyncio.create_task(operator.ask("POST", ROTATE))
            command = await self.charger.expect(action)
            await self.charger.reply(command, answer)
            return told_secret(command), await asked


async def test_1_6_is_told_its_key_in_hex_and_the_old_one_works_on_for_the_grace_period(make_secured):
    secured = await make_secured(unknown_charge_points="reject", credential_grace_s=3600)
    old = new_secret()
    await secured.register("CP1", old)
    async with secured.charger("CP1", tls=False, secret=old) as charger:
        new, told = await Rotating(secured, charger).rotate({"status": "Accepted"})
    assert (told["status"], told["applied"]) == ("Accepted", True)
    assert told["old_credentials_until"] is not None
    assert new not in str(told)
    assert await secured.outcome("CP1", tls=False, secret=new) == 101
    assert await secured.outcome("CP1", tls=False, secret=new.encode().hex()) == 101
    assert await secured.outcome("CP1", tls=False, secret=old) == 101
    assert await secured.outcome("CP1", tls=False, secret=new_secret()) == 401


async def test_after_the_grace_period_only_the_new_secret_works(make_secured):
    secured = await make_secured(unknown_charge_points="reject", credential_grace_s=0)
    old = new_secret()
    await secured.register("CP1", old)
    async with secured.charger("CP1", tls=False, secret=old) as charger:
        new, _ = await Rotating(secured, charger).rotate({"status": "Accepted"})
    assert await secured.outcome("CP1", tls=False, secret=old) == 401
    assert await secured.outcome("CP1", tls=False, secret=new) == 101


async def test_2_0_1_is_told_its_password_as_a_variable(secured):
    old = new_secret()
    await secured.register("CP1", old)
    async with secured.charger("CP1", tls=False, secret=old, subprotocols=V201) as charger:
        new, told = await Rotating(secured, charger).rotate(result("Accepted"), "SetVariables")
    assert told["applied"]
    assert await secured.outcome("CP1", tls=False, secret=new) == 101


@pytest.mark.parametrize(
    ("how", "refusal"),
    [
        ({}, ({"status": "Rejected"}, "ChangeConfiguration")),
        ({"subprotocols": V201}, (result("Rejected"), "SetVariables")),
    ],
    ids=["1.6", "2.0.1"],
)
async def test_a_secret_that_is_rejected_never_works(secured, how, refusal):
    old = new_secret()
    await secured.register("CP1", old)
    async with secured.charger("CP1", tls=False, secret=old, **how) as charger:
        new, told = await Rotating(secured, charger).rotate(*refusal)
    assert (told["status"], told["applied"]) == ("Rejected", False)
    assert await secured.outcome("CP1", tls=False, secret=new) == 401
    assert await secured.outcome("CP1", tls=False, secret=old) == 101


async def test_where_it_must_reboot_first_both_work_until_it_comes_with_the_new_one(make_secured):
    secured = await make_secured(unknown_charge_points="reject", credential_grace_s=0)
    old = new_secret()
    await secured.register("CP1", old)
    async with secured.charger("CP1", tls=False, secret=old) as charger:
        new, told = await Rotating(secured, charger).rotate({"status": "RebootRequired"})
    assert not told["applied"]
    assert await secured.outcome("CP1", tls=False, secret=old) == 101
    assert await secured.outcome("CP1", tls=False, secret=new) == 101
    assert await secured.outcome("CP1", tls=False, secret=old) == 401


async def test_an_answer_that_is_lost_locks_nobody_out(make_secured):
    secured = await make_secured(unknown_charge_points="reject", credential_grace_s=0)
    old = new_secret()
    await secured.register("CP1", old)
    async with admin(secured.csms) as operator, secured.charger("CP1", tls=False, secret=old) as charger:
        asked = asyncio.create_task(operator.send("POST", ROTATE))
        new = told_secret(await charger.expect("ChangeConfiguration"))
        charger.vanish()
        assert (await asked).status_code == 502
    assert await secured.outcome("CP1", tls=False, secret=old) == 101
    assert await secured.outcome("CP1", tls=False, secret=new) == 101
    assert await secured.outcome("CP1", tls=False, secret=old) == 401


async def test_one_without_any_secret_gets_its_first_and_needs_it_from_then_on(secured):
    await secured.register("CP1")
    async with secured.charger("CP1", tls=False) as charger:
        new, told = await Rotating(secured, charger).rotate({"status": "Accepted"})
    assert told["applied"]
    assert await secured.outcome("CP1", tls=False) == 401
    assert await secured.outcome("CP1", tls=False, secret=new) == 101


async def test_one_that_is_not_connected_keeps_its_secret(secured):
    old = new_secret()
    await secured.register("CP1", old)
    async with secured.charger("CP1", tls=False, secret=old), admin(secured.csms) as operator:
        await operator.ask("POST", "/charge-points/CP2/credentials/rotate", 404)
    await secured.csms.becomes(0, "ocpp_cp_connected", cp_id="CP1")
    async with admin(secured.csms) as operator:
        await operator.ask("POST", ROTATE, 409)
    assert await secured.outcome("CP1", tls=False, secret=old) == 101


async def test_a_secret_set_by_hand_ends_a_rotation_that_was_under_way(make_secured):
    secured = await make_secured(unknown_charge_points="reject", credential_grace_s=3600)
    old = new_secret()
    await secured.register("CP1", old)
    async with secured.charger("CP1", tls=False, secret=old) as charger:
        new, _ = await Rotating(secured, charger).rotate({"status": "Accepted"})
    async with admin(secured.csms) as operator:
        etag = (await operator.send("GET", "/charge-points/CP1")).headers["etag"]
        made = await operator.ask("PUT", "/charge-points/CP1/credentials", json={}, headers={"If-Match": etag})
    for former in (old, new):
        assert await secured.outcome("CP1", tls=False, secret=former) == 401
    assert await secured.outcome("CP1", tls=False, secret=made["secret"]) == 101
