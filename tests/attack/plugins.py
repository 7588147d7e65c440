"""Plugins that misbehave at the first Heartbeat of ATTACKER."""

import asyncio
import time
from contextlib import suppress

from wattspan.csms.plugins.base import Plugin
from wattspan.domain.events import Event, HeartbeatReceived

ATTACKER = "ATTACKER"


class Exits(Plugin):
    """Ends the process, if it could."""

    name = "exits"
    events = (HeartbeatReceived,)

    async def on_event(self, event: Event) -> None:
        if event.cp_id == ATTACKER:
            raise SystemExit


class Blocks(Plugin):
    """Keeps the event loop busy."""

    name = "blocks"
    events = (HeartbeatReceived,)

    async def on_event(self, event: Event) -> None:
        until = time.monotonic() + 60
        while event.cp_id == ATTACKER and time.monotonic() < until:
            pass


class Stays(Plugin):
    """Ignores its cancellation."""

    name = "stays"
    events = (HeartbeatReceived,)

    async def on_event(self, event: Event) -> None:
        while event.cp_id == ATTACKER:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)


ALL = (Exits, Blocks, Stays)
