"""The wait of a server that starts for its database server."""

import asyncio

import pytest

from support.waiting import eventually
from wattspan.errors import StoreUnusable
from wattspan.store.reachable import wait_until_reachable

GONE = "postgresql://me:topsecret@127.0.0.1:1/fleet"
AT_ONCE = (0.01,)


async def test_a_database_that_takes_connections_is_not_waited_for(postgres, tmp_path):
    assert await wait_until_reachable(postgres.empty(), asyncio.Event())
    assert await wait_until_reachable(str(tmp_path / "fleet.db"), asyncio.Event())


async def test_each_attempt_that_fails_is_logged_until_the_server_is_stopped(caplog):
    stop = asyncio.Event()
    waiting = asyncio.ensure_future(wait_until_reachable(GONE, stop, AT_ONCE))
    await eventually(lambda: len(caplog.records) > 1)
    stop.set()
    assert await waiting is False
    assert "waiting for the database, next attempt in 0.01 s: database postgresql://me:***@127.0.0.1:1/" in caplog.text


async def test_what_waiting_does_not_change_is_an_error_at_once(postgres):
    host = postgres.empty().rpartition("/")[0]
    with pytest.raises(StoreUnusable, match="create it"):
        await wait_until_reachable(f"{host}/nowhere", asyncio.Event())
