"""The whole fleet for the API's reads: charge points of this node from memory, those of other nodes from the store.

Without a cluster the memory has them all, and the store is not asked. What is returned of other nodes' charge points
is a copy: changing it has no effect.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from wattspan.csms.connections import Connections
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint
from wattspan.errors import RedisUnavailable
from wattspan.store.queries import fleet as fleet_queries
from wattspan.store.queries import fleet_sums
from wattspan.store.queries.fleet import StoredChargePoint, StoredFilter
from wattspan.store.queries.fleet_sums import StoredSum
from wattspan.store.store import Store

PAGE = 500
"""Charge points read at once from the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The open connection of a charge point to any node."""

    protocol: str
    security_profile: int


class OtherNodes(Protocol):
    """The connections of charge points to other nodes: `app.cluster` implements it."""

    @property
    def name(self) -> str:
        """Return this node's name."""

    @property
    def nodes(self) -> Sequence[str]:
        """Return the names of the other nodes that are there."""

    async def connections(self, cp_ids: Sequence[str]) -> Mapping[str, Connected]:
        """Return the connections of charge points to other nodes. Raises RedisUnavailable."""


class FleetView:
    """`others` None: this is the only node."""

    def __init__(self, fleet: Fleet, store: Store, connections: Connections, others: OtherNodes | None = None) -> None:
        self._fleet = fleet
        self._store = store
        self._connections = connections
        self._others = others

    async def find(self, cp_id: str) -> ChargePoint | None:
        """Return a charge point, or None. Raises StoreError."""
        found = self._fleet.charge_points.get(cp_id)
        if found is not None or self._others is None:
            return found
        stored = await self._store.read(fleet_queries.charge_point, cp_id)
        return None if stored is None else (await self._with_presence([stored], self._others))[0]

    async def connection(self, cp_id: str) -> Connected | None:
        """Return the connection of a charge point to any node, or None. Raises RedisUnavailable."""
        own = self._connections.connection(cp_id)
        if own is not None:
            return Connected(protocol=own.version.subprotocol, security_profile=own.security_profile)
        if self._others is None or cp_id in self._fleet.charge_points:
            return None
        return (await self._others.connections([cp_id])).get(cp_id)

    async def of_other_nodes(self, wanted: StoredFilter) -> AsyncIterator[ChargePoint]:
        """Yield the charge points that other nodes own and that match, by identity.

        None without a cluster. Raises StoreError.
        """
        while self._others is not None:
            stored = await self._store.read(fleet_queries.list_charge_points, wanted, self._others.name, PAGE)
            for cp in await self._with_presence(stored, self._others):
                yield cp
            if len(stored) < PAGE:
                return
            wanted = replace(wanted, after=stored[-1].charge_point.cp_id)

    async def sums_of_other_nodes(
        self, wanted: StoredFilter, stale_before_ts: float, *, by_site: bool
    ) -> Sequence[StoredSum]:
        """Return the sums over the charge points that other nodes own and that match; see `fleet_sums.sums`.

        None without a cluster. Connected are those whose row says so and whose node is there; without Redis, what the
        rows have counts. Raises StoreError.
        """
        if self._others is None:
            return ()
        try:
            await self._others.connections(())
            nodes: Sequence[str] | None = list(self._others.nodes)
        except RedisUnavailable:
            nodes = None
        return await self._store.read(fleet_sums.sums, wanted, self._others.name, nodes, stale_before_ts, by_site)

    async def _with_presence(self, stored: Sequence[StoredChargePoint], others: OtherNodes) -> list[ChargePoint]:
        """Return the charge points, of which those count as connected that Redis has, or whose node is there.

        Without Redis, what the rows have counts.
        """
        try:
            connected = await others.connections([each.charge_point.cp_id for each in stored])
        except RedisUnavailable:
            return [each.charge_point for each in stored]
        there = set(others.nodes)
        for each in stored:
            cp = each.charge_point
            cp.connected = cp.cp_id in connected or (cp.connected and each.owner in there)
        return [each.charge_point for each in stored]
