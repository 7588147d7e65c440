"""Two nodes of one fleet on a real PostgreSQL, in one process. Redis is not there: nothing here needs it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest
from click.testing import CliRunner
from websockets.exceptions import ConnectionClosed

from support.central import Csms
from support.chargers import START, energy, meter_values, stop
from support.databases import query
from support.waiting import eventually
from wattspan.cli.main import main as wattspan

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
NO_REDIS = "redis://127.0.0.1:1/0"


@pytest.fixture
async def nodes(postgres, tmp_path) -> AsyncIterator[list[Csms]]:
    url = postgres.empty()
    nodes = [
        Csms(tmp_path / name / "fleet.db", url=url, redis=NO_REDIS, node_name=name, drain_s=0, store_hold_s=30)
        for name in ("north", "south")
    ]
    for node in nodes:
        await node.start()
    yield nodes
    for node in nodes:
        await node.stop()


def rows(node: Csms, sql: str) -> list[tuple]:
    return query(node.store.name, sql)


async def test_a_charger_goes_on_at_another_node_with_its_session_and_counters(nodes):
    north, south = nodes
    async with north.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        tx = (await charger.call("StartTransaction", START))["transactionId"]
        await charger.call("MeterValues", meter_values(tx, energy(3000)))
        async with south.charger("CP1") as again:
            assert (await again.call("StartTransaction", START))["transactionId"] == tx
            assert await south.metric("ocpp_tx_energy_wh", cp_id="CP1", connector_id="1") == 3000 - START["meterStart"]
            assert await again.call("StopTransaction", stop(tx)) == {}
            assert await south.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500
            assert await south.metric("ocpp_cp_disconnects_total", cp_id="CP1") == 1
            assert await south.metric("ocpp_cp_boots_total", cp_id="CP1") == 1
            with suppress(ConnectionClosed):  # the node may have found out before
                await charger.send(
                    "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
                )
            assert await charger.closed() == 1008
            await north.becomes(None, "ocpp_cp_connected", cp_id="CP1")
    assert rows(south, "SELECT owner, owner_epoch, tx_total FROM charge_points") == [("south", 2, 1)]


async def test_the_node_that_lost_a_charge_point_writes_nothing_of_it_and_does_not_answer(nodes):
    north, south = nodes
    async with north.charger("CP1") as old, south.charger("CP1") as new:
        await new.call("Heartbeat")
        with suppress(ConnectionClosed):  # the node may have found out before
            await old.send("StartTransaction", START)
        assert await old.closed() == 1008
        assert old.unread == []
        await north.durable()
        assert rows(north, "SELECT count(*) FROM transactions") == [(0,)]
        assert (await new.call("StartTransaction", START))["transactionId"] > 0
    assert rows(north, "SELECT count(*) FROM transactions") == [(1,)]


async def test_two_nodes_number_their_transactions_apart(nodes):
    ids = set()
    for number, node in enumerate(nodes * 3):
        async with node.charger(f"CP{number}") as charger:
            ids.add((await charger.call("StartTransaction", START))["transactionId"])
    assert len(ids) == 6
    assert len(rows(nodes[0], "SELECT DISTINCT number FROM transactions")) == 6


async def test_charge_points_of_a_node_that_stops_are_adopted_with_their_figures(nodes):
    north, south = nodes
    async with north.charger("CP1") as charger:
        tx = (await charger.call("StartTransaction", START))["transactionId"]
        await charger.call("MeterValues", meter_values(tx, energy(3000)))
    await north.becomes(0, "ocpp_cp_connected", cp_id="CP1")
    await north.stop()

    async def adopted() -> bool:
        return await south.metric("ocpp_cp_connected", cp_id="CP1") == 0

    await eventually(adopted)
    assert await south.metric("ocpp_tx_active", cp_id="CP1", connector_id="1") == 1
    assert await south.metric("ocpp_cp_disconnects_total", cp_id="CP1") == 1
    await north.start()


async def test_two_nodes_of_one_name_and_a_server_alone_are_refused(nodes, tmp_path, monkeypatch):
    monkeypatch.setattr("wattspan.store.advisory_lock.TAKE_S", 0.05)
    url = nodes[0].store.name
    with pytest.raises(Exception, match="another node of the name north"):
        await Csms(tmp_path / "other.db", url=url, redis=NO_REDIS, node_name="north").start()
    with pytest.raises(Exception, match="in use by another Wattspan server"):
        await Csms(tmp_path / "other.db", url=url).start()


async def test_a_charger_that_flaps_between_nodes_has_one_owner_and_exact_counters(nodes):
    for turn in range(20):
        node = nodes[turn % 2]
        async with node.charger("CP1") as charger:
            async with asyncio.timeout(10):
                await charger.call("BootNotification", BOOT)
    owner = nodes[1]
    await owner.becomes(0, "ocpp_cp_connected", cp_id="CP1")
    assert await owner.metric("ocpp_cp_boots_total", cp_id="CP1") == 20
    assert await owner.metric("ocpp_cp_disconnects_total", cp_id="CP1") == 20


async def test_a_node_that_stops_closes_its_chargers_one_after_another(postgres, tmp_path):
    node = Csms(tmp_path / "fleet.db", url=postgres.empty(), redis=NO_REDIS, node_name="north", drain_s=0.5)
    await node.start()
    gateway, begun_s = node.central._gateway, []
    end = gateway._end

    def noted(live):
        """The chargers themselves may read two closes at one time."""
        begun_s.append(time.monotonic())
        return end(live)

    gateway._end = noted

    async def serve(number: int) -> None:
        async with node.charger(f"CP{number}") as charger:
            await charger.call("Heartbeat")
            connected.release()
            assert await charger.closed() == 1001

    connected = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as chargers:
        for number in range(5):
            chargers.create_task(serve(number))
        for _ in range(5):
            await connected.acquire()
        await node.stop()
    assert max(begun_s) - min(begun_s) >= 0.35


async def test_the_page_of_a_node_whose_lease_ended_has_no_charge_points_until_postgresql_has_taken_a_heartbeat(nodes):
    north, _ = nodes
    async with north.charger("CP1") as charger:
        await charger.call("Heartbeat")
        assert await north.metric("ocpp_cp_connected", cp_id="CP1") == 1
        assert await north.metric("ocpp_central_owned_charge_points") == 1
        await north.becomes(2, "ocpp_central_nodes")
        node = north.central._node
        node.membership.give_up_lease()
        assert node.membership.is_fresh is False
        assert list(north.central.telemetry.reader._state.charge_points()) == []
        assert await north.metric("ocpp_cp_connected", cp_id="CP1") == 1
        assert node.membership.is_fresh


async def test_what_the_page_shows_is_in_the_database(nodes):
    north, _ = nodes
    async with north.charger("CP1") as charger:
        for number in range(5):
            await charger.call("Authorize", {"idTag": f"tag {number}"})
            shown = await north.counts("ocpp_cp_authorizations_total", "status", cp_id="CP1")
            counters = rows(north, "SELECT counters::json -> 'authorizations' FROM charge_points")
            assert counters == [(shown,)]


async def test_the_nodes_are_listed_on_the_command_line(nodes):
    north, _ = nodes
    async with north.charger("CP1") as charger:
        await charger.call("Heartbeat")
        listed = await asyncio.to_thread(
            CliRunner().invoke, wattspan, ["node", "list", "--json", "--database", north.store.name]
        )
    found = [json.loads(line) for line in listed.output.splitlines()]
    assert [(node["name"], node["alive"], node["charge_points"]) for node in found] == [
        ("north", True, 1),
        ("south", True, 0),
    ]
    assert found[0]["metrics_url"].endswith(f":{north.central.metrics_port}/metrics")
    refused = await asyncio.to_thread(CliRunner().invoke, wattspan, ["node", "list", "--database", "fleet.db"])
    assert "only a PostgreSQL database has nodes" in refused.output


async def test_after_an_outage_of_postgresql_both_nodes_go_on_and_nobody_was_adopted(nodes, postgres):
    async with nodes[0].charger("CP1") as first, nodes[1].charger("CP2") as second:
        for charger in (first, second):
            await charger.call("BootNotification", BOOT)
        await asyncio.to_thread(postgres.stop)
        try:
            for charger in (first, second):
                await charger.send("StartTransaction", START)
                assert await charger.closed() == 1013
                assert charger.unread == []
        finally:
            await asyncio.to_thread(postgres.start)
    for node, cp_id in zip(nodes, ("CP1", "CP2"), strict=True):
        await node.central._core.settled()
        async with node.charger(cp_id) as charger:
            assert (await charger.call("StartTransaction", START))["transactionId"] > 0
            await node.becomes(1, "ocpp_cp_connected", cp_id=cp_id)
        assert await node.metric("ocpp_central_adoptions_total") == 0
        await node.becomes(0, "ocpp_cp_connected", cp_id=cp_id)
    owners = rows(nodes[0], "SELECT owner, disconnects FROM charge_points ORDER BY cp_id")
    assert owners == [("north", 2), ("south", 2)]
    assert rows(nodes[0], "SELECT count(*) FROM transactions") == [(2,)]


async def test_an_owner_that_is_asked_first_writes_everything_and_its_disconnect_counts_once(nodes):
    north, south = nodes
    owner = north.central._node.ownership
    asked = []

    async def ask(cp_id: str, name: str) -> None:
        asked.append((cp_id, name))
        await owner.release(cp_id)

    south.central._node.ownership.ask_release = ask
    south.central._node.ownership.announce_taken = lambda cp_id, _former, epoch: owner.taken(cp_id, epoch)
    async with north.charger("CP1") as old:
        for _ in range(3):
            await old.call("Authorize", {"idTag": "TAG"})  # counted, and not written yet
        async with south.charger("CP1") as new:
            await new.call("Heartbeat")
            assert asked == [("CP1", "north")]
            assert await old.closed() == 1008
            assert not owner.owns("CP1")
            assert await north.metric("ocpp_cp_connected", cp_id="CP1") is None
            assert await south.counts("ocpp_cp_authorizations_total", "status", cp_id="CP1") == {"Accepted": 3}
            assert await south.metric("ocpp_cp_connected", cp_id="CP1") == 1
            assert await south.metric("ocpp_cp_disconnects_total", cp_id="CP1") == 1
            assert await south.metric("ocpp_central_takeovers_total") == 1


async def test_a_charger_that_flaps_without_closing_its_connections_is_connected_once(nodes):
    async with AsyncExitStack() as stack:
        for turn in range(20):
            charger = await stack.enter_async_context(nodes[turn % 2].charger("CP1"))
            await charger.call("BootNotification", BOOT)
        north, south = nodes
        await north.becomes(None, "ocpp_cp_connected", cp_id="CP1")
        assert await south.metric("ocpp_cp_connected", cp_id="CP1") == 1
        assert await south.metric("ocpp_cp_boots_total", cp_id="CP1") == 20
        assert await south.metric("ocpp_cp_disconnects_total", cp_id="CP1") == 19
