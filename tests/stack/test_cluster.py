"""Two real nodes on a real PostgreSQL: killed, hung and stopped. Nothing acknowledged is lost, doubled or shown twice.

Redis is not reachable here, so that PostgreSQL alone keeps order (docs/adr/0014-nodes.md).
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import CloseCode

from stack.forking import nursery
from stack.process import START_S, eventually, free_ports
from stack.resending import Ledger, assert_shown, assert_stored, load
from stack.test_chaos import is_ready, page
from stack.wattspan_server import WattspanServer
from support.chargers import BOOT, START, Charger, Payload, energy, meter_values, stop
from support.databases import query
from support.postgres import PostgresServer

NO_REDIS = "redis://127.0.0.1:1/0"
CHARGERS = 20
KILLS = 4
HALF_WAY = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%locked%'"
"""The sessions of nodes that have locked rows for a batch and do not go on."""
ADOPTED_S = 30.0
"""Within this time of the end of a node its charge points are on another one's page."""


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    return postgres.empty()


@pytest.fixture
async def nodes(tmp_path: Path, database: str) -> AsyncIterator[list[WattspanServer]]:
    """North and south."""
    async with AsyncExitStack() as stack:
        servers = []
        for name in ("north", "south"):
            (tmp_path / name).mkdir()
            options = [
                "--database",
                database,
                "--redis",
                "redis://127.0.0.1:1/0",
                "--node-name",
                name,
                "--drain-s",
                "1",
            ]
            servers.append(await stack.enter_async_context(WattspanServer.run(tmp_path / name, options=options)))
        yield servers


async def pages(nodes: Sequence[WattspanServer]) -> str:
    """The pages of all nodes as one, without the heads; no charge point is on two."""
    texts = await asyncio.gather(*(node.page() for node in nodes))
    owners = Counter(cp_id for text in texts for cp_id in re.findall(r'^ocpp_cp_connected{cp_id="(\S+)"}', text, re.M))
    assert not [cp_id for cp_id, count in owners.items() if count > 1], owners
    return "".join(texts)


async def served(ledger: Ledger) -> None:
    """Wait until chargers get answers."""
    before = ledger.acknowledged

    async def more() -> bool:
        return ledger.acknowledged > before + CHARGERS

    await eventually(more, within_s=3 * START_S)  # all three nodes may be starting


async def test_nodes_killed_under_load_lose_nothing_and_double_nothing(
    database: str, nodes: list[WattspanServer]
) -> None:
    rng = random.Random(0)
    async with load(*(node.url for node in nodes), chargers=CHARGERS, seed=1) as ledger:
        for kill in range(KILLS):
            await served(ledger)
            await asyncio.sleep(rng.random())
            node = nodes[kill % 2]
            await node.kill()
            await served(ledger)
            await node.start()
        await served(ledger)
        await ledger.settle()
    assert_shown(await pages(nodes), ledger)
    assert_stored(database, ledger)
    assert ledger.repeated, "the kills hit nobody"


@pytest.mark.chaos
@pytest.mark.timeout(3600)
async def test_any_of_three_nodes_killed_again_and_again_loses_nothing(
    tmp_path: Path, database: str, kills: int
) -> None:
    rng = random.Random(0)
    ports = free_ports(6)
    commands = [
        (
            *("serve", "--database", database, "--redis", NO_REDIS, "--node-name", f"node-{number}", "--api-port", "0"),
            *("--port", str(ports[number]), "--metrics-port", str(ports[3 + number])),
        )
        for number in range(3)
    ]
    async with AsyncExitStack() as stack:
        nodes = []
        for number, command in enumerate(commands):
            (tmp_path / f"{number}").mkdir()
            nodes.append(await stack.enter_async_context(nursery(tmp_path / f"{number}")))
            await nodes[-1].start(*command)
        urls = [f"ws://127.0.0.1:{port}" for port in ports[:3]]
        async with load(*urls, chargers=CHARGERS, seed=1) as ledger:
            for _ in range(kills):
                await served(ledger)
                await asyncio.sleep(rng.random() / 2)
                number = rng.randrange(3)
                assert await nodes[number].kill() == -9, nodes[number].log.read_text()[-2000:]
                await nodes[number].start(*commands[number])
            await ledger.settle()
        for port in ports[3:]:
            await eventually(partial(is_ready, port))

        async def is_shown() -> bool:
            """A charge point is on no page for a while after a kill."""
            with suppress(AssertionError):
                assert_shown("".join([await page(port) for port in ports[3:]]), ledger)
                return True
            return False

        await eventually(is_shown, within_s=ADOPTED_S)
        logs = [node.log.read_text() for node in nodes]
    assert not [log[-5000:] for log in logs if "Traceback" in log]
    assert_stored(database, ledger)
    assert ledger.repeated, "the kills hit nobody"


