"""What a server has of the store, with a clock the test moves."""

import asyncio
from dataclasses import dataclass, field

from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.errors import StoreUnavailable
from wattspan.store.journal.journal import Journal
from wattspan.store.store import Store

HOLD_S = 30.0
NOW = 1_790_000_000.0


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Site:
    """What a server has of the store: opened, restored from, journaled into."""

    path: str
    store: Store
    fleet: Fleet
    journal: Journal
    counters: ServerCounters
    clock: Clock
    told: list[StoreUnavailable | None] = field(default_factory=list)

    async def commit(self) -> StoreUnavailable | None:
        """Apply nothing, write what changed, wait until it is told."""
        future: asyncio.Future[StoreUnavailable | None] = asyncio.get_running_loop().create_future()
        self.journal.commit(future.set_result)
        return await future

    def ask(self) -> None:
        self.journal.commit(self.told.append)

    def apply(self, *events: ev.Event) -> None:
        for event in events:
            apply(self.fleet, event)
            if (cp := self.fleet.charge_points.get(event.cp_id)) is not None:
                self.fleet.seen(cp, event.received_ts)

    async def end(self) -> None:
        """The process ends without a flush: what was not committed is lost."""
        self.journal.close()
        await self.store.close()


async def opened(path: str, node: str | None = None) -> Site:
    """A site on the database at `path`, its fleet restored; failed writes are tried again at once.

    The fleet of a `node` of a cluster is empty: it owns nothing yet.
    """
    clock = Clock()
    store = await Store.open(path, clock=lambda: NOW, busy_timeout_s=0.0, node=node)
    fleet, counters = Fleet(), ServerCounters(started_ts=NOW)
    if node is None:
        await store.restore(fleet)
    journal = Journal(store, fleet, counters, hold_s=HOLD_S, clock=clock, retry_s=(0.0,))
    return Site(path, store, fleet, journal, counters, clock)
