"""Two nodes whose clocks are six minutes apart: sessions, orders and durations are as if they were not.

Redis is not there, so that nothing is carried by notices.
"""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta

import pytest

from support.central import Csms
from support.chargers import BOOT, START, energy, meter_values, stop
from support.databases import query
from wattspan.domain.orphans import ORPHANED

NO_REDIS = "redis://127.0.0.1:1/0"
AHEAD_S = {"north": 180.0, "south": -180.0}


@asynccontextmanager
async def running(folder, url, **settings) -> AsyncIterator[list[Csms]]:
    async with AsyncExitStack() as stack:
        nodes = []
        for name, ahead_s in AHEAD_S.items():
            node = Csms(
                folder / name / "fleet.db",
                url=url,
                redis=NO_REDIS,
                node_name=name,
                drain_s=0,
                admin_password="correct horse battery",
                clock_ns=lambda ahead_ns=int(ahead_s * 1e9): time.time_ns() + ahead_ns,
                **settings,
            )
            await node.start()
            node.first_password = "correct horse battery"
            stack.push_async_callback(node.stop)
            nodes.append(node)
        yield nodes


@pytest.fixture
async def nodes(postgres, tmp_path) -> AsyncIterator[list[Csms]]:
    async with running(tmp_path, postgres.empty()) as both:
        yield both


def rows(node: Csms, sql: str) -> list[tuple]:
    return query(node.store.name, sql)


async def test_a_session_over_both_takes_as_long_as_it_took(nodes):
    """Either way: it neither ends before it began nor lasts six minutes."""
    for number, (first, second) in enumerate((nodes, nodes[::-1])):
        cp_id = f"CP{number}"
        async with first.charger(cp_id) as charger:
            tx = (await charger.call("StartTransaction", START))["transactionId"]
            await charger.call("MeterValues", meter_values(tx, energy(2000)))
        async with second.charger(cp_id) as charger:
            await charger.call("MeterValues", meter_values(tx, energy(3000)))
            await charger.call("StopTransaction", stop(tx))
        await second.durable()
        times = f"SELECT stopped_received_ts - started_received_ts FROM transactions WHERE cp_id = '{cp_id}'"  # noqa: S608
        ((took_s,),) = rows(first, times)
        assert -1 < took_s < 60
    registers = "SELECT cp_id, register_wh, received_ts FROM meter_readings ORDER BY id"
    read = [each for each in rows(nodes[0], registers) if each[1] in (2000, 3000)]
    assert read == sorted(read, key=lambda each: each[2]), "in the order of arrival"


async def test_a_start_on_another_node_closes_what_was_open_on_the_connector(nodes):
    for number, (first, second) in enumerate((nodes, nodes[::-1])):
        async with first.charger(f"CP{number}") as charger:
            await charger.call("StartTransaction", START)
        async with second.charger(f"CP{number}") as charger:
            await charger.call("StartTransaction", START | {"meterStart": 2000, "timestamp": "2026-07-01T13:00:00Z"})
        await second.durable()
        ended = f"SELECT reason FROM transactions WHERE cp_id = 'CP{number}' ORDER BY number"  # noqa: S608
        assert [reason for (reason,) in rows(first, ended)].count(ORPHANED) == 1


async def test_chargers_are_told_one_time(nodes):
    told = []
    for node in nodes:
        async with node.charger("CP1") as charger:
            told.append(datetime.fromisoformat((await charger.call("BootNotification", BOOT))["currentTime"]))
    assert abs(told[0] - told[1]) < timedelta(minutes=1)


async def test_each_node_reports_how_far_its_clock_is_off(nodes):
    off = [await node.metric("ocpp_central_clock_difference_seconds") for node in nodes]
    assert [round(each or 0.0, -1) for each in off] == list(AHEAD_S.values())


@pytest.mark.parametrize("ago_s", [0, 300])
async def test_who_waits_and_is_registered_by_another_machine_may_come_in(postgres, tmp_path, ago_s):
    """Whatever the time is there."""
    url = postgres.empty()
    async with running(tmp_path, url, unknown_charge_points="pending") as (north, _), north.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        columns, ts = "cp_id, known_since_ts, registered_ts", time.time() - ago_s
        query(url, f"INSERT INTO charge_points ({columns}) VALUES ('CP1', {ts}, {ts})")  # noqa: S608
        assert await charger.closed() == 1012
