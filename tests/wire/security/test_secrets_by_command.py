"""A Basic password that any command sets becomes the charge point's own, and no answer locks it out."""

import asyncio
from base64 import b64encode
from typing import Any

import pytest
from ocpp.v16 import call as v16_call
from websockets.typing import Subprotocol

from support.chargers import BOOT, Charger
from support.databases import query
from support.operators import admin
from wattspan.csms.plugins.audit import mask
from wattspan.csms.plugins.base import Plugin, PluginContext
from wattspan.csms.security.credentials import new_secret
from wattspan.domain.events import ChargePointBooted
from wattspan.errors import StoreUnavailable

V201, V21 = [Subprotocol("ocpp2.0.1")], [Subprotocol("ocpp2.1")]
OLD, NEW, NEWER = "old secret of CP1", "a new password 1234", "a newer password 12"
CHANGE = "ChangeConfiguration"


def key(value: str = NEW) -> dict[str, Any]:
    return {"key": "AuthorizationKey", "value": value}


def variable(value: str = NEW, name: str = "BasicAuthPassword", component: str = "SecurityCtrlr") -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": name}, "attributeValue": value}


def results(*given: tuple[dict[str, Any], str]) -> dict[str, Any]:
    return {
        "setVariableResult": [
            {"attributeStatus": status, "component": each["component"], "variable": each["variable"]}
            for each, status in given
        ]
    }


def network_profile(**more: Any) -> dict[str, Any]:
    connection = {
        "ocppInterface": "Wired0",
        "ocppTransport": "JSON",
        "messageTimeout": 30,
        "ocppCsmsUrl": "wss://csms.example",
        "securityProfile": 1,
    }
    return {"configurationSlot": 1, "connectionData": {**connection, **more}}


async def sent(
    secured: Any,
    charger: Charger,
    action: str,
    payload: dict[str, Any],
    answer: dict[str, Any] | None,
    status: int = 200,
) -> Any:
    """The command as an operator sends it by HTTP, and its answer; None: the charger is gone without an answer."""
    async with admin(secured.csms) as operator:
        asked = asyncio.create_task(operator.command("CP1", action, payload, status))
        command = await charger.expect(action)
        assert command[3] == payload
        if answer is None:
            charger.vanish()
        else:
            await charger.reply(command, answer)
        return await asked


async def works(secured: Any, secret: str) -> bool:
    return bool(await secured.outcome("CP1", tls=False, secret=secret) == 101)


@pytest.fixture
async def cp1(secured: Any) -> Any:
    await secured.register("CP1", OLD)
    return secured


@pytest.mark.parametrize("status", ["Accepted", "RebootRequired"])
async def test_a_key_that_was_accepted_works_and_once_used_it_alone_does(cp1, status):
    async with cp1.charger("CP1", tls=False, secret=OLD) as charger:
        told = await sent(cp1, charger, CHANGE, key(), {"status": status})
    assert told["status"] == status
    assert await works(cp1, NEW)
    assert not await works(cp1, OLD)
    assert await works(cp1, NEW)


async def test_after_accepted_the_use_of_the_old_secret_ends_the_new_one(cp1):
    async with cp1.charger("CP1", tls=False, secret=OLD) as charger:
        await sent(cp1, charger, CHANGE, key(), {"status": "Accepted"})
    assert await works(cp1, OLD)
    assert not await works(cp1, NEW)
    assert await works(cp1, OLD)


async def test_where_it_must_reboot_first_the_old_secret_is_used_until_then_and_ends_nothing(cp1):
    async with cp1.charger("CP1", tls=False, secret=OLD) as charger:
        await sent(cp1, charger, CHANGE, key(), {"status": "RebootRequired"})
    assert await works(cp1, OLD)
    assert await works(cp1, NEW)
    assert not await works(cp1, OLD)


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
async def test_a_key_that_was_refused_never_works(cp1, status):
    async with cp1.charger("CP1", tls=False, secret=OLD) as charger:
        await sent(cp1, charger, CHANGE, key(), {"status": status})
    assert not await works(cp1, NEW)
    assert await works(cp1, OLD)


