"""Who may connect, who may charge, and how a charge point leaves for good."""

import base64
import time

import pytest

from support.chargers import START, stop
from wattspan.csms.security.credentials import hash_secret
from wattspan.store.store import IdTag, Store


def basic(user: str, password: str | bytes) -> dict[str, str]:
    secret = password.encode() if isinstance(password, str) else password
    return {"Authorization": "Basic " + base64.b64encode(user.encode() + b":" + secret).decode()}


async def status(csms, cp_id: str, **headers: str) -> int:
    async with csms.raw_charger(f"/ws/{cp_id}", **headers) as charger:
        return charger.status


async def register(csms, cp_id: str, secret: str | None, *, machine_made: bool = True) -> None:
    await csms.store.add_charge_point(cp_id, None if secret is None else hash_secret(secret, machine_made))


@pytest.mark.parametrize(("policy", "expected"), [("accept", 101), ("refuse", 404), (None, 101)])
async def test_unknown_charge_points_come_in_by_policy(make_csms, policy, expected):
    """Not set, the policy is to accept where only this machine can reach us."""
    csms = await make_csms(unknown_charge_points=policy)
    await register(csms, "KNOWN", None)
    assert await status(csms, "NEW") == expected
    assert await status(csms, "KNOWN") == 101
    rejected = await csms.metric("ocpp_central_handshakes_rejected_total", reason="unknown")
    assert rejected == (1 if expected == 404 else None)
    assert (await csms.metric("ocpp_cp_connected", cp_id="NEW") is None) == (expected == 404)


async def test_beyond_loopback_nobody_unknown_comes_in(make_csms):
    csms = await make_csms(host="0.0.0.0", metrics_host="127.0.0.1")
    assert await status(csms, "NEW") == 404


async def test_one_who_was_let_in_while_that_was_the_policy_is_not_known_for_it(make_csms):
    lax = await make_csms(unknown_charge_points="accept")
    assert await status(lax, "CP1") == 101
    await lax.stop()
    strict = await make_csms(unknown_charge_points="refuse")
    assert await status(strict, "CP1") == 404


async def test_a_password_of_ones_own(csms):
    await register(csms, "CP1", "correct horse", machine_made=False)
    assert await status(csms, "CP1", **basic("CP1", "correct horse")) == 101
    assert await status(csms, "CP1", **basic("CP1", "battery staple")) == 401


async def test_wrong_credentials_get_401_and_a_count_and_make_no_series(csms):
    await register(csms, "CP1", "0123456789abcdef")
    await register(csms, "CP2", "fedcba9876543210")
    wrong = [
        {},
        basic("CP1", "0123456789abcdeF"),
        basic("CP1", ""),
        basic("CP2", "fedcba9876543210"),
        basic("", "0123456789abcdef"),
        {"Authorization": "Basic not-base64"},
        {"Authorization": "Basic " + base64.b64encode(b"CP1").decode()},
        {"Authorization": "Bearer 0123456789abcdef"},
        {"Authorization": "Basic"},
    ]
    for headers in wrong:
        async with csms.raw_charger("/ws/CP1", **headers) as charger:
            assert (charger.status, charger.headers["www-authenticate"][:5]) == (401, "Basic")
    assert await csms.metric("ocpp_central_handshakes_rejected_total", reason="credentials") == len(wrong)
    assert [line for line in await csms.page() if "cp_id=" in line] == []


async def test_an_identity_with_a_colon_or_percent_sign_can_have_credentials(csms):
    """RFC 7617 splits at the first colon, so an identity that has one never matches; others do."""
    await register(csms, "A|B%", "0123456789abcdef")
    assert await status(csms, "A%7CB%25", **basic("A|B%", "0123456789abcdef")) == 101


async def authorized(csms, id_tag: str) -> dict[str, object]:
    async with csms.charger("CP1") as charger:
        return (await charger.call("Authorize", {"idTag": id_tag}))["idTagInfo"]


@pytest.mark.parametrize(("policy", "expected"), [("accept", "Accepted"), ("refuse", "Invalid")])
async def test_unknown_id_tags_charge_by_policy_but_every_start_is_kept(make_csms, policy, expected):
    csms = await make_csms(unknown_id_tags=policy)
    assert await authorized(csms, "NEW") == {"status": expected}
    async with csms.charger("CP1") as charger:
        started = await charger.call("StartTransaction", START)
        assert started["idTagInfo"]["status"] == expected
        await charger.call("StopTransaction", stop(started["transactionId"]))
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 1
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500
    assert await csms.metric("ocpp_cp_authorizations_total", cp_id="CP1", status=expected) == 1


