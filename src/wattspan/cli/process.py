"""Runs a command until it ends or a signal arrives. Ctrl-C and SIGTERM end it cleanly, with exit code 0."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

SWITCH_INTERVAL_S = 0.0005
"""How long a thread keeps the interpreter while another one waits for it. The store's writer needs it several times a
batch: with Python's default of 5 ms, all answers of the batch would wait for each of them."""

GC_THRESHOLDS = (20_000, 2, 1_000)
"""Garbage collection: allocations before a collection of the young objects, and how often the older are included.

A message leaves no garbage, and a collection stops everything: 20 ms for 20,000 objects, nearly a second for all
objects of a large fleet.
"""


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run `main(stop)` on uvloop. SIGINT and SIGTERM set `stop`; a second signal cancels `main`."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    uvloop.run(_run_with_signals(main))


def tune_garbage_collection() -> None:
    """Exclude all objects that exist now from garbage collection, and collect less often from here on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def _run_with_signals(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main(stop))

    def on_signal() -> None:
        if stop.is_set():
            task.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        await task
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
