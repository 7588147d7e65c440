"""What an operator changes on one node is in force on the other, for chargers that connect and ask there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from stack.test_cluster import NO_REDIS
from stack.test_cluster_commands import node, see_each_other
from support.central import PLAIN, Csms
from support.chargers import BOOT
from support.evidence import basic
from support.operators import Operator, admin
from support.postgres import PostgresServer
from support.redis_servers import RedisServer
from support.waiting import eventually

STRICT = {"unknown_charge_points": "refuse", "unknown_id_tags": "refuse"}
FIRST, SECOND = "first-secret-0001", "second-secret-002"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer.run() as server:
        yield server


@pytest.fixture(params=[True, False], ids=["with Redis", "without Redis"])
def has_redis(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
async def nodes(
    postgres: PostgresServer, redis: RedisServer, tmp_path: Path, has_redis: bool
) -> AsyncIterator[list[Csms]]:
    """north, to which the chargers connect, and south, which the operator uses."""
    redis.command("FLUSHALL")
    database = postgres.empty()
    async with AsyncExitStack() as stack:
        started = []
        for name in ("north", "south"):
            one = node(tmp_path, database, redis if has_redis else NO_REDIS, name, **STRICT)
            started.append(await stack.enter_async_context(one))
        if has_redis:
            await see_each_other(started)
        yield started


@pytest.fixture
async def operator(nodes: list[Csms]) -> AsyncIterator[Operator]:
    async with admin(nodes[1]) as one:
        yield one


async def handshake(csms: Csms, secret: str) -> int:
    """The status that the handshake of CP1 gets."""
    async with csms.raw_charger("/ws/CP1", Authorization=basic("CP1", secret)) as charger:
        return charger.status


async def test_credentials_and_decommission(nodes: list[Csms], operator: Operator) -> None:
    north, _ = nodes
    assert await handshake(north, FIRST) == 404
    await operator.ask("POST", "/charge-points", 201, json={"cp_id": "CP1"})
    await operator.ask("PUT", "/charge-points/CP1/credentials", json={"secret": FIRST})
    assert await handshake(north, FIRST) == 101
    await operator.ask("PUT", "/charge-points/CP1/credentials", json={"secret": SECOND})
    assert await handshake(north, FIRST) == 401
    assert await handshake(north, SECOND) == 101
    async with north.charger("CP1", additional_headers={"Authorization": basic("CP1", SECOND)}) as charger:
        await charger.call("BootNotification", BOOT)
        await operator.ask("DELETE", "/charge-points/CP1", 204)
        assert await handshake(north, SECOND) != 101
        assert await charger.closed() == 1008

        async def is_off_the_page() -> bool:
            return await north.metric("ocpp_cp_connected", cp_id="CP1") is None

        await eventually(is_off_the_page)


async def test_id_tags(nodes: list[Csms], operator: Operator) -> None:
    """Each answer is about what the operator did just before."""
    north, _ = nodes
    await operator.ask("POST", "/charge-points", 201, json={"cp_id": "CP1"})
    await operator.ask("PUT", "/charge-points/CP1/credentials", json={"secret": FIRST})
    async with north.charger("CP1", additional_headers={"Authorization": basic("CP1", FIRST)}) as charger:

        async def authorized() -> str:
            answer = await charger.call("Authorize", {"idTag": "TAG1"})
            return str(answer["idTagInfo"]["status"])

        assert await authorized() == "Invalid"
        await operator.ask("PUT", "/id-tags/TAG1", json={})
        assert await authorized() == "Accepted"
        await operator.ask("POST", "/id-tags/block", json={"id_tags": ["TAG1"]})
        assert await authorized() == "Blocked"
        await operator.ask("POST", "/id-tags/block", json={"id_tags": ["TAG1"], "blocked": False})
        assert await authorized() == "Accepted"
        await operator.ask("DELETE", "/id-tags/TAG1", 204)
        assert await authorized() == "Invalid"


async def test_places(nodes: list[Csms], operator: Operator) -> None:
    """A site can be used at once on a node that did not add it; where charge points are, is shown within seconds."""
    north, _ = nodes
    await operator.ask("POST", "/charge-points", 201, json={"cp_id": "CP1"})
    await operator.ask("PUT", "/charge-points/CP1/credentials", json={"secret": FIRST})
    await operator.ask("PUT", "/sites/depot", json={"name": "Depot"})
    async with admin(north) as other:
        filed = await other.send("GET", "/charge-points/CP1")
        change = {"site_id": "depot", "name": "Bay 1"}
        await other.ask("PATCH", "/charge-points/CP1", json=change, headers={"If-Match": filed.headers["ETag"]})

    async def is_shown() -> bool:
        found = await operator.ask("GET", "/charge-points/CP1")
        return (found["site_id"], found["name"]) == ("depot", "Bay 1")

    await eventually(is_shown)


async def test_logins_and_tokens(nodes: list[Csms], operator: Operator) -> None:
    north = f"http://127.0.0.1:{nodes[0].central.api_port}/api/v1/charge-points"
    made = await operator.ask("POST", "/tokens", 201, json={"label": "report", "scopes": ["read"]})
    bearer = {"Authorization": f"Bearer {made['secret']}"}
    assert (await operator.http.get(north)).status_code == 200  # by the cookie that south set
    async with httpx.AsyncClient(**PLAIN) as program:
        assert (await program.get(north, headers=bearer)).status_code == 200
        await operator.ask("DELETE", f"/tokens/{made['id']}", 204)
        assert (await program.get(north, headers=bearer)).status_code == 401
    await operator.ask("DELETE", "/session", 204)
    assert (await operator.http.get(north)).status_code == 401
