"""On PostgreSQL under load: the server killed, the database stopped, crashed and hung. Nothing acknowledged is lost or
doubled (ADR 12, decisions 3 and 4)."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from stack.forking import nursery
from stack.process import START_S, Program, free_ports, running
from stack.resending import assert_shown, assert_stored, load
from stack.test_chaos import is_ready, page, served
from support.postgres import PostgresServer
from support.waiting import eventually

CHARGERS = 20
KILLS = 6
LIFE_S = 0.6


def serve(port: int, metrics_port: int, database: str) -> list[str]:
    """The command line of a server on these ports."""
    ports = ["--port", str(port), "--metrics-port", str(metrics_port), "--api-port", "0"]
    return ["serve", *ports, "--database", database]


async def test_a_server_killed_under_load_keeps_every_acknowledged_fact_once(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    rng = random.Random(0)
    port, metrics_port = free_ports(2)
    database = postgres.empty()
    command = serve(port, metrics_port, database)
    async with nursery(tmp_path) as servers:
        await servers.start(*command)
        async with load(f"ws://127.0.0.1:{port}", chargers=CHARGERS, seed=1) as ledger:
            for _ in range(KILLS):
                await served(servers, ledger)
                await asyncio.sleep(rng.random() * LIFE_S)
                assert await servers.kill() == -9, servers.log.read_text()[-2000:]
                await servers.start(*command)
            await ledger.settle()
        assert_shown(await page(metrics_port), ledger)
        assert await servers.kill() == -9
        # Before any charger is back.
        await servers.start(*command)
        await eventually(lambda: is_ready(metrics_port), within_s=START_S)
        assert_shown(await page(metrics_port), ledger)
    log = servers.log.read_text()
    assert ledger.repeated >= KILLS, "the kills hit nobody"
    assert "Traceback" not in log, log[-5000:]
    assert_stored(database, ledger)


Trouble = Callable[[PostgresServer], Awaitable[None]]


async def stopped(postgres: PostgresServer) -> None:
    """As for an upgrade: sessions end at once, the log is closed in good order."""
    await asyncio.to_thread(postgres.stop)
    await asyncio.to_thread(postgres.start)


async def crashed(postgres: PostgresServer) -> None:
    """As by a power cut: what was synced is recovered from the log."""
    await asyncio.to_thread(postgres.stop, mode="immediate")
    await asyncio.to_thread(postgres.start)


async def backends_killed(postgres: PostgresServer) -> None:
    """As by the kernel, short of memory: the server ends every session and recovers by itself."""
    # From the last time it may still be at it: an answer on its way then is no sign that it is through.
    await eventually(postgres.accepts, within_s=START_S)

    def sessions() -> list[tuple[int]]:
        return postgres.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'wattspan'")

    def killed() -> bool:
        with suppress(IndexError, ProcessLookupError):  # not back yet, or just gone again
            os.kill(random.Random(1).choice(sessions())[0], signal.SIGKILL)
            return True
        return False

    await eventually(killed, within_s=START_S)


async def hung(postgres: PostgresServer) -> None:
    """As on a stalled disk: sockets stay open, nothing is answered for a while."""
    pids = postgres.pids()
    postgres.signal(signal.SIGSTOP, pids)
    await asyncio.sleep(2)  # this is the trouble itself
    postgres.signal(signal.SIGCONT, pids)


@pytest.mark.parametrize("trouble", [stopped, crashed, backends_killed, hung])
async def test_a_database_in_trouble_under_load_costs_no_acknowledged_fact(
    tmp_path: Path, postgres: PostgresServer, trouble: Trouble
) -> None:
    port, metrics_port = free_ports(2)
    database = postgres.empty()
    command = serve(port, metrics_port, database)
    async with nursery(tmp_path) as servers:
        await servers.start(*command)
        async with load(f"ws://127.0.0.1:{port}", chargers=CHARGERS, seed=2) as ledger:
            for _ in range(2):
                await served(servers, ledger)
                await trouble(postgres)
            await served(servers, ledger)
            await ledger.settle()
        await eventually(lambda: is_ready(metrics_port), within_s=START_S)
        assert_shown(await page(metrics_port), ledger)
        assert await servers.kill() == -9
    log = servers.log.read_text()
    assert "Traceback" not in log, log[-5000:]
    assert_stored(database, ledger)


async def test_a_server_that_starts_before_its_database_waits_for_it(tmp_path: Path, postgres: PostgresServer) -> None:
    port, metrics_port = free_ports(2)
    command = [sys.executable, "-m", "wattspan", *serve(port, metrics_port, postgres.empty())]
    await asyncio.to_thread(postgres.stop)
    try:
        async with (
            running("early", command, folder=tmp_path) as early,
            running("late", command, folder=tmp_path) as late,
        ):
            for server in (early, late):
                await server.until(partial(_says, server, "waiting for the database"), "waiting")
            assert await early.stop() == 0
            await asyncio.to_thread(postgres.start)
            await late.until(partial(_says, late, "metrics  "), "serving")
            assert await is_ready(metrics_port)
            assert await late.stop() == 0
    finally:
        if not postgres.accepts():
            await asyncio.to_thread(postgres.start)


async def _says(server: Program, text: str) -> bool:
    return text in server.log.read_text()