async def test_id_tags_with_status_expiry_and_parent(csms):
    past, future = time.time() - 60, time.time() + 3600
    for tag in (
        IdTag(id_token="GOOD", parent="FAMILY"),
        IdTag(id_token="BLOCKED", status="Blocked"),
        IdTag(id_token="EXPIRED", expiry_ts=past),
        IdTag(id_token="TIMELY", expiry_ts=future),
    ):
        await csms.store.add_id_tag(tag)
    assert await authorized(csms, "GOOD") == {"status": "Accepted", "parentIdTag": "FAMILY"}
    assert await authorized(csms, "good") == {"status": "Accepted", "parentIdTag": "FAMILY"}
    assert (await authorized(csms, "BLOCKED"))["status"] == "Blocked"
    assert (await authorized(csms, "EXPIRED"))["status"] == "Expired"
    timely = await authorized(csms, "TIMELY")
    assert timely["status"] == "Accepted"
    assert "expiryDate" in timely
    await csms.store.remove_id_tag("BLOCKED")
    assert (await authorized(csms, "BLOCKED"))["status"] == "Accepted"


async def test_concurrent_transactions_of_one_id_tag(csms):
    await csms.store.add_id_tag(IdTag(id_token="ONE", max_active_transactions=1))
    async with csms.charger("CP1") as charger, csms.charger("CP2") as other:
        first = await charger.call("StartTransaction", {**START, "idTag": "ONE"})
        assert first["idTagInfo"]["status"] == "Accepted"
        assert await charger.call("StartTransaction", {**START, "idTag": "ONE"}) == first
        assert (await other.call("Authorize", {"idTag": "ONE"}))["idTagInfo"]["status"] == "Accepted"
        second = await other.call("StartTransaction", {**START, "idTag": "one"})
        assert second["idTagInfo"]["status"] == "ConcurrentTx"
        await other.call("StopTransaction", stop(second["transactionId"]))
        await charger.call("StopTransaction", stop(first["transactionId"]))
        third = await other.call("StartTransaction", {**START, "idTag": "ONE", "timestamp": "2026-11-21T12:00:00Z"})
        assert third["idTagInfo"]["status"] == "Accepted"


async def test_no_id_tag_is_on_the_page(csms):
    async with csms.charger("CP1") as charger:
        await charger.call("Authorize", {"idTag": "SECRETTAG"})
        await charger.call("StartTransaction", {**START, "idTag": "SECRETTAG"})
    assert [line for line in await csms.page() if "SECRETTAG" in line] == []


async def test_one_decommissioned_by_another_process_leaves_the_page_and_loses_its_connection(make_csms, monkeypatch):
    monkeypatch.setattr("wattspan.maintenance.REGISTRY_S", 0.02)
    csms = await make_csms(unknown_charge_points="refuse")
    await register(csms, "CP1", None)
    await register(csms, "CP2", None)
    async with csms.charger("CP1") as charger, csms.charger("CP2") as other:
        await charger.call("StartTransaction", START)
        await other.call("Heartbeat")
        books = await Store.open(csms.store.name)
        assert await books.remove_charge_point("CP1")
        await books.close()
        assert await charger.closed() == 1008
        await csms.becomes(None, "ocpp_cp_connected", cp_id="CP1")
        assert [line for line in await csms.page() if 'cp_id="CP1"' in line] == []
        assert await other.call("Heartbeat")
    assert await status(csms, "CP1") == 404
    await csms.restart()
    assert [line for line in await csms.page() if 'cp_id="CP1"' in line] == []
    assert await csms.metric("ocpp_cp_connected", cp_id="CP2") == 0


async def test_one_decommissioned_in_code_may_come_back_as_new(csms):
    async with csms.charger("CP1") as charger:
        started = await charger.call("StartTransaction", START)
        await charger.call("StopTransaction", stop(started["transactionId"]))
    assert await csms.central.remove_charge_point("CP1")
    assert not await csms.central.remove_charge_point("CP1")
    assert [line for line in await csms.page() if 'cp_id="CP1"' in line] == []
    async with csms.charger("CP1") as charger:
        again = await charger.call("StartTransaction", {**START, "timestamp": "2026-11-21T12:00:00Z"})
        assert again["transactionId"] != started["transactionId"]
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 1
    await csms.restart()
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 1
    assert await csms.metric("ocpp_tx_active", cp_id="CP1", connector_id="1") == 1
