"""Group commit: writes the fleet's changes in batches, and notifies those who wait for them to be durable.

Runs on the event loop's thread, like the fleet. One batch is in flight; changes made meanwhile go into the next one.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.errors import StoreUnavailable
from wattspan.store.journal.batch import MAX_STALE, Batch, Flush, begin_flush, take
from wattspan.store.store import Store
from wattspan.telemetry.catalogue import (
    COMMIT_TIME,
    EVENT_NAME,
    EXCEPTION_MESSAGE,
    STORE_FAILED_EVENT,
    STORE_SLOW_EVENT,
)
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

Done = Callable[[StoreUnavailable | None], None]

SLOW_COMMIT_S = 0.5
"""A batch that takes longer has a log record."""
STALE_S = 1.0
"""Interval, in seconds, at which figures are written that no answer waits for. A crash loses up to this much."""
STALLED_S = 5.0
"""Seconds after which an attempt in progress makes the store unavailable: a server that hangs reports no error."""
RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between attempts at a batch that can't be written; the last value repeats."""


class Journal:
    """Writes `fleet.changes` to `store`.

    `hold_s`: seconds that a waiter is held while the store is unavailable. `on_commit` is called with the seconds that
    each batch took to become durable. `clock` is monotonic.
    """

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        counters: ServerCounters,
        *,
        hold_s: float,
        on_commit: Callable[[float], None] = lambda _seconds: None,
        clock: Callable[[], float] = time.monotonic,
        retry_s: Sequence[float] = RETRY_S,
    ) -> None:
        self.available = True
        """False from a failed attempt until the next one that succeeds."""
        self.on_lost: Callable[[Mapping[str, int]], None] = lambda _epochs: None
        """Called with the charge points of a batch that another node owns, and the epochs of their rows, which were not
        written; before anybody is notified of the batch."""
        self.moves_mark = True
        """False while the fleet lacks charge points that belong to this node in the database. A flush does not write
        their rows, so the mark must not pass the readings that these rows do not include."""
        self._store = store
        self._fleet = fleet
        self._counters = counters
        self._hold_s = hold_s
        self._on_commit = on_commit
        self._clock = clock
        self._retry_s = tuple(retry_s)
        self._loop = asyncio.get_running_loop()
        self._next: list[tuple[Done, float]] = []  # wait for a batch that is not taken yet
        self._waiters: list[tuple[Done, float]] = []  # wait for the batch in flight
        self._batch: Batch | None = None
        self._taken_at = 0.0
        self._tried_at = 0.0
        self._failures = 0
        self._scheduled = False
        self._stale_due = False
        self._max_stale = MAX_STALE
        self._flush: Flush | None = None
        self._flush_waiters: list[Callable[[], None]] = []  # wait for a flush that has not begun yet
        self._timer = self._loop.call_later(STALE_S, self._on_timer)

    @property
    def waiting(self) -> int:
        """Return how many callers wait for a commit."""
        return len(self._next) + len(self._waiters)

    def commit(self, done: Done | None = None) -> None:
        """Schedule the writing of changes, and call `done(None)` once all changes made before this call are durable.

        After `hold_s` without success it calls `done(StoreUnavailable)`: the changes are kept and written later, but
        must not be acknowledged. `done` is called on the event loop, and within this call if there is nothing to write.
        """
        if not (self._scheduled or self._batch is not None or self._due):
            if done is not None:
                done(None)
            return
        if done is not None:
            self._next.append((done, self._clock()))
            self._counters.store_waiting += 1
        if self._batch is None and not self._scheduled:
            # After the callbacks that are ready now, so that their changes go into the same batch.
            self._scheduled = True
            self._loop.call_soon(self._send)

    async def flush(self) -> None:
        """Write all changes, stale figures included. Raises StoreUnavailable after `hold_s`; the changes are kept."""
        self._stale_due, self._max_stale = True, sys.maxsize
        await self.settled()

    def begin_flush(self) -> None:
        """Begin to write stale figures, in parts, and then the mark of the readings that they include.

        In a cluster the mark moves even if nothing is stale: it bounds what a node reads that takes a charge point.
        """
        self._stale_due = True
        self.commit()

    async def figures_written(self) -> None:
        """Return once all figures as they are now are durable, the stale ones too, without haste.

        Returns only when the store takes writes again. Cancellation: safe.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self._flush_waiters.append(partial(_resolve, future, None))
        self.begin_flush()
        await future

    async def settled(self) -> None:
        """Return once all changes made before that are due are durable. Raises StoreUnavailable. Cancellation: safe."""
        future: asyncio.Future[None] = self._loop.create_future()
        self.commit(partial(_resolve, future))
        await future

    def close(self) -> None:
        """Stop the periodic writing of stale figures. A batch in flight is not affected."""
        self._timer.cancel()

    def _send(self) -> None:
        self._scheduled = False
        if self._batch is not None:
            return
        self._waiters, self._next = self._next, []
        if not self._due:
            self._notify(None)
            return
        self._batch = self._take()
        self._taken_at = self._tried_at = self._clock()
        self._store.write(self._batch, self._written)

    @property
    def _due(self) -> bool:
        return self._fleet.changes.due or self._stale_due or self._flush is not None

    def _take(self) -> Batch:
        """Return the next batch with a part of the current flush, or all of it if `flush` was called."""
        begins = None
        if self._stale_due and (self._flush is None or self._max_stale > MAX_STALE):
            fresh, self._stale_due = begin_flush(self._fleet), False
            fresh.waiters, self._flush_waiters = self._flush_waiters, []
            if self._flush is None:
                begins = self._flush = fresh
            else:
                self._flush.charge_points += fresh.charge_points
                self._flush.connectors += fresh.connectors
                self._flush.waiters += fresh.waiters
        batch = take(self._fleet, self._flush, max_stale=self._max_stale)
        batch.begins, batch.moves_mark = begins, self.moves_mark
        if self._flush is not None and self._flush.done:
            batch.ends, self._flush, self._max_stale = self._flush, None, MAX_STALE
        return batch

    def _written(self, error: Exception | None) -> None:
        now = self._clock()
        if error is not None:
            self._failed(error)
            return
        if not self.available:
            log.warning("the database accepts writes again, after %d failed attempts", self._failures)
        batch, self.available, self._failures, self._batch = self._batch, True, 0, None
        took_s = now - self._taken_at
        if batch is not None and batch.lost:
            self.on_lost(batch.lost)
        # The next batch is sent before this one's waiters are notified, so that the writer does not idle.
        waiters, self._waiters = self._waiters, []
        if self._next or self._due:
            self._send()
        if batch is not None and batch.ends is not None:
            for written in batch.ends.waiters:
                written()
        if took_s > SLOW_COMMIT_S:
            fields = {EVENT_NAME: STORE_SLOW_EVENT, COMMIT_TIME: round(took_s, 3)}
            limited(log, logging.WARNING, "slow commit", "a batch took %.1f s to be durable", took_s, fields=fields)
        self._on_commit(took_s)
        self._notify(None, waiters)

    def _failed(self, error: Exception) -> None:
        self._counters.store_failures += 1
        self._set_unavailable(str(error))
        pause_s = self._retry_s[min(self._failures, len(self._retry_s) - 1)]
        self._failures += 1
        self._loop.call_later(pause_s, self._retry)

    def _set_unavailable(self, reason: str) -> None:
        if self.available:
            text = "the database can't be written; holding answers and retrying: %s"
            log.error(text, reason, extra={EVENT_NAME: STORE_FAILED_EVENT, EXCEPTION_MESSAGE: reason})
        self.available = False

    def _retry(self) -> None:
        if self._batch is not None and not self._store.closed:
            self._tried_at = self._clock()
            self._store.write(self._batch, self._written)

    def _notify(self, error: StoreUnavailable | None, waiters: list[tuple[Done, float]] | None = None) -> None:
        if waiters is None:
            waiters, self._waiters = self._waiters, []
        self._counters.store_waiting -= len(waiters)
        for done, _ in waiters:
            try:
                done(error)
            except Exception:
                log.exception("a callback after a commit failed")

    def _on_timer(self) -> None:
        if self._store.closed:
            return
        self._timer = self._loop.call_later(STALE_S, self._on_timer)
        self.tick()

    def tick(self) -> None:
        """Release waiters that have waited too long and write stale figures. Called every STALE_S seconds."""
        if self._batch is not None and self._clock() > self._tried_at + STALLED_S:
            self._set_unavailable(f"no response within {STALLED_S:g} s")
        if not self.available:
            self._release_late()
        changes = self._fleet.changes
        if changes.stale_charge_points or changes.stale_connectors:
            self._stale_due = True
            self.commit()

    def _release_late(self) -> None:
        limit = self._clock() - self._hold_s
        late = [waiter for waiter in (*self._waiters, *self._next) if waiter[1] <= limit]
        if not late:
            return
        self._waiters = [waiter for waiter in self._waiters if waiter[1] > limit]
        self._next = [waiter for waiter in self._next if waiter[1] > limit]
        self._notify(StoreUnavailable(f"not written within {self._hold_s:g} s"), late)


def _resolve(future: asyncio.Future[None], error: StoreUnavailable | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
