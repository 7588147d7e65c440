"""An id tag erased through one node of a cluster is gone from the other node, from Redis and from PostgreSQL."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import redis as redis_client

from stack.test_cluster_commands import Stream, node, see_each_other
from support.central import Csms
from support.chargers import BOOT, START, Charger, meter_values, stop
from support.databases import query
from support.operators import Operator, admin
from support.postgres import PostgresServer
from support.redis_servers import RedisServer
from support.waiting import eventually

TAG = "04E1C9Ab77"
ENROLLED = "NEWTAG0815"
HISTORY = "/charge-points/CP1/message-history?limit=100"


@pytest.fixture
async def redis() -> AsyncIterator[RedisServer]:
    with RedisServer.run() as server:
        yield server


@pytest.fixture
async def nodes(postgres: PostgresServer, redis: RedisServer, tmp_path: Path) -> AsyncIterator[list[Csms]]:
    url = postgres.empty()
    async with AsyncExitStack() as stack:
        policy = {"unknown_id_tags": "reject"}
        started = [
            await stack.enter_async_context(node(tmp_path, url, redis, name, **policy)) for name in ("north", "south")
        ]
        await see_each_other(started)
        yield started


def in_redis(server: RedisServer) -> str:
    """All keys of Redis with their values, as text."""
    with redis_client.Redis(port=server.port) as client:
        read = {
            b"stream": client.xrange,
            b"hash": client.hgetall,
            b"string": client.get,
            b"set": client.smembers,
            b"zset": lambda key: client.zrange(key, 0, -1),
            b"list": lambda key: client.lrange(key, 0, -1),
        }
        return "\n".join(f"{key!r} {read[client.type(key)](key)!r}" for key in client.scan_iter())


def in_postgresql(url: str) -> str:
    """All rows of all tables, of whoever made them, as text."""
    tables = query(url, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    rows = [str(query(url, f"TABLE {name}")) for (name,) in tables]
    blocks = [str(zlib.decompress(lines)) for (lines,) in query(url, "SELECT lines FROM message_blocks")]
    return "\n".join(rows + blocks)


def in_memory(csms: Csms) -> str:
    """The fleet of a node, what it keeps of events, and what waits to be stored."""
    central = csms.central
    kept = [frame.data for frame in central._feed._ring]
    transactions = [each.transactions for each in central.fleet.charge_points.values()]
    waiting = central._history.tag_use._waiting
    return repr((kept, transactions, central.fleet._recalled, waiting, central._enrolments._by_cp))


def in_files(folder: Path) -> str:
    return repr([path.read_bytes() for path in folder.rglob("files/**/*") if path.is_file()])


async def enrol(operator: Operator, charger: Charger) -> None:
    await operator.ask("POST", "/charge-points/CP1/enrol", 201, json={})
    await charger.call("Authorize", {"idTag": ENROLLED})
    assert (await operator.ask("GET", "/charge-points/CP1/enrol"))["id_tag"] == ENROLLED


async def upload(operator: Operator, charger: Charger) -> None:
    """The charge point uploads a log with the tag to the node that asked for it, on whose disk it is."""
    asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/logs", json={}))
    asked = await charger.expect()
    await charger.reply(asked, {"fileName": "log"})
    await asking
    assert (await operator.http.put(asked[3]["location"], content=f"tag={TAG}".encode())).status_code == 201


async def shown(operator: Operator) -> str:
    """What the API answers about charge points, sessions, tags and what was done."""
    paths = ("/charge-points/CP1", "/charge-points/CP1/connectors", "/charge-points/CP1/enrol", "/transactions")
    found = [await operator.send("GET", path) for path in (*paths, "/id-tags", "/audit", "/diagnostics", HISTORY)]
    return "\n".join(each.text for each in found)


async def test_a_tag_erased_through_one_node_is_nowhere_in_the_cluster(
    nodes: list[Csms], redis: RedisServer, tmp_path: Path
) -> None:
    north, south = nodes
    url = north.central.settings.database
    async with south.charger("CP1") as charger, admin(north) as far, admin(south) as near:
        await charger.call("BootNotification", BOOT)
        await far.ask("PUT", f"/id-tags/{TAG}", json={"status": "Accepted"})
        await enrol(near, charger)
        await upload(near, charger)
        tx = (await charger.call("StartTransaction", {**START, "idTag": TAG}))["transactionId"]
        await charger.call("MeterValues", meter_values(tx, {"value": f"OCMF|{TAG}", "format": "SignedData"}))
        report = {"type": "Other", "timestamp": "2026-11-21T10:00:00Z", "techInfo": f"card {TAG}, read twice"}
        await charger.call("SecurityEventNotification", report)
        await south.durable()
        await eventually(lambda: all(TAG in in_memory(each) for each in nodes))
        for place in (in_redis(redis), in_postgresql(url), await shown(far), await shown(near)):
            assert TAG in place

        async with Stream.open(near) as listening:
            erased = await far.ask("POST", "/id-tags/erase", json={"id_tag": TAG})
            assert (erased["transactions"], erased["readings"], erased["files"]) == (1, 1, 1)
            await far.ask("POST", "/id-tags/erase", json={"id_tag": ENROLLED})
            await eventually(lambda: listening.named("Reset"))
        await south.durable()
        places = {
            "north": in_memory(north),
            "south": in_memory(south),
            "redis": in_redis(redis),
            "postgresql": in_postgresql(url),
            "north's API": await shown(far),
            "south's API": await shown(near),
            "files": in_files(tmp_path),
        }
        left = {name for name, text in places.items() for tag in (TAG, ENROLLED) if tag.lower() in text.lower()}
        assert left == set()
        sessions = (await near.ask("GET", "/transactions?open=true"))["items"]
        assert [each["id_tag"] for each in sessions] == [erased["pseudonym"]]
        await charger.call("StopTransaction", stop(tx, idTag=TAG))
        assert await south.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500
        await south.durable()
        assert TAG.lower() not in in_postgresql(url).lower()
        assert TAG.lower() not in in_redis(redis).lower()
