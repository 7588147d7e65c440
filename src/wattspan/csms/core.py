"""`Core`: the state and the services that all connections share."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from wattspan.csms.admission import Admission
from wattspan.csms.plugins.host import PluginHost
from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.errors import StoreUnavailable
from wattspan.store.journal.journal import Journal
from wattspan.telemetry.recorder import Recorder

T = TypeVar("T")

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
"""Starts a task that the server owns, and cancels at its end."""


@dataclass(slots=True, kw_only=True)
class Core:
    """What all connections share; `app` builds it."""

    fleet: Fleet
    journal: Journal
    recorder: Recorder
    counters: ServerCounters
    admission: Admission
    plugins: PluginHost
    strict: bool
    spawn: Spawn
    clock_ns: Callable[[], int] = time.time_ns
    """Returns Unix nanoseconds; everything is dated by this clock."""
    _thread: asyncio.Lock = field(default_factory=asyncio.Lock)

    def clock(self) -> float:
        """Return Unix seconds."""
        return self.clock_ns() / 1e9

    def record(self, events: Iterable[ev.Event], done: Callable[[StoreUnavailable | None], None] | None = None) -> None:
        """Apply events that no CALL caused, and store them; `done` is called when they are durable, or with a fault."""
        for event in events:
            apply(self.fleet, event)
            self.plugins.publish(event)
        self.journal.commit(done)

    async def off_loop(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread and return its result: one at a time, so that large messages do not add up.

        Cancellation: the thread goes on, so `work` must not change what others use.
        """
        async with self._thread:
            return await asyncio.to_thread(work)

    async def settled(self) -> None:
        """Return once all changes made before are durable, and the messages that caused them are answered.

        Raises StoreUnavailable. Cancellation: safe.
        """
        await self.journal.settled()
