"""Work at the end of telemetry that takes longer than it may."""

import asyncio
import threading

import pytest

from support.waiting import WITHIN_S
from wattspan.telemetry import shutdown


async def test_work_that_ends_after_its_time_out_leaves_the_event_loop_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop may be closed by then, or just be closing, which uvloop does not survive."""
    may_end, settled = threading.Event(), list[object]()
    monkeypatch.setattr(shutdown, "_settle", settled.append)
    assert await shutdown.in_threads({"logs": lambda: may_end.wait(WITHIN_S)}, 0.01) == {"logs"}
    may_end.set()
    for thread in threading.enumerate():
        if thread.name == "wattspan-telemetry-shutdown":
            await asyncio.to_thread(thread.join)
    await asyncio.sleep(0)
    assert settled == []
