"""This node's lease, and the adoption of charge points whose node is gone (docs/adr/0014-nodes.md).

Death is judged by PostgreSQL's clock. A node judges others only after its own heartbeats have come through for a whole
lease: after an outage of PostgreSQL nobody is dead at once.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from wattspan.cluster.clock import NodeClock
from wattspan.cluster.ownership import Ownership
from wattspan.domain.counters import NodeCounters
from wattspan.errors import StoreError
from wattspan.store.queries import nodes as node_queries
from wattspan.store.queries.nodes import LEASE_S, NodeInfo, NodeRecord
from wattspan.store.store import Store

log = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
LOOK_S = 2.0
"""How often charge points to adopt are looked for."""
FORGET_S = 3_600.0
"""How often old nodes are removed from the list."""


class Membership:
    """Writes this node's heartbeats, watches those of the others, and sets the `clock`. `monotonic` returns seconds."""

    def __init__(
        self,
        store: Store,
        ownership: Ownership,
        counters: NodeCounters,
        *,
        clock: NodeClock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.nodes: Sequence[NodeRecord] = ()
        """All nodes, as read last."""
        self._store = store
        self._ownership = ownership
        self._counters = counters
        self._clock = clock
        self._monotonic = monotonic
        self.on_heartbeat: Callable[[], None] = lambda: None
        """Called after each heartbeat of this node."""
        self._healthy_since = float("inf")
        self._forgot_at = float("-inf")
        self._info: NodeInfo | None = None

    @property
    def is_fresh(self) -> bool:
        """Return whether this node's lease is fresh: nobody can have adopted its charge points."""
        return self._monotonic() < self._counters.leased_until

    def give_up_lease(self) -> None:
        """Show no charge point until the next heartbeat comes through."""
        self._counters.leased_until = float("-inf")

    async def start(self, info: NodeInfo) -> None:
        """Take part, and restore the charge points that this node owned when it ended. Raises StoreError."""
        self._info = info
        await self.heartbeat()
        owned = await self._store.read(node_queries.owned, info.name)
        await self._ownership.adopt([node_queries.Orphan(cp_id, info.name, epoch) for cp_id, epoch in owned.items()])
        await self.look()

    async def announce(self, info: NodeInfo) -> None:
        """Change what the others know about this node. Raises StoreError."""
        self._info = info
        await self.heartbeat()

    async def stop(self) -> None:
        """Write that this node stops. The others adopt its charge points at once."""
        info, self._info = self._info, None
        if info is None:
            return
        self.give_up_lease()
        with contextlib.suppress(StoreError):
            await self._store.do(node_queries.write_stopped, info.name, info.instance)

    async def run(self) -> None:
        """Keep the lease, and adopt, until cancelled."""
        await asyncio.gather(self._keep_lease(), self._keep_looking())

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            with contextlib.suppress(StoreError):
                await self.heartbeat()
                await self._ownership.verify()
                if self._monotonic() > self._forgot_at + FORGET_S:
                    self._forgot_at = self._monotonic()
                    await self._store.do(node_queries.forget_old)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(StoreError):
                await self.look()

    async def heartbeat(self) -> None:
        """Renew the lease. Raises StoreError."""
        if self._info is None:
            return
        asked_at, asked_ts = self._monotonic(), self._clock.own()
        now_ts = await self._store.do(node_queries.write_heartbeat, self._info)
        answered_ts = self._clock.own()
        self._counters.clock_difference_s = (asked_ts + answered_ts) / 2 - now_ts
        self._clock.measured(self._counters.clock_difference_s, abs(answered_ts - asked_ts) / 2)
        if asked_at > self._counters.leased_at + LEASE_S - HEARTBEAT_S:
            self._healthy_since = asked_at
        self._counters.leased_at, self._counters.leased_until = asked_at, asked_at + LEASE_S
        self.on_heartbeat()

    async def look(self) -> None:
        """Adopt the charge points of nodes that are gone, as far as they fall to this one. Raises StoreError."""
        self.nodes = await self._store.read(node_queries.nodes)
        me = self._ownership.node
        living = [node.name for node in self.nodes if node.name == me or node.alive]
        self._counters.nodes = len(living)
        if not self.is_fresh:
            return
        can_judge = self._monotonic() >= self._healthy_since + LEASE_S
        gone = [node.name for node in self.nodes if node.name not in living and (node.stopped or can_judge)]
        orphans = await self._store.read(node_queries.orphans, gone, living, me)
        if orphans:
            adopted = await self._ownership.adopt(orphans)
            log.info("adopted %d charge points of %s", adopted, ", ".join(gone) or "no node")
