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

GARBAGE = (20_000, 2, 1_000)
"""When Python looks for garbage: after so many more objects, every so many times among the older, and among all.

A message leaves none, and a look stops everything: 20 ms for 20,000 objects, nearly a second for all of a large fleet.
"""


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
