"""Waiting for what happens at a moment of its own: polled until a deadline, never slept for."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

WITHIN_S = 20.0
"""Far above what anything takes; only a test that fails waits so long."""
EVERY_S = 0.005


async def eventually(claim: Callable[[], Any], *, within_s: float = WITHIN_S) -> Any:
    """What `claim` returns once that is truthy; it may be a coroutine function. AssertionError at the deadline."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        found = claim()
        told = await found if inspect.isawaitable(found) else found
        if told:
            return told
        assert loop.time() < deadline, f"not within {within_s:g} s; last seen: {told!r}"
        await asyncio.sleep(EVERY_S)
