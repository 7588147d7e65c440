"""Runs blocking work in daemon threads, with a time-out: an exporter that hangs must not hold up a shutdown."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

log = logging.getLogger(__name__)

Name = TypeVar("Name")


def in_thread(work: Callable[[], object], done: Callable[[], object] = lambda: None) -> threading.Thread:
    """Run `work` in a daemon thread, which does not delay the exit of the process. Exceptions are logged."""

    def run() -> None:
        try:
            work()
        except Exception:
            log.debug("telemetry did not shut down cleanly", exc_info=True)
        done()

    thread = threading.Thread(target=run, name="wattspan-telemetry-shutdown", daemon=True)
    thread.start()
    return thread


async def in_threads(work: Mapping[Name, Callable[[], object]], timeout_s: float) -> set[Name]:
    """Run all of it concurrently and return the names of what had not ended after `timeout_s`."""
    loop = asyncio.get_running_loop()
    pending: dict[asyncio.Future[None], Name] = {}
    for name, each in work.items():
        ended: asyncio.Future[None] = loop.create_future()
        pending[ended] = name
        in_thread(each, lambda ended=ended: _notify(loop, ended))  # type: ignore[misc]
    _, late = await asyncio.wait(pending, timeout=timeout_s)
    return {pending[each] for each in late}


def _notify(loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None]) -> None:
    with suppress(RuntimeError):  # the loop is closed, so nobody waits
        loop.call_soon_threadsafe(_settle, ended)


def _settle(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)