async def test_a_key_that_was_answered_with_an_error_never_works_and_the_error_is_told_without_it(cp1):
    async with cp1.charger("CP1", tls=False, secret=OLD) as charger, admin(cp1.csms) as operator:
        asked = asyncio.create_task(operator.send("POST", f"/charge-points/CP1/commands/{CHANGE}", json=key()))
        command = await charger.expect(CHANGE)
        await charger.send_raw(f'[4,"{command[1]}","InternalError","no {NEW}",{{"value":"{NEW}"}}]')
        told = await asked
    assert told.status_code == 502
    assert NEW not in told.text
    assert not await works(cp1, NEW)
    assert await works(cp1, OLD)


@pytest.mark.parametrize("first", [OLD, NEW])
async def test_an_answer_that_is_lost_leaves_both_until_one_is_used(cp1, first):
    async with cp1.charger("CP1", tls=False, secret=OLD) as charger:
        await sent(cp1, charger, CHANGE, key(), None, 502)
    assert await works(cp1, first)
    assert not await works(cp1, NEW if first == OLD else OLD)
    assert await works(cp1, first)


async def test_one_that_reconnects_with_the_new_key_before_it_answers_is_let_in(cp1):
    async with admin(cp1.csms) as operator, cp1.charger("CP1", tls=False, secret=OLD) as charger:
        asked = asyncio.create_task(operator.command("CP1", CHANGE, key(), 502))
        await charger.expect(CHANGE)
        assert await works(cp1, NEW)
        await asked
    assert not await works(cp1, OLD)


async def test_a_time_out_leaves_both(make_secured):
    secured = await make_secured(unknown_charge_points="reject", command_timeout_s=0.2)
    await secured.register("CP1", OLD)
    async with admin(secured.csms) as operator, secured.charger("CP1", tls=False, secret=OLD) as charger:
        asked = asyncio.create_task(operator.command("CP1", CHANGE, key(), 504))
        await charger.expect(CHANGE)
        await asked
    assert await works(secured, NEW)
    assert not await works(secured, OLD)


async def test_pending_secrets_survive_a_restart_and_are_stored_as_hashes(cp1, tmp_path):
    async with cp1.charger("CP1", tls=False, secret=OLD) as charger:
        await sent(cp1, charger, CHANGE, key(), {"status": "Accepted"})
    ((stored,),) = query(str(tmp_path / "fleet.db"), "select pending_secrets from charge_points")
    assert "argon2id" in stored
    assert NEW not in stored
    await cp1.csms.restart()
    assert await works(cp1, NEW)
    assert not await works(cp1, OLD)


@pytest.mark.parametrize(
    ("value", "used"),
    [
        (NEW.encode().hex(), NEW),
        (NEW.encode().hex().upper(), NEW.encode().hex()),
        (NEW, NEW.encode().hex()),
        ("0123456789abcdef0123", "0123456789abcdef0123"),
        ("abcd" * 5, bytes.fromhex("abcd" * 5)),
        ("ff" * 20, b"\xff" * 20),
    ],
    ids=["hex, bytes used", "hex, hex used", "text, hex used", "short hex as text", "short hex as bytes", "binary"],
)
async def test_hex_digits_and_text_are_both_the_key_however_the_charge_point_reads_them(cp1, value, used):
    async with cp1.charger("CP1", tls=False, secret=OLD) as charger:
        await sent(cp1, charger, CHANGE, key(value), {"status": "Accepted"})
    secret = used.encode() if isinstance(used, str) else used
    basic = b64encode(b"CP1:" + secret).decode()
    headers = {"Authorization": f"Basic {basic}"}
    assert await cp1.outcome("CP1", tls=False, additional_headers=headers) == 101
    assert not await works(cp1, OLD)


async def test_of_several_keys_one_after_the_other_the_one_that_is_used_stays(cp1):
    async with cp1.charger("CP1", tls=False, secret=OLD) as charger:
        await sent(cp1, charger, CHANGE, key(NEW), {"status": "RebootRequired"})
        await sent(cp1, charger, CHANGE, key(NEWER), {"status": "Rejected"})
    assert not await works(cp1, NEWER)
    assert await works(cp1, NEW)
    assert not await works(cp1, OLD)


async def test_a_key_that_replaces_one_for_after_a_reboot_ends_it_when_it_is_used(cp1):
    async with cp1.charger("CP1", tls=False, secret=OLD) as charger:
        await sent(cp1, charger, CHANGE, key(NEW), {"status": "RebootRequired"})
        await sent(cp1, charger, CHANGE, key(OLD), {"status": "Accepted"})
    assert await works(cp1, OLD)
    assert not await works(cp1, NEW)


