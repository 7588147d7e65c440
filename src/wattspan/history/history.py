"""`History`: the recorders of a running server's history, their tasks, and the deletion of old rows."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from wattspan.domain.counters import ServerCounters
from wattspan.domain.erased_token import ErasedToken
from wattspan.domain.events import Event
from wattspan.domain.fleet import Fleet
from wattspan.errors import StoreError
from wattspan.history.messages import Mask, MessageLog
from wattspan.history.series import SeriesRecorder
from wattspan.history.tag_use import TagUse
from wattspan.history.timelines import WRITE_S, TimelineRecorder
from wattspan.store.maintenance_task import maintenance_task
from wattspan.store.queries import series as series_queries
from wattspan.store.queries import timelines as timeline_queries
from wattspan.store.store import Store

log = logging.getLogger(__name__)

EXPIRY_S = 600.0
EXPIRY_ROWS = 500
"""Rows deleted in one transaction, which answers to charge points wait for."""
MAX_EXPIRED = 20_000
"""Rows of a kind deleted in one turn."""


class EventSink(Protocol):
    """Receives events as they are applied; see `csms.plugins.host.EventSink`."""

    events: tuple[type[Event], ...]

    def put(self, event: Event) -> None:
        """Take an event."""


class History:
    """What the server remembers of its fleet beside the journal. Created on the event loop that uses it."""

    def __init__(
        self,
        fleet: Fleet,
        store: Store,
        clock_ns: Callable[[], int],
        counters: ServerCounters,
        mask: Mask,
        *,
        message_retention_s: float = 0.0,
    ) -> None:
        self._store = store
        self._counters = counters

        def clock() -> float:
            return clock_ns() / 1e9

        self._clock = clock
        self.series = SeriesRecorder(fleet, store, clock, counters)
        self.timelines = TimelineRecorder(fleet, store, clock, counters)
        self.tag_use = TagUse(store)
        self.messages = MessageLog(store, counters, mask, clock_ns, message_retention_s)
        self.keeps_messages = message_retention_s > 0
        self.sinks: Sequence[EventSink] = (self.timelines, self.tag_use)
        """What receives events."""
        if self.keeps_messages:
            self.sinks = (*self.sinks, self.messages)

    async def start(self) -> None:
        """Record since when the server did not run. The server starts even if that can't be read."""
        try:
            await self.timelines.start()
        except StoreError as exc:
            log.warning("the history of the time before this start is not complete: %s", exc)

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        """Return the coroutines that run until they are cancelled."""
        tasks = [self.series.run(), self._write(), self._expire()]
        return [*tasks, self.messages.run()] if self.keeps_messages else tasks

    async def stop(self) -> None:
        """Write what is in memory."""
        await self.series.stop()
        await self.timelines.write()
        await self.tag_use.write()
        await self.messages.flush()

    async def erase(self, token: ErasedToken) -> None:
        """Remove an id token from what is not stored yet."""
        self.tag_use.erase(token)
        await self.messages.erase(token)

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(WRITE_S)
            await self.timelines.write()
            await self.tag_use.write()

    async def _expire(self) -> None:
        while True:
            for task, expire in (
                ("series_expiry", series_queries.expire),
                ("timeline_expiry", timeline_queries.expire),
            ):
                deleted, rows = 0, EXPIRY_ROWS
                with maintenance_task(task, self._counters):
                    while rows == EXPIRY_ROWS and deleted < MAX_EXPIRED:
                        rows = await self._store.do(expire, self._clock(), EXPIRY_ROWS)
                        deleted += rows
            with maintenance_task("message_expiry", self._counters):
                await self.messages.expire()
            await asyncio.sleep(EXPIRY_S)
