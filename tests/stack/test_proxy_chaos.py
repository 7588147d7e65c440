"""The proxy killed under load: no message is altered, reordered or doubled, by the checksums of both ends."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import pytest

from stack.checksums import Ends, checked_ends
from stack.process import START_S, free_ports
from stack.wattspan_proxy import WattspanProxy
from support.waiting import eventually

CHARGERS = 8
LIFE_S = 1.0
MOST_KILLS = 20
"""Each start takes seconds; the server's own chaos test kills a hundred times."""


@pytest.mark.chaos
@pytest.mark.timeout(1800)
async def test_a_proxy_killed_under_load_harms_no_message(
    tmp_path: Path, kills: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(0)
    (port,) = free_ports(1)
    async with checked_ends(port, CHARGERS) as ends:
        upstream = f"ws://127.0.0.1:{ends.port}/{{cp_id}}"
        async with WattspanProxy.run(tmp_path, upstream, "--port", str(port)) as proxy:
            for kill in range(1, min(kills, MOST_KILLS) + 1):
                await relayed(ends, 1_000)
                await asyncio.sleep(rng.random() * LIFE_S)
                await proxy.kill()
                ends.assert_unharmed()
                await proxy.start()
                with capsys.disabled():
                    sys.stdout.write(f"\n  {kill} kills, {ends.received} messages relayed ")
                    sys.stdout.flush()
            await proxy.program.stop()
        ends.assert_unharmed()
    assert ends.received > 1_000 * min(kills, MOST_KILLS)


async def relayed(ends: Ends, count: int) -> None:
    """Return when so many more messages were relayed."""
    enough = ends.received + count
    await eventually(lambda: ends.received > enough, within_s=START_S)
