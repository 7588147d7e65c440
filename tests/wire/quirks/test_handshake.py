"""How chargers really connect. Each docstring has the words of docs/quirks.md."""

import base64
import json

import pytest

from wattspan.csms.security.credentials import hash_secret
from wattspan.versions import VERSIONS

BEAT = b'[2,"x","Heartbeat",{}]'
SECRET = "0123456789abcdef"


def basic(user: str, password: str = SECRET) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


async def register(csms, cp_id: str, secret: str | None = SECRET) -> None:
    await csms.store.add_charge_point(cp_id, None if secret is None else hash_secret(secret, machine_made=True))


async def status(csms, target: str, **headers: str) -> int:
    async with csms.raw_charger(target, **headers) as charger:
        return charger.status


async def connected(csms) -> list[str]:
    """Charge points with a series of `ocpp_cp_connected`, whatever its value."""
    return [line.split('"')[1] for line in await csms.lines("ocpp_cp_connected") if not line.startswith("#")]


async def test_no_subprotocol_offered(csms):
    """no subprotocol offered (Grizzl-E): accept, and answer with no subprotocol header"""
    async with csms.raw_charger(Sec_WebSocket_Protocol="") as charger:
        assert charger.status == 101
        assert "sec-websocket-protocol" not in charger.headers
        charger.write(BEAT)
        assert json.loads((await charger.read()).data)[:2] == [3, "x"]


@pytest.mark.parametrize("spoken", VERSIONS)
async def test_percent_encoded_identities(csms, spoken):
    """percent-encoded identities (`RDAM%7C123`)"""
    async with csms.raw_charger("/ws/RDAM%7C123", Sec_WebSocket_Protocol=spoken) as charger:
        assert charger.headers["sec-websocket-protocol"] == spoken
        assert await csms.metric("ocpp_cp_connected", cp_id="RDAM|123") == 1
    async with csms.charger("RDAM|123 ж"):
        assert 'ocpp_cp_connected{cp_id="RDAM|123 ж"} 1' in await csms.lines("ocpp_cp_connected")


@pytest.mark.parametrize(
    "target", ["///charger", "//ws///charger/", "/ws//charger", "/ocpp/charger", "/charger?token=1"]
)
async def test_several_leading_slashes(csms, target):
    """several leading slashes (`///charger`)"""
    assert await status(csms, target) == 101
    assert await connected(csms) == ["charger"]


@pytest.mark.parametrize("scheme", ["ws", "wss", "http"])
async def test_a_full_url_as_the_request_target(csms, scheme):
    """a full URL as the request target"""
    assert await status(csms, f"{scheme}://127.0.0.1:{csms.central.port}/ws/CP6") == 101
    assert await connected(csms) == ["CP6"]


async def test_another_letter_case_than_on_file(make_csms):
    """another letter case than on file"""
    csms = await make_csms(unknown_charge_points="refuse")
    await register(csms, "Garage-7")
    for told in ("Garage-7", "GARAGE-7", "garage-7"):
        for user in (told, "Garage-7"):
            assert await status(csms, f"/ws/{told}", **basic(user)) == 101
        assert await status(csms, f"/ws/{told}", **basic(told, "fedcba9876543210")) == 401
        assert await status(csms, f"/ws/{told}", **basic("garage-8")) == 401
        assert await status(csms, f"/ws/{told}") == 401
    assert await connected(csms) == ["Garage-7"]
    assert await status(csms, "/ws/garage-8", **basic("garage-8")) == 404


async def test_letter_case_counts_where_it_tells_two_apart(make_csms):
    """another letter case than on file"""
    csms = await make_csms(unknown_charge_points="refuse")
    await register(csms, "CP1", None)
    await register(csms, "cp1", None)
    assert [await status(csms, f"/ws/{told}") for told in ("CP1", "cp1", "Cp1")] == [101, 101, 404]
    assert await csms.store.remove_charge_point("cp1")
    assert await status(csms, "/ws/cp1") == 101
    assert await csms.metric("ocpp_cp_disconnects_total", cp_id="CP1") is not None


async def test_one_that_came_in_unregistered_does_not_stand_in_the_way_of_the_one_on_file(make_csms):
    """another letter case than on file"""
    lax = await make_csms(unknown_charge_points="accept")
    assert await status(lax, "/ws/cp1") == 101
    await register(lax, "CP1", None)
    await lax.stop()
    strict = await make_csms(unknown_charge_points="refuse")
    assert await status(strict, "/ws/cp1") == 101
    assert await strict.metric("ocpp_cp_connected", cp_id="CP1") is not None


async def test_a_hex_encoded_authorization_key_as_basic_password(csms):
    """a hex-encoded AuthorizationKey as Basic password (profile 1)"""
    await register(csms, "CP1")
    for password in (SECRET, SECRET.encode().hex(), SECRET.encode().hex().upper()):
        assert await status(csms, "/ws/CP1", **basic("CP1", password)) == 101
    assert await status(csms, "/ws/CP1", **basic("CP1", SECRET[::-1].encode().hex())) == 401
    key = bytes(range(240, 256)) + b"\x00\xffab"
    await register(csms, "CP2", key.hex())
    for secret in (key, key.hex().encode()):
        told = {"Authorization": "Basic " + base64.b64encode(b"CP2:" + secret).decode()}
        assert await status(csms, "/ws/CP2", **told) == 101
