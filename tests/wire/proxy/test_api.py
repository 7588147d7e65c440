"""The HTTP API of the proxy: it shows what passes, and commands and changes nothing."""

import asyncio
import json

import httpx
import pytest

from support.central import PLAIN
from support.chargers import BOOT, START
from support.proxies import Proxy
from support.waiting import eventually

BASE = "/api/v1/charge-points/CP1"
PASSWORD = "correct horse battery"


@pytest.fixture
async def seen(csms, tmp_path):
    """A proxy with one charge point in a session, and a client that is logged in as its admin."""
    async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}"), admin_password=PASSWORD) as proxy:
        base = f"http://127.0.0.1:{proxy.server.api_port}"
        async with proxy.charger("CP1") as charger, httpx.AsyncClient(base_url=base, **PLAIN) as client:
            await charger.call("BootNotification", BOOT)
            await charger.call("StartTransaction", START)
            await proxy.becomes(1, "ocpp_tx_total", cp_id="CP1")
            answer = await client.post("/api/v1/session", json={"name": "admin", "password": PASSWORD})
            client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
            yield proxy, charger, client, answer.json()


async def test_it_shows_charge_points_and_their_transactions(seen):
    _, _, client, _ = seen
    shown = (await client.get(BASE)).json()
    assert (shown["cp_id"], shown["vendor"], shown["connected"]) == ("CP1", "Acme", True)
    (transaction,) = (await client.get("/api/v1/transactions")).json()["items"]
    assert transaction["cp_id"] == "CP1"
    assert (await client.get("/")).status_code == 200  # the console


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{BASE}/start", {"id_tag": "TAG1", "connector_id": 1}),
        ("POST", f"{BASE}/commands/Reset", {"type": "Hard"}),
        ("GET", f"{BASE}/configuration", None),
        ("DELETE", BASE, None),
        ("POST", "/api/v1/charge-points", {"cp_id": "CP2"}),
        ("PUT", "/api/v1/id-tags/TAG1", {}),
    ],
)
async def test_it_refuses_commands_and_changes_with_a_reason(seen, method, path, body):
    proxy, charger, client, _ = seen
    answer = await client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:wattspan:read-only")
    assert "another central system" in answer.json()["detail"]
    assert charger.unread == []
    assert await proxy.metric("ocpp_cp_connected", cp_id="CP1") == 1


async def test_the_console_is_offered_no_commands(seen):
    _, _, client, login = seen
    assert login["rights"] == ["admin", "read"]
    assert (await client.get("/api/v1/session")).json()["rights"] == ["admin", "read"]


async def test_it_streams_the_messages_of_a_charge_point_in_both_directions(seen):
    proxy, charger, client, _ = seen
    found = []
    async with client.stream("GET", f"{BASE}/messages") as stream:
        async with asyncio.timeout(20):
            lines = stream.aiter_lines()
            await eventually(lambda: proxy.server._observation.watchers)
            await charger.call("Heartbeat")
            async for line in lines:
                if line.startswith("data: {"):
                    found.append(json.loads(line.removeprefix("data: ")))
                if len(found) == 2:
                    break
    assert [(each["direction"], each["frame"][0]) for each in found] == [("in", 2), ("out", 3)]
