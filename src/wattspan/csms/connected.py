"""Lets callers wait until a charge point is connected."""

import asyncio
from collections.abc import Callable

from wattspan.csms.commands import ActiveConnection
from wattspan.csms.plugins.base import Plugin
from wattspan.domain.events import ChargePointConnected, Event


class ConnectionWaiter(Plugin):
    """Listens for ChargePointConnected. `find` returns the open connection of a charge point, or None."""

    name = "connection waiter"
    traced = False
    events = (ChargePointConnected,)

    def __init__(self, find: Callable[[str], ActiveConnection | None]) -> None:
        self._find = find
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}

    async def on_event(self, event: Event) -> None:
        for waiter in self._waiters.pop(event.cp_id, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, cp_id: str, timeout_s: float | None) -> None:
        """Return once the charge point has an open connection. Raises TimeoutError after `timeout_s` seconds.

        Cancellation: safe.
        """
        async with asyncio.timeout(timeout_s):
            # An event may be older than the connection's end, so the connection itself decides.
            while self._find(cp_id) is None:
                await self._next(cp_id)

    async def _next(self, cp_id: str) -> None:
        """Return at the next ChargePointConnected of the charge point."""
        waiter = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(cp_id, set())
        waiters.add(waiter)
        try:
            await waiter
        finally:
            waiters.discard(waiter)
            if not waiters and self._waiters.get(cp_id) is waiters:
                del self._waiters[cp_id]
