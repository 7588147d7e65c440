"""Nodes of a cluster on one database: owners and epochs, the fence, adoption, leases and numbers."""

import asyncio
from dataclasses import dataclass

import psycopg
import pytest

from support import databases
from support.fleet_events import NOW, connected, metered, started, stopped
from support.sites import Site, opened
from wattspan.cluster.clock import NodeClock
from wattspan.cluster.membership import HEARTBEAT_S
from wattspan.cluster.node import ClusterNode
from wattspan.cluster.ownership import MISSED_S
from wattspan.domain import events as ev
from wattspan.errors import StoreUnavailable
from wattspan.store.queries import nodes as node_queries
from wattspan.store.queries.nodes import LEASE_S, Orphan


@pytest.fixture
def database(postgres):
    return postgres.empty()


@dataclass
class Node:
    """A node without a gateway: what it would close is in `closed`."""

    site: Site
    node: ClusterNode
    closed: list[str]
    tasks: set

    @property
    def ownership(self):
        return self.node.ownership

    @property
    def fleet(self):
        return self.site.fleet

    async def take(self, cp_id="CP1"):
        await self.ownership.take(cp_id)

    async def stop(self):
        for task in list(self.tasks):
            await task
        await self.site.end()


async def make_node(url: str, name: str) -> Node:
    site = await opened(url, node=name)
    await site.store.claim()
    tasks: set = set()

    def spawn(work):
        task = asyncio.ensure_future(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def record(events):
        site.apply(*events)
        site.journal.commit()

    node = ClusterNode(
        site.store,
        site.fleet,
        site.counters,
        site.journal,
        record=record,
        spawn=spawn,
        clock=NodeClock(lambda: int(NOW * 1e9)),
    )
    made = Node(site, node, [], tasks)
    node.ownership.close_connection = made.closed.append
    node.membership._monotonic = node.ownership._monotonic = site.clock
    await node.start()
    return made


@pytest.fixture
async def nodes(database):
    made = [await make_node(database, name) for name in ("north", "south")]
    yield made
    for node in made:
        await node.stop()


def owners(database):
    return databases.query(database, "SELECT cp_id, owner, owner_epoch FROM charge_points ORDER BY cp_id")


def boots(cp_id="CP1"):
    return ev.ChargePointBooted(cp_id=cp_id, received_ts=NOW, vendor="V", model="M", serial_number="", firmware="")


# taking


async def test_a_charge_point_is_taken_with_what_its_owner_committed_last(nodes, database):
    north, south = nodes
    await north.take()
    north.site.apply(connected(), boots(), started(), metered(1500.0, NOW))
    assert await north.site.commit() is None
    await south.take()
    cp = south.fleet.charge_points["CP1"]
    assert (cp.boots, cp.connectors["1"].transaction.meter.energy_wh) == (1, 500.0)
    assert owners(database) == [("CP1", "south", 2)]
    assert south.site.counters.node.takeovers == 1


async def test_a_charge_point_that_this_node_owns_is_not_read_again(nodes, database):
    north, _ = nodes
    await north.take()
    before = north.fleet.charge_points["CP1"]
    await north.ownership.take("CP1", ("north", 1))
    assert north.fleet.charge_points["CP1"] is before
    assert owners(database) == [("CP1", "north", 1)]


async def test_many_are_taken_in_few_transactions(nodes, database, monkeypatch):
    north, _ = nodes
    calls = []
    take = north.site.store.take

    async def counted(wanted, *, creates=True):
        calls.append(len(wanted))
        return await take(wanted, creates=creates)

    monkeypatch.setattr(north.site.store, "take", counted)
    await asyncio.gather(*(north.take(f"CP{number:03}") for number in range(300)))
    assert len(owners(database)) == 300
    assert len(calls) <= 12


async def test_the_disconnect_of_a_predecessor_counts_once_however_often_it_is_taken(nodes):
    north, south = nodes
    await north.take()
    north.site.apply(connected())
    north.fleet.changes.charge_points["CP1"] = north.fleet.charge_points["CP1"]
    assert await north.site.commit() is None
    await south.take()
    south.site.apply(connected())
    assert await south.site.commit() is None
    assert south.fleet.charge_points["CP1"].disconnects == 1
    south.site.apply(ev.ChargePointDisconnected(cp_id="CP1", received_ts=NOW, code=1000, replaced=False))
    assert await south.site.commit() is None
    await north.take()
    assert north.fleet.charge_points["CP1"].disconnects == 2


async def test_a_locked_row_does_not_hold_up_the_others(nodes, database, monkeypatch):
    north, south = nodes
    await north.take("CP1")
    monkeypatch.setattr("wattspan.cluster.ownership.TAKE_S", 0.2)
    with psycopg.connect(database) as holder:
        holder.execute("SELECT * FROM charge_points WHERE cp_id = 'CP1' FOR NO KEY UPDATE")
        late = asyncio.ensure_future(south.take("CP1"))
        await south.take("CP2")
        with pytest.raises(StoreUnavailable, match="locked by another node"):
            await late
    await south.take("CP1")
    assert owners(database) == [("CP1", "south", 2), ("CP2", "south", 1)]


# the fence


async def test_a_batch_leaves_out_what_another_node_owns_and_writes_the_rest(nodes, database):
    north, south = nodes
    await north.take("CP1")
    await north.take("CP2")
    north.site.apply(connected(), connected(cp_id="CP2"))
    assert await north.site.commit() is None
    await south.take("CP1")
    north.site.apply(started(), boots("CP2"))
    told = []

    def answered(_fault):
        told.append(list(north.closed))

    north.site.journal.commit(answered)
    assert await north.site.commit() is None
    assert told == [["CP1"]]  # the connection was closed before anybody was answered
    assert databases.query(database, "SELECT count(*) FROM transactions") == [(0,)]
    assert databases.query(database, "SELECT boots FROM charge_points WHERE cp_id = 'CP2'") == [(1,)]
    assert "CP1" not in north.fleet.charge_points
    assert north.ownership.owns("CP2")
    assert north.site.counters.node.fenced_writes == 1


async def test_rows_of_an_older_epoch_are_left_out_after_it_was_taken_back(nodes, database):
    north, south = nodes
    await north.take()
    assert await north.site.commit() is None
    north.site.journal.close()  # so that nothing writes the boot before
    north.site.apply(boots())
    await south.take()
    await north.take()  # before the boot was written: it belongs to the first epoch and its connection
    assert await north.site.commit() is None
    assert north.fleet.charge_points["CP1"].boots == 0
    north.site.apply(boots())
    assert await north.site.commit() is None
    assert databases.query(database, "SELECT owner_epoch, boots FROM charge_points") == [(3, 1)]


async def test_what_a_charge_point_left_behind_is_not_written_under_the_next_epoch(nodes, database):
    north, south = nodes
    await north.take()
    north.site.apply(connected(), started())
    assert await north.site.commit() is None
    await south.take()
    south.site.apply(metered(2000.0, NOW), stopped(meter_stop_wh=2000.0))
    assert await south.site.commit() is None
    await north.take()
    cp = north.fleet.charge_points["CP1"]
    assert (cp.transactions, cp.energy_total_wh, cp.tx_total) == ({}, 1000.0, 1)


# leases and adoption


async def judge(node, *, after_s):
    """Let `after_s` seconds of a node's life pass, with heartbeats, and let it look for what to adopt."""
    for _ in range(int(after_s / HEARTBEAT_S) + 1):
        await node.node.membership.heartbeat()
        node.site.clock.now += HEARTBEAT_S
    await node.node.membership.heartbeat()
    await node.node.membership.look()


def age(database, name, seconds):
    """Make a node's last heartbeat older."""
    databases.query(database, f"UPDATE nodes SET heartbeat_ts = heartbeat_ts - {seconds} WHERE name = '{name}'")  # noqa: S608


async def test_the_living_adopt_what_a_dead_node_owned(nodes, database):
    north, south = nodes
    await asyncio.gather(*(north.take(f"CP{number}") for number in range(5)))
    north.site.apply(connected(cp_id="CP1"))
    north.fleet.changes.charge_points["CP1"] = north.fleet.charge_points["CP1"]
    assert await north.site.commit() is None
    age(database, "north", LEASE_S)
    await judge(south, after_s=LEASE_S)
    assert await south.site.commit() is None
    assert {owner for _, owner, _ in owners(database)} == {"south"}
    assert south.fleet.charge_points["CP1"].disconnects == 1
    assert south.fleet.charge_points["CP2"].disconnects == 0
    await north.ownership.verify()
    assert north.ownership.epochs == {}
    assert sorted(north.closed) == [f"CP{number}" for number in range(5)]


async def test_after_an_outage_nobody_is_dead_before_a_whole_lease(nodes, database):
    north, south = nodes
    await north.take()
    south.site.clock.now += 100  # PostgreSQL was away
    age(database, "north", 100)
    await south.node.membership.heartbeat()
    await south.node.membership.look()
    assert owners(database) == [("CP1", "north", 1)]
    await judge(south, after_s=LEASE_S)
    assert owners(database) == [("CP1", "south", 2)]


async def test_a_node_that_stopped_is_adopted_from_at_once(nodes, database):
    north, south = nodes
    await north.take()
    await north.node.stop()
    await south.node.membership.look()
    assert owners(database) == [("CP1", "south", 2)]


async def test_one_that_was_taken_meanwhile_is_not_adopted(nodes, database):
    north, south = nodes
    await north.take()
    await north.take("CP2")
    assert await south.ownership.adopt([Orphan("CP1", "north", 0), Orphan("CP2", "north", 1)]) == 1
    assert owners(database) == [("CP1", "north", 1), ("CP2", "south", 2)]


async def test_each_orphan_has_one_heir_and_a_node_more_moves_few():
    names = [f"CP{number}" for number in range(1000)]
    two = {cp_id: node_queries.heir(cp_id, ["a", "b"]) for cp_id in names}
    three = {cp_id: node_queries.heir(cp_id, ["c", "b", "a"]) for cp_id in names}
    assert all(three[cp_id] in (two[cp_id], "c") for cp_id in names)
    assert 250 < list(three.values()).count("c") < 420


async def test_a_charge_point_that_was_registered_beside_the_nodes_is_adopted(nodes, database):
    _, south = nodes
    await south.site.store.add_charge_point("CP1", None)
    for node in nodes:
        await node.node.membership.look()
        await node.node.membership.look()
    ((_, owner, _),) = owners(database)
    assert owner in ("north", "south")


async def test_a_node_that_starts_again_has_its_charge_points_under_new_epochs(nodes, database):
    north, _ = nodes
    await north.take()
    north.site.apply(connected(), started(), metered(1500.0, NOW))
    assert await north.site.commit() is None
    await north.stop()
    nodes[0] = again = await make_node(database, "north")
    assert again.fleet.charge_points["CP1"].connectors["1"].transaction.meter.energy_wh == 500.0
    assert again.ownership.epochs == {"CP1": 2}


async def test_a_node_that_was_killed_recognises_a_repeat_of_what_it_stored_last(nodes, database):
    """The figures of the last second before a kill are in the readings only, until the node has all of them again."""
    north, _ = nodes
    await north.take()
    north.site.journal.close()  # so that no figure is written before the kill
    north.site.apply(connected(), started())
    assert await north.site.commit() is None
    for minute in range(2):
        north.site.apply(metered(1500.0 + minute, NOW + minute))
        assert await north.site.commit() is None
    await north.stop()  # the answer to the last one is lost
    nodes[0] = again = await make_node(database, "north")
    assert again.fleet.charge_points["CP1"].connectors["1"].transaction.meter.energy_wh == 501.0
    again.site.apply(metered(1501.0, NOW + 1))
    assert await again.site.commit() is None
    assert databases.query(database, "SELECT count(*) FROM meter_readings") == [(2,)]


async def test_a_taking_whose_confirmation_was_lost_is_repeated(nodes, database):
    north, _ = nodes
    await north.site.store.take({"CP1": None})
    north.ownership._takes_begun += 1
    await north.ownership.verify()
    assert not north.ownership.owns("CP1")  # perhaps it is on its way
    north.site.clock.now += MISSED_S
    await north.ownership.verify()
    assert north.ownership.epochs == {"CP1": 2}
    assert "CP1" in north.fleet.charge_points


# numbers


async def test_numbers_of_two_nodes_differ_and_go_on_without_the_database(nodes):
    north, south = nodes
    taken = [node.fleet.next_number() for _ in range(3000) for node in nodes]
    assert len(set(taken)) == len(taken)
    ids = [node.fleet.next_transaction_id() for _ in range(3000) for node in nodes]
    assert len(set(ids)) == len(ids)
    while north.tasks or south.tasks:
        await asyncio.gather(*north.tasks, *south.tasks)
    assert north.node.ids.blocks.numbers.left > 64


async def test_a_server_alone_goes_on_where_nodes_ended_and_nodes_where_it_ended(nodes, database):
    north, south = nodes
    await north.take("CP1")
    await south.take("CP2")
    for node, cp_id in ((north, "CP1"), (south, "CP2")):
        node.site.apply(connected(cp_id=cp_id), started(cp_id=cp_id), metered(1500.0, NOW, cp_id=cp_id))
        assert await node.site.commit() is None
        await node.stop()
    nodes.clear()
    alone = await opened(database)
    await alone.store.claim()
    alone.fleet.charge_points.clear()
    await alone.store.restore(alone.fleet)
    energies = [cp.connectors["1"].transaction.meter.energy_wh for cp in alone.fleet.charge_points.values()]
    assert energies == [500.0, 500.0]
    numbers = [number for (number,) in databases.query(database, "SELECT number FROM transactions")]
    assert alone.fleet.next_number() > max(numbers)
    assert owners(database) == [("CP1", None, 2), ("CP2", None, 2)]
    alone.apply(metered(1800.0, NOW + 1))
    assert await alone.commit() is None
    await alone.end()
    nodes.append(await make_node(database, "north"))
    await nodes[0].node.membership.look()
    cp = nodes[0].fleet.charge_points["CP1"]
    assert cp.connectors["1"].transaction.meter.energy_wh == 800.0
