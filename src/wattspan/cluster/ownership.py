"""Which charge points this node owns: takes them, and drops those that others took (docs/adr/0014-nodes.md).

PostgreSQL alone decides. It knows neither Redis nor connections: what it needs of them are the callbacks below.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from wattspan.domain import events as ev
from wattspan.domain.counters import NodeCounters
from wattspan.domain.fleet import Fleet
from wattspan.errors import StoreUnavailable
from wattspan.store.journal.batch import NEVER_OWNED
from wattspan.store.queries import nodes as node_queries
from wattspan.store.store import Store
from wattspan.store.takeover import Expected, Taken

log = logging.getLogger(__name__)

ASK_S = 0.2
"""Seconds that the former owner of a charge point may take to finish its last batch before it is taken."""
GROUP = 32
"""Charge points that are taken in one transaction. It takes 20 ms of a core; batches of this node wait for it, and so
do batches of the former owner."""
ADOPTED_GROUP = 128
"""The same where nobody serves the charge points."""
RETRY_S = 0.02
"""Seconds until a charge point whose row was locked is tried again."""
TAKE_S = 5.0
"""Seconds after which taking a charge point fails: its row is locked by a node that hangs."""
MISSED_S = 3.0
"""Seconds after which a charge point that was taken by a transaction is not on its way to the fleet any more."""
LOST_CODE = 1006
"""The WebSocket close code of a predecessor's connection: nobody saw a close frame."""

Record = Callable[[Iterable[ev.Event]], None]


async def _nothing(_cp_id: str, _owner: str) -> None:
    pass


async def _nothing_to_finish(_cp_id: str) -> None:
    pass


