"""Runs a command until it ends or a signal arrives. Ctrl-C and SIGTERM end it cleanly, with exit code 0."""

import asyncio
import contextlib
import ctypes
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


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
MMAP_BYTES, TRIM_BYTES = 1 << 20, 8 << 20
"""Freed memory goes back to the system at once if a block is as large as the first, or this much is free at the end of
the heap. By default glibc raises both with the largest block freed, so that a message of 16 MiB would be kept."""


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run `main(stop)` on uvloop. SIGINT and SIGTERM set `stop`; a second signal cancels `main`."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return_freed_memory()
    uvloop.run(_run_with_signals(main))


def return_freed_memory() -> None:
    """Have large blocks of memory returned to the system when they are freed. Does nothing without glibc."""
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, MMAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, TRIM_BYTES)


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
