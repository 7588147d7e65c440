"""This process as a node of a cluster: its numbers, its charge points and its lease, started and stopped together."""

import socket
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any
from uuid import uuid4

from wattspan.cluster.clock import NodeClock
from wattspan.cluster.id_supply import IdSupply
from wattspan.cluster.membership import Membership
from wattspan.cluster.ownership import Ownership, Record
from wattspan.cluster.page_guard import PageGuard
from wattspan.domain.counters import NodeCounters, ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.settings import Settings
from wattspan.store.journal.journal import Journal
from wattspan.store.queries.nodes import NodeInfo
from wattspan.store.store import Store
from wattspan.telemetry.resource import VERSION


def node_name(settings: Settings) -> str | None:
    """Return the name of this node, or None if it is no node of a cluster but the only server of its database."""
    if settings.redis is None:
        return None
    return settings.node_name or socket.gethostname()


class ClusterNode:
    """The parts of a node that need PostgreSQL alone. `record` applies and stores events; `clock` dates the events.

    `spawn` starts a task that the server owns.
    """

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        counters: ServerCounters,
        journal: Journal,
        *,
        record: Record,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        clock: NodeClock,
    ) -> None:
        if store.node is None:
            raise TypeError("the store was opened without the name of a node")
        self.info = NodeInfo(name=store.node, instance=str(uuid4()), version=VERSION)
        node_counters = counters.node = NodeCounters()
        self.ids = IdSupply(store, spawn)
        self.ownership = Ownership(
            store,
            fleet,
            node_counters,
            record=record,
            flush=journal.settled,
            clock=lambda: clock() / 1e9,
            spawn=spawn,
        )
        self.membership = Membership(store, self.ownership, node_counters, clock=clock)
        self.membership.on_heartbeat = journal.begin_flush
        self.page_guard = PageGuard(self.ownership, self.membership, journal)
        fleet.ids = self.ids.blocks
        journal.on_lost = self.ownership.lost
        journal.moves_mark = False
        self._journal = journal

    async def start(self) -> None:
        """Take part, with the charge points that this node owned before. Raises StoreError."""
        await self.ids.fill()
        await self.membership.start(self.info)
        self._journal.moves_mark = True

    async def announce(self, metrics_url: str, api_url: str) -> None:
        """Let the others know where this node serves. Raises StoreError."""
        self.info = replace(self.info, metrics_url=metrics_url, api_url=api_url)
        await self.membership.announce(self.info)

    async def run(self) -> None:
        """Keep the lease and adopt charge points until cancelled."""
        await self.membership.run()

    async def stop(self) -> None:
        """Let the others adopt this node's charge points. Everything must be written."""
        await self.membership.stop()
