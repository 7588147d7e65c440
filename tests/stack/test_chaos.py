"""Killed under load again and again: nothing acknowledged is lost or doubled (ADR 12, decisions 3 and 4)."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import httpx
import pytest

from stack.forking import Nursery, nursery
from stack.process import START_S, free_ports, running
from stack.resending import Ledger, assert_shown, assert_stored, load
from support.waiting import eventually

CHARGERS = 30
EARLY = 0.1
"""Share of the kills that hit a server before it serves."""
LIFE_S = 0.6
"""Longest life of a server, from its first answer on."""


@pytest.mark.chaos
@pytest.mark.timeout(3600)
async def test_a_server_killed_under_load_keeps_every_acknowledged_fact_once(
    tmp_path: Path, kills: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(0)
    port, metrics_port = free_ports(2)
    database = tmp_path / "fleet.db"
    command = (
        "serve",
        "--port",
        str(port),
        "--metrics-port",
        str(metrics_port),
        "--api-port",
        "0",
        "--database",
        str(database),
    )
    async with nursery(tmp_path) as servers:
        await servers.start(*command)
        async with load(f"ws://127.0.0.1:{port}", chargers=CHARGERS, seed=1) as ledger:
            for kill in range(1, kills + 1):
                await live(servers, ledger, rng)
                assert await servers.kill() == -9, f"it had ended by itself\n{servers.log.read_text()[-2000:]}"
                await servers.start(*command)
                if kill % 10 == 0:
                    with capsys.disabled():
                        sys.stdout.write(f"\n  {kill} kills, {ledger.acknowledged} messages acknowledged ")
                        sys.stdout.flush()
            await ledger.settle()
        assert_shown(await page(metrics_port), ledger)
        assert await servers.kill() == -9
        log = servers.log.read_text()
    assert ledger.repeated >= kills * (1 - EARLY) / 2, "the kills hit nobody"
    assert "Traceback" not in log, log[-5000:]
    assert_stored(database, ledger)

    # Before any charger is back, and as anybody starts it.
    async with running("wattspan", [sys.executable, "-m", "wattspan", *command], folder=tmp_path) as program:
        await program.until(lambda: is_ready(metrics_port), "ready")
        assert_shown(await page(metrics_port), ledger)
        assert await program.stop() == 0
    assert_stored(database, ledger)


async def live(servers: Nursery, ledger: Ledger, rng: random.Random) -> None:
    """Let the server live for a while; now and then not even until it serves."""
    if rng.random() < EARLY:
        await asyncio.sleep(rng.random() * LIFE_S / 2)
    else:
        await served(servers, ledger)
        await asyncio.sleep(rng.random() * LIFE_S)


async def served(servers: Nursery, ledger: Ledger) -> None:
    """Returns when chargers get answers."""
    before = ledger.acknowledged
    try:
        await eventually(lambda: ledger.acknowledged > before, within_s=START_S)
    except AssertionError as exc:
        exc.add_note(servers.log.read_text()[-2000:])
        raise


async def is_ready(metrics_port: int) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            return (await client.get(f"http://127.0.0.1:{metrics_port}/readyz")).status_code == 200
        except httpx.TransportError:
            return False


async def page(metrics_port: int) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://127.0.0.1:{metrics_port}/metrics")).raise_for_status().text