async def test_the_number_of_pending_secrets_is_bounded(cp1):
    async with cp1.charger("CP1", tls=False, secret=OLD) as charger:
        for number in range(6):
            await sent(cp1, charger, CHANGE, key(f"password number {number}"), {"status": "RebootRequired"})
    known = await cp1.csms.store.credential("CP1")
    assert len(known.pending) == 4
    assert not await works(cp1, "password number 1")
    assert await works(cp1, "password number 5")


async def test_the_variables_of_2_0_1_have_a_result_each_in_any_order(cp1):
    interval = {
        "component": {"name": "OCPPCommCtrlr"},
        "variable": {"name": "HeartbeatInterval"},
        "attributeValue": "9",
    }
    for own, others, expected in (("Rejected", "Accepted", OLD), ("Accepted", "Rejected", NEW)):
        async with cp1.charger("CP1", tls=False, secret=OLD, subprotocols=V201) as charger:
            answer = results((interval, others), (variable(), own))
            await sent(cp1, charger, "SetVariables", {"setVariableData": [variable(), interval]}, answer)
        assert await works(cp1, NEW) is (expected == NEW)
    assert not await works(cp1, OLD)


async def test_a_variable_whose_result_is_missing_is_as_if_it_was_not_answered(cp1):
    async with cp1.charger("CP1", tls=False, secret=OLD, subprotocols=V201) as charger:
        other = variable("9", "HeartbeatInterval", "OCPPCommCtrlr")
        await sent(cp1, charger, "SetVariables", {"setVariableData": [variable()]}, results((other, "Accepted")))
    assert await works(cp1, NEW)
    assert not await works(cp1, OLD)


async def test_letter_case_and_other_variables_are_told_apart(cp1):
    async with cp1.charger("CP1", tls=False, secret=OLD, subprotocols=V201) as charger:
        named, own = variable(NEWER, "Identity"), variable(NEW, "basicauthpassword", "securityctrlr")
        answer = results((variable(NEWER, "Identity"), "Accepted"), (variable(), "Accepted"))
        await sent(cp1, charger, "SetVariables", {"setVariableData": [named, own]}, answer)
    assert not await works(cp1, NEWER)
    assert await works(cp1, NEW)


async def test_the_password_of_a_network_profile_works_whenever_it_is_used(cp1):
    payload = network_profile(basicAuthPassword=NEW)
    async with cp1.charger("CP1", tls=False, secret=OLD, subprotocols=V21) as charger:
        await sent(cp1, charger, "SetNetworkProfile", payload, {"status": "Accepted"})
    assert await works(cp1, OLD)
    assert await works(cp1, NEW)


@pytest.mark.parametrize("status", ["Rejected", "Failed"])
async def test_the_password_of_a_network_profile_that_was_refused_never_works(cp1, status):
    payload = network_profile(basicAuthPassword=NEW)
    async with cp1.charger("CP1", tls=False, secret=OLD, subprotocols=V21) as charger:
        await sent(cp1, charger, "SetNetworkProfile", payload, {"status": status})
    assert not await works(cp1, NEW)


async def test_the_password_of_a_network_profile_of_another_identity_is_not_its_own(cp1):
    payload = network_profile(basicAuthPassword=NEW, identity="CP2")
    async with cp1.charger("CP1", tls=False, secret=OLD, subprotocols=V21) as charger:
        await sent(cp1, charger, "SetNetworkProfile", payload, {"status": "Accepted"})
    assert not await works(cp1, NEW)


async def test_one_without_a_secret_gets_its_first_and_may_connect_without_until_it_uses_it(secured):
    await secured.register("CP1")
    async with secured.charger("CP1", tls=False) as charger:
        await sent(secured, charger, CHANGE, key(), {"status": "Accepted"})
    assert await secured.outcome("CP1", tls=False) == 101
    assert await works(secured, "what nobody ever checked")
    assert await works(secured, NEW)
    assert await secured.outcome("CP1", tls=False) == 401
    assert not await works(secured, "what nobody ever checked")


