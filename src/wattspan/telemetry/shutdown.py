"""Runs blocking work in daemon threads, with a time-out: an exporter that hangs must not hold up a shutdown."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
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
    notifier = _Notifier()
    pending: dict[asyncio.Future[None], Name] = {}
    for name, each in work.items():
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        pending[ended] = name
        in_thread(each, partial(notifier.settle, ended))
    try:
        _, late = await asyncio.wait(pending, timeout=timeout_s)
    finally:
        notifier.close()
    return {pending[each] for each in late}


class _Notifier:
    """Settles futures of the running event loop from other threads, until it is closed.

    Who is late would else call a loop that is being closed, as after a shutdown, and uvloop then fails to close.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._is_open = True

    def settle(self, future: "asyncio.Future[None]") -> None:
        with self._lock:
            if self._is_open:
                self._loop.call_soon_threadsafe(_settle, future)

    def close(self) -> None:
        with self._lock:
            self._is_open = False


def _settle(ended: "asyncio.Future[None]") -> None:
    if not ended.done():
        ended.set_result(None)
