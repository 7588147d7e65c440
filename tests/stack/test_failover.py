"""PostgreSQL fails over to a synchronous standby at another address, under load: nothing acknowledged is lost.

Both are real PostgreSQL servers, and each node has one URL with both addresses. Redis is not reachable, so that
PostgreSQL alone keeps order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from stack.process import START_S, eventually
from stack.resending import assert_shown, assert_stored, load
from stack.test_cluster import NO_REDIS, pages, served
from stack.wattspan_server import WattspanServer
from support.ports import LOOPBACK
from support.postgres import USER, PostgresServer

CHARGERS = 20


@pytest.fixture
def primary() -> Iterator[PostgresServer]:
    with PostgresServer.run() as server:
        yield server


@pytest.fixture
async def standby(primary: PostgresServer) -> AsyncIterator[PostgresServer]:
    primary.create()
    with primary.standby() as server:

        async def followed() -> bool:
            return primary.is_followed()

        await eventually(followed, within_s=START_S)
        yield server


def either(primary: PostgresServer, standby: PostgresServer) -> str:
    """The URL that leads to the one of both that takes writes, as docs/scaling.md has it."""
    hosts = "&".join(f"host={LOOPBACK}:{each.port}" for each in (primary, standby))
    return f"postgresql://{USER}@/fleet_1?{hosts}&target_session_attrs=read-write"


async def test_a_fail_over_to_a_synchronous_standby_loses_nothing_and_doubles_nothing(
    tmp_path: Path, primary: PostgresServer, standby: PostgresServer
) -> None:
    async with AsyncExitStack() as stack:
        nodes = []
        for name in ("north", "south"):
            (tmp_path / name).mkdir()
            options = ["--database", either(primary, standby), "--redis", NO_REDIS, "--node-name", name]
            nodes.append(await stack.enter_async_context(WattspanServer.run(tmp_path / name, options=options)))
        async with load(*(node.url for node in nodes), chargers=CHARGERS, seed=5) as ledger:
            await served(ledger)
            await asyncio.to_thread(primary.stop, mode="immediate")
            await asyncio.to_thread(standby.promote)
            await served(ledger)
            await ledger.settle()
        assert_shown(await pages(nodes), ledger)
        assert_stored(standby.url("fleet_1"), ledger)
