"""SIGTERM and Ctrl-C under load: the server ends by itself, soon, with exit code 0, and keeps what it acknowledged."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from stack.process import START_S, STOP_S, free_ports, running
from stack.resending import assert_stored, load
from support.waiting import eventually

CHARGERS = 30
UNDER_WAY = 300


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
async def test_a_server_that_is_asked_to_stop_under_load_keeps_what_it_acknowledged(
    tmp_path: Path, asked: signal.Signals
) -> None:
    port, metrics_port = free_ports(2)
    database = tmp_path / "fleet.db"
    options = ("--port", str(port), "--metrics-port", str(metrics_port), "--api-port", "0", "--database", str(database))
    command = [sys.executable, "-m", "wattspan", "serve", *options]
    async with load(f"ws://127.0.0.1:{port}", chargers=CHARGERS, seed=2) as ledger:
        async with running("wattspan", command, folder=tmp_path) as program:
            await eventually(lambda: ledger.acknowledged > UNDER_WAY, within_s=START_S)
            program.child.send_signal(asked)
            async with asyncio.timeout(STOP_S):
                assert await program.child.wait() == 0
        acknowledged = ledger.acknowledged
        assert_stored(database, ledger, unacknowledged=True)
        assert "Traceback" not in program.log.read_text()
        async with running("wattspan", command, folder=tmp_path) as again:
            await eventually(lambda: ledger.acknowledged > acknowledged + UNDER_WAY, within_s=START_S)
            await ledger.settle()
            assert await again.stop() == 0
    assert_stored(database, ledger)