class Ownership:
    """The charge points of this node. `record` applies and stores events; `flush` returns once all changes are durable.

    All methods are for the event loop's thread.
    """

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        counters: NodeCounters,
        *,
        record: Record,
        flush: Callable[[], Awaitable[None]],
        clock: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        if store.node is None:
            raise TypeError("the store was opened without the name of a node")
        self.node = store.node
        self.epochs: dict[str, int] = {}
        """The owner epoch of each charge point that this node owns."""
        fleet.epochs = self.epochs
        self.losses = 0
        """How often a charge point left the fleet."""
        self._store = store
        self._fleet = fleet
        self._counters = counters
        self._record = record
        self._flush = flush
        self._clock = clock
        self._spawn = spawn
        self._monotonic: Callable[[], float] = time.monotonic
        self._wanted: dict[str, asyncio.Future[None]] = {}
        self._is_taking = False
        self._takes_begun = self._takes_done = 0
        self._missing: dict[tuple[str, int], float] = {}
        """Charge points that PostgreSQL says are ours, with their epochs: since when they are missed here."""
        self.close_connection: Callable[[str], None] = lambda _cp_id: None
        """Closes the connection of a charge point that was lost, so that nothing more is answered. Returns at once."""
        self.finish_connection: Callable[[str], Awaitable[None]] = _nothing_to_finish
        """Ends the connection of a charge point after what was received is processed."""
        self.forget: Callable[[str], None] = lambda _cp_id: None
        """Drops what telemetry keeps for a charge point."""
        self.ask_release: Callable[[str, str], Awaitable[None]] = _nothing
        """(cp_id, owner): asks the owner to `release` a charge point. Waited for ASK_S; may fail or do nothing."""
        self.announce_taken: Callable[[str, str, int], None] = lambda _cp_id, _former, _epoch: None
        """(cp_id, former owner, epoch): informs the former owner that it was taken. May do nothing."""

    def owns(self, cp_id: str) -> bool:
        """Return whether this node owns the charge point, as far as it knows."""
        return cp_id in self.epochs

    def epoch(self, cp_id: str) -> int | None:
        """Return the epoch under which this node owns the charge point, or None."""
        return self.epochs.get(cp_id)

    # taking

    async def take(self, cp_id: str, known: Expected | None = None) -> None:
        """Own a charge point, with its state in the fleet. `known`: its owner and epoch as just read.

        Raises StoreUnavailable. Cancellation: safe; it may be taken all the same.
        """
        owner, epoch = known or (None, NEVER_OWNED)
        if owner == self.node and self.epochs.get(cp_id) == epoch:
            return
        if owner is not None and owner != self.node:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_S):
                    await self.ask_release(cp_id, owner)
        waiter = self._wanted.get(cp_id)
        if waiter is None:
            waiter = self._wanted[cp_id] = asyncio.get_running_loop().create_future()
        if not self._is_taking:
            self._is_taking = True
            self._spawn(self._take_wanted())
        await asyncio.shield(waiter)

    async def _take_wanted(self) -> None:
        """Take all that are wanted, in groups: when thousands reconnect at once, one transaction takes many."""
        tried_since: dict[str, float] = {}
        now = asyncio.get_running_loop().time
        try:
            while self._wanted:
                group = [cp_id for cp_id, _ in zip(self._wanted, range(GROUP), strict=False)]
                try:
                    taken = await self._take_now(dict.fromkeys(group))
                except Exception as exc:  # noqa: BLE001 - raised to everybody who waits
                    self._settle(group, exc)
                    continue
                self._settle(taken.epochs)
                locked = [cp_id for cp_id in group if cp_id not in taken.epochs]
                for cp_id in locked:  # at the end, so that the others come first
                    self._wanted[cp_id] = self._wanted.pop(cp_id)
                late = [cp_id for cp_id in locked if now() - tried_since.setdefault(cp_id, now()) > TAKE_S]
                self._settle(late, StoreUnavailable("the charge point's row is locked by another node"))
                for cp_id in (*taken.epochs, *late):
                    tried_since.pop(cp_id, None)
                if locked:
                    await asyncio.sleep(RETRY_S)
        finally:
            self._is_taking = False
            self._settle(list(self._wanted), StoreUnavailable("the server is stopping"))

    def _settle(self, cp_ids: Iterable[str], fault: Exception | None = None) -> None:
        for cp_id in cp_ids:
            waiter = self._wanted.pop(cp_id)
            if waiter.done():
                continue
            if fault is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(fault)
                waiter.exception()  # the caller may be gone

    async def adopt(self, orphans: Sequence[node_queries.Orphan]) -> int:
        """Take charge points that nobody serves, unless their owner has changed. Return how many. Raises StoreError."""
        adopted = 0
        for first in range(0, len(orphans), ADOPTED_GROUP):
            group = orphans[first : first + ADOPTED_GROUP]
            wanted = {orphan.cp_id: (orphan.owner, orphan.epoch) for orphan in group}
            taken = await self._take_now(wanted, is_connecting=False)
            adopted += len(taken.epochs)
        return adopted

    async def _take_now(self, wanted: Mapping[str, Expected | None], *, is_connecting: bool = True) -> Taken:
        """Take charge points in one transaction, and put them into the fleet. Raises StoreError."""
        self._takes_begun += 1
        taken = await self._store.take(wanted, creates=is_connecting)
        self.install(taken, is_connecting=is_connecting)
        self._takes_done += 1  # not after an error: it may be committed all the same
        return taken

    def install(self, taken: Taken, *, is_connecting: bool = True) -> None:
        """Put the charge points that were taken into the fleet.

        A predecessor that was connected when its owner wrote the row last is disconnected, which counts once.
        """
        fleet, now_ts, events = self._fleet, self._clock(), []
        self._lose(taken.epochs.keys())
        for cp_id, epoch in taken.epochs.items():
            self.epochs[cp_id] = epoch
            cp = taken.restored.charge_points.get(cp_id)
            if cp is not None:
                fleet.charge_points[cp_id] = cp
            if cp is not None and cp_id in taken.restored.connected:
                events.append(
                    ev.ChargePointDisconnected(cp_id=cp_id, received_ts=now_ts, code=LOST_CODE, replaced=is_connecting)
                )
            former = taken.former[cp_id]
            if former is not None and former != self.node:
                if is_connecting:
                    self._counters.takeovers += 1
                else:
                    self._counters.adoptions += 1
                self.announce_taken(cp_id, former, epoch)
        for cp_id, connector in taken.restored.replayed:
            fleet.changes.stale_charge_points[cp_id] = taken.restored.charge_points[cp_id]
            fleet.changes.stale_connectors[(cp_id, connector.connector_id)] = connector
        if events:
            self._record(events)

    # losing

    def lost(self, epochs: Mapping[str, int]) -> None:
        """Drop charge points of which rows made under these epochs were not written (`Journal.on_lost`)."""
        self._counters.fenced_writes += len(epochs)
        gone = {cp_id for cp_id, epoch in epochs.items() if self.epochs.get(cp_id, NEVER_OWNED) == epoch}
        if gone:
            log.info("%d charge points of a batch belong to other nodes; their connections are closed", len(gone))
            self._lose(gone)

    def taken(self, cp_id: str, epoch: int) -> None:
        """Drop a charge point that another node took under `epoch`, if it was taken from us."""
        mine = self.epochs.get(cp_id)
        if mine is not None and mine < epoch:
            self._lose({cp_id})

    async def release(self, cp_id: str) -> None:
        """Let another node take a charge point: close its connection, and return once everything about it is durable.

        This node owns it until it is taken. Does nothing for one that it does not own. Raises StoreUnavailable.
        """
        if cp_id not in self.epochs:
            return
        await self.finish_connection(cp_id)
        cp = self._fleet.charge_points.get(cp_id)
        if cp is not None:
            for connector in cp.connectors.values():
                self._fleet.changed(cp, connector)
            self._fleet.changes.charge_points[cp_id] = cp
            await self._flush()

    def _lose(self, cp_ids: Iterable[str]) -> None:
        """Drop charge points. Connections are closed first, so that nothing is answered that is not written."""
        gone = {cp_id for cp_id in cp_ids if cp_id in self.epochs or cp_id in self._fleet.charge_points}
        if not gone:
            return
        for cp_id in gone:
            self.close_connection(cp_id)
        self._fleet.drop(gone)
        self.losses += len(gone)
        for cp_id in gone:
            self.forget(cp_id)

    async def verify(self) -> None:
        """Compare with PostgreSQL, and drop what others took. Raises StoreError.

        What PostgreSQL says is ours and is not known here for MISSED_S was taken by a transaction whose confirmation
        was lost; it is taken again.
        """
        before, begun = dict(self.epochs), self._takes_begun
        if begun == self._takes_done:
            # Nothing that is ours is unknown here, so each loss lowers the count.
            found = await self._store.read(node_queries.owned_sum, self.node)
            if found == (len(before), sum(before.values())) and begun == self._takes_begun:
                return
            before, begun = dict(self.epochs), self._takes_begun
        owned = await self._store.read(node_queries.owned, self.node)
        self._lose(
            cp_id for cp_id, epoch in before.items() if self.epochs.get(cp_id) == epoch and owned.get(cp_id) != epoch
        )
        now = self._monotonic()
        missing = {(cp_id, epoch) for cp_id, epoch in owned.items() if cp_id not in self.epochs}
        self._missing = {each: self._missing.get(each, now) for each in missing}
        again = [each for each, since in self._missing.items() if now >= since + MISSED_S]
        if not missing and begun == self._takes_begun and not self._is_taking:
            self._takes_done = begun
        await self.adopt([node_queries.Orphan(cp_id, self.node, epoch) for cp_id, epoch in again])
