"""Group commit: what the fleet changed is written a batch at a time, and whoever waits for it is told.

On the loop's thread, like the fleet. One batch is in flight; all that happens meanwhile makes the next one.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Sequence

from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.errors import StoreUnavailable
from wattspan.store.journal.batch import AT_ONCE, Batch, Flush, begin_flush, take
from wattspan.store.store import Store

log = logging.getLogger(__name__)

Done = Callable[[StoreUnavailable | None], None]

STALE_S = 1.0
"""Figures that no answer waits for are written this often; a crash loses so much of them."""
STALLED_S = 5.0
"""An attempt that takes longer counts as failed as long as it is under way: a server that hangs says nothing."""
RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Pauses between attempts at a batch that can't be written now; the last one stays."""


class Journal:
    """Writes `fleet.changes` to `store`.

    `hold_s` is how long a waiter is kept while the store is down. `on_commit` is told the seconds that each batch took
    from being taken to being durable. `clock` is monotonic.
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
        """False from a failed attempt to the next one that succeeds."""
        self._store = store
        self._fleet = fleet
        self._vitals = counters
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
        self._most = AT_ONCE
        self._flush: Flush | None = None
        self._timer = self._loop.call_later(STALE_S, self._on_timer)

    @property
    def waiting(self) -> int:
        """How many are waiting to be told."""
        return len(self._next) + len(self._waiters)

    def commit(self, done: Done | None = None) -> None:
        """Have what changed written. `done(None)` once all that was applied before this call is durable.

        `done(StoreUnavailable)` after `hold_s` without success: the changes are kept and still written later, but
        nothing may be acknowledged. `done` is called on the loop; within this call if there is nothing to wait for.
        """
        if not (self._scheduled or self._batch is not None or self._due):
            if done is not None:
                done(None)
            return
        if done is not None:
            self._next.append((done, self._clock()))
            self._vitals.store_waiting += 1
        if self._batch is None and not self._scheduled:
            # After the callbacks that are ready now: what they bring goes into the same batch.
            self._scheduled = True
            self._loop.call_soon(self._send)

    async def flush(self) -> None:
        """Write all there is, stale figures too. Raises StoreUnavailable after `hold_s`; the changes stay waiting."""
        future: asyncio.Future[None] = self._loop.create_future()

        def done(error: StoreUnavailable | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self._stale_due, self._most = True, sys.maxsize
        self.commit(done)
        await future

    def close(self) -> None:
        """Stop writing stale figures by itself. What is in flight goes on."""
        self._timer.cancel()

    def _send(self) -> None:
        self._scheduled = False
        if self._batch is not None:
            return
        self._waiters, self._next = self._next, []
        if not self._due:
            self._tell(None)
            return
        self._batch = self._take()
        self._taken_at = self._tried_at = self._clock()
        self._store.write(self._batch, self._written)

    @property
    def _due(self) -> bool:
        return self._fleet.changes.due or self._stale_due or self._flush is not None

    def _take(self) -> Batch:
        """The next batch, with a part of the flush that is under way, or with all of it where `flush` asks for it."""
        begins = None
        if self._stale_due and (self._flush is None or self._most > AT_ONCE):
            fresh, self._stale_due = begin_flush(self._fleet), False
            if self._flush is None:
                begins = self._flush = fresh
            else:
                self._flush.charge_points += fresh.charge_points
                self._flush.connectors += fresh.connectors
        batch = take(self._fleet, self._flush, most=self._most)
        batch.begins = begins
        if self._flush is not None and self._flush.done:
            batch.ends, self._flush, self._most = self._flush, None, AT_ONCE
        return batch

    def _written(self, error: Exception | None) -> None:
        now = self._clock()
        if error is not None:
            self._failed(error)
            return
        if not self.available:
            log.warning("the database takes writes again, after %d failed attempts", self._failures)
        self.available, self._failures, self._batch = True, 0, None
        # The next batch leaves before the waiters of this one are told: the writer needs no rest meanwhile.
        waiters, self._waiters = self._waiters, []
        if self._next or self._due:
            self._send()
        self._on_commit(now - self._taken_at)
        self._tell(None, waiters)

    def _failed(self, error: Exception) -> None:
        self._vitals.store_failures += 1
        self._tell_unavailable(str(error))
        pause_s = self._retry_s[min(self._failures, len(self._retry_s) - 1)]
        self._failures += 1
        self._loop.call_later(pause_s, self._retry)

    def _tell_unavailable(self, reason: str) -> None:
        if self.available:
            log.error("the database can't be written; answers are held and it is tried again: %s", reason)
        self.available = False

    def _retry(self) -> None:
        if self._batch is not None and not self._store.closed:
            self._tried_at = self._clock()
            self._store.write(self._batch, self._written)

    def _tell(self, error: StoreUnavailable | None, waiters: list[tuple[Done, float]] | None = None) -> None:
        if waiters is None:
            waiters, self._waiters = self._waiters, []
        self._vitals.store_waiting -= len(waiters)
        for done, _ in waiters:
            try:
                done(error)
            except Exception:
                log.exception("whoever waited for a commit failed")

    def _on_timer(self) -> None:
        if self._store.closed:
            return
        self._timer = self._loop.call_later(STALE_S, self._on_timer)
        self.tick()

    def tick(self) -> None:
        """What is done each second: let go those who waited too long, and write what is stale."""
        if self._batch is not None and self._clock() > self._tried_at + STALLED_S:
            self._tell_unavailable(f"no word from it in {STALLED_S:g} s")
        if not self.available:
            self._let_go()
        changes = self._fleet.changes
        if changes.stale_charge_points or changes.stale_connectors:
            self._stale_due = True
            self.commit()

    def _let_go(self) -> None:
        limit = self._clock() - self._hold_s
        late = [waiter for waiter in (*self._waiters, *self._next) if waiter[1] <= limit]
        if not late:
            return
        self._waiters = [waiter for waiter in self._waiters if waiter[1] > limit]
        self._next = [waiter for waiter in self._next if waiter[1] > limit]
        self._tell(StoreUnavailable(f"not written within {self._hold_s:g} s"), late)
