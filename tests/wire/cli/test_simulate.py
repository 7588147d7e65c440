"""`wattspan simulate` reports a central system that is not there."""

import asyncio
import sys

START_S = 60.0
"""Far above what it takes; a busy machine is slow."""


async def test_simulate_against_a_closed_port_reports_it_and_exits_1(closed_port: int) -> None:
    url = f"ws://127.0.0.1:{closed_port}/ws"
    command = [sys.executable, "-m", "wattspan", "simulate", "--url", url, "--charge-points", "3"]
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(START_S):
            output, errors = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode == 1
    assert output == b""
    assert errors.decode() == f"Error: cannot connect to {url}: connection refused\n"