async def test_one_that_nobody_registered_is_on_file_once_it_uses_its_key(make_secured):
    secured = await make_secured(unknown_charge_points="accept")
    async with secured.charger("CP1", tls=False) as charger:
        await sent(secured, charger, CHANGE, key(), {"status": "Accepted"})
    assert await works(secured, NEW)
    assert await secured.outcome("CP1", tls=False) == 401
    known = await secured.csms.store.credential("CP1")
    assert known.registered_ts is not None


async def test_a_key_that_can_not_be_stored_is_not_sent(cp1, monkeypatch):
    async def fails(*_arguments: object) -> None:
        raise StoreUnavailable("the database is locked")

    async with cp1.charger("CP1", tls=False, secret=OLD) as charger, admin(cp1.csms) as operator:
        monkeypatch.setattr(cp1.csms.store, "do", fails)
        answer = await operator.send("POST", f"/charge-points/CP1/commands/{CHANGE}", json=key())
        assert answer.status_code == 503
        await charger.call("Heartbeat")
        assert charger.unread == []


async def test_an_answer_that_repeats_the_secret_is_told_without_it(cp1):
    async with cp1.charger("CP1", tls=False, secret=OLD, subprotocols=V201) as charger:
        answer = results((variable(), "Rejected"))
        info = {"reasonCode": "InvalidValue", "additionalInfo": f"{NEW} is too weak"}
        answer["setVariableResult"][0]["attributeStatusInfo"] = info
        told = await sent(cp1, charger, "SetVariables", {"setVariableData": [variable()]}, answer)
    assert NEW not in str(told)
    assert NEW not in str(mask(answer))


class KeyOnBoot(Plugin):
    """Sets a key of its own whenever a charge point boots."""

    name = "key on boot"
    events = (ChargePointBooted,)

    async def start(self, context: PluginContext) -> None:
        self._context = context

    async def on_event(self, event: Any) -> None:
        await self._context.call(event.cp_id, v16_call.ChangeConfiguration(key="authorizationkey", value=NEW))


async def by_library(secured: Any, charger: Charger) -> None:
    await secured.csms.central.call("CP1", v16_call.ChangeConfiguration(key="AuthorizationKey", value=NEW))


async def by_configuration(secured: Any, charger: Charger) -> None:
    async with admin(secured.csms) as operator:
        await operator.ask("PUT", "/charge-points/CP1/configuration/AuthorizationKey", json={"value": NEW})


async def test_a_key_that_a_plugin_sets_counts(make_secured):
    secured = await make_secured(unknown_charge_points="reject", plugins=[KeyOnBoot()])
    await secured.register("CP1", OLD)
    async with secured.charger("CP1", tls=False, secret=OLD) as charger:
        await charger.call("BootNotification", BOOT)
        await charger.reply(await charger.expect(CHANGE), {"status": "Accepted"})
    assert await works(secured, NEW)
    assert not await works(secured, OLD)


@pytest.mark.parametrize("set_key", [by_library, by_configuration])
async def test_every_way_to_send_a_command_counts(cp1, set_key):
    secured = cp1
    async with secured.charger("CP1", tls=False, secret=OLD) as charger:
        setting = asyncio.create_task(set_key(secured, charger))
        await charger.reply(await charger.expect(CHANGE), {"status": "Accepted"})
        await setting
    assert await works(secured, NEW)
    assert not await works(secured, OLD)


async def test_a_secret_set_by_hand_ends_those_that_commands_set(cp1):
    async with cp1.charger("CP1", tls=False, secret=OLD) as charger:
        await sent(cp1, charger, CHANGE, key(), {"status": "RebootRequired"})
    await cp1.register("CP1", NEWER)
    assert not await works(cp1, NEW)
    assert await works(cp1, NEWER)


async def test_a_rotation_that_was_accepted_ends_those_that_commands_set(cp1):
    async with cp1.charger("CP1", tls=False, secret=OLD) as charger, admin(cp1.csms) as operator:
        await sent(cp1, charger, CHANGE, key(), {"status": "RebootRequired"})
        rotating = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/credentials/rotate"))
        command = await charger.expect(CHANGE)
        await charger.reply(command, {"status": "Accepted"})
        await rotating
    rotated = bytes.fromhex(command[3]["value"]).decode()
    assert not await works(cp1, NEW)
    assert await works(cp1, rotated)
    assert not await works(cp1, new_secret())