async def test_charge_points_of_a_killed_node_are_on_the_other_page_within_thirty_seconds(
    nodes: list[WattspanServer],
) -> None:
    north, south = nodes
    async with Charger(f"{north.url}/CP1") as charger:
        await charger.call("BootNotification", BOOT)
        transaction_id = (await charger.call("StartTransaction", START))["transactionId"]
        await charger.call("MeterValues", meter_values(transaction_id, energy(3000)))
        assert await north.value('ocpp_cp_connected{cp_id="CP1"}') == 1
        await north.kill()

        async def adopted() -> bool:
            return await south.value('ocpp_cp_connected{cp_id="CP1"}') == 0

        await eventually(adopted, within_s=ADOPTED_S)
    assert await south.value('ocpp_tx_active{cp_id="CP1",connector_id="1"}') == 1
    assert await south.value('ocpp_cp_boots_total{cp_id="CP1"}') == 1
    assert await south.value('ocpp_cp_disconnects_total{cp_id="CP1"}') == 1
    assert await south.value("ocpp_central_adoptions_total") == 1
    await north.start()
    async with Charger(f"{north.url}/CP1") as charger:
        assert await charger.call("StopTransaction", stop(transaction_id)) == {}
        assert await north.value('ocpp_cp_energy_total_wh{cp_id="CP1"}') == 7500
        assert await south.value('ocpp_cp_connected{cp_id="CP1"}') is None


async def test_a_node_that_hung_writes_nothing_drops_its_sockets_and_takes_part_again(
    database: str, nodes: list[WattspanServer]
) -> None:
    """Its lease is taken instead of waiting for a minute. So it still believes in the lease when it wakes up.

    `make nemesis` stops nodes for up to a minute.
    """
    north, south = nodes
    async with AsyncExitStack() as stack:
        old, quiet = [await stack.enter_async_context(Charger(f"{north.url}/{cp_id}")) for cp_id in ("CP1", "CP2")]
        await old.call("BootNotification", BOOT)
        transaction_id = (await quiet.call("StartTransaction", START))["transactionId"]
        await quiet.call("MeterValues", meter_values(transaction_id, energy(3000)))
        north.program.pause()
        await old.send("StartTransaction", START)  # received by a node that can do nothing about it
        await quiet.send("StopTransaction", stop(transaction_id))
        new = await stack.enter_async_context(Charger(f"{south.url}/CP1"))
        started = await new.call("StartTransaction", START)
        assert started["transactionId"] > 0
        query(database, "UPDATE nodes SET heartbeat_ts = heartbeat_ts - 60 WHERE name = 'north'")

        async def adopted() -> bool:
            return await south.value('ocpp_cp_connected{cp_id="CP2"}') == 0

        await eventually(adopted)
        assert await south.value('ocpp_cp_connected{cp_id="CP1"}') == 1
        north.program.resume()
        assert await old.closed() == 1008
        assert await quiet.closed() == 1008
        # What the store knows may be told again: the start is a repeat of the one that the other node has written.
        assert [answer for _, _, answer in old.unread] in ([], [started])
        assert quiet.unread == [], "nobody has written its stop"
        for cp_id in ("CP1", "CP2"):
            assert await north.value(f'ocpp_cp_connected{{cp_id="{cp_id}"}}') is None
        assert await south.value('ocpp_tx_active{cp_id="CP2",connector_id="1"}') == 1
        async with Charger(f"{north.url}/CP2") as again:
            assert await again.call("StopTransaction", stop(transaction_id)) == {}
            assert await north.value('ocpp_cp_disconnects_total{cp_id="CP2"}') == 1
            assert await north.value('ocpp_cp_energy_total_wh{cp_id="CP2"}') == 7500
    stored = query(database, "SELECT cp_id, stopped_ts IS NULL FROM transactions ORDER BY cp_id")
    assert stored == [("CP1", True), ("CP2", False)]


async def test_a_node_that_hung_in_the_middle_of_a_batch_does_not_keep_its_charge_points(
    database: str, nodes: list[WattspanServer]
) -> None:
    """PostgreSQL ends the session that has their rows locked."""
    north, south = nodes

    async def asked(sql: str) -> bool:
        return query(database, sql) != [(0,)]

    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(Charger(f"{north.url}/CP1"))
        await old.call("BootNotification", BOOT)
        with psycopg.connect(database) as other:
            other.execute("SELECT 1 FROM charge_points WHERE cp_id = 'CP1' FOR UPDATE")
            await old.send("StartTransaction", START)
            await eventually(partial(asked, "SELECT count(*) FROM pg_locks WHERE NOT granted"))
            north.program.pause()
        await eventually(partial(asked, HALF_WAY))

        async def started() -> Payload | None:
            """The answer to a start; as long as the rows are locked, a charge point is to try again later."""
            try:
                new = await stack.enter_async_context(Charger(f"{south.url}/CP1"))
                return await new.call("StartTransaction", START)
            except InvalidStatus:
                return None
            except ConnectionClosed as closed:
                if closed.rcvd is None or closed.rcvd.code != CloseCode.TRY_AGAIN_LATER:
                    raise
                return None

        answer = await eventually(started)
        assert answer is not None
        assert answer["transactionId"] > 0
        north.program.resume()
        assert await old.closed() == 1008
        assert await south.value('ocpp_cp_connected{cp_id="CP1"}') == 1
    assert query(database, "SELECT count(*) FROM transactions") == [(1,)]


async def test_a_rolling_restart_under_load(database: str, nodes: list[WattspanServer]) -> None:
    async with load(*(node.url for node in nodes), chargers=CHARGERS, seed=2) as ledger:
        for node in nodes:
            await served(ledger)
            await node.stop()
            await served(ledger)
            await node.start()
        await served(ledger)
        await ledger.settle()
    assert_shown(await pages(nodes), ledger)
    assert_stored(database, ledger)
