"""Runs something until it ends or a signal comes. Ctrl-C and SIGTERM are a clean end, exit code 0."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

SWITCH_S = 0.0005
"""How long a thread keeps the interpreter while another wants it. The store's writer wants it several times a batch:
at Python's 5 ms all answers of the batch would wait for each of them."""

GARBAGE = (50_000, 20, 100)
"""When Python looks for garbage: after so many more objects, that many times among the young, so many among the older.

A message leaves none, and a look stops everything: 10 to 40 ms for the young of 4,000 charge points, 400 ms for all."""


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run `main(stop)` on uvloop; SIGINT and SIGTERM set `stop`, and a second one cancels `main`."""
    sys.setswitchinterval(SWITCH_S)
    uvloop.run(_guarded(main))


def rest_garbage_collection() -> None:
    """Once all is built: never look through it again for garbage, and look less often through what messages make."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


async def _guarded(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main(stop))

    def asked() -> None:
        if stop.is_set():
            task.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    try:
        await task
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
