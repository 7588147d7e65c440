"""What the nodes of a cluster have in common through Redis: builds its parts, and connects each to the part it serves.

Nothing here is needed for charging and telemetry: what is lost in Redis is lost.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from wattspan.api.access.auth_service import AuthService
from wattspan.api.access.lockout import FIRST_S, FORGET_S, LONGEST_S, SharedLockout
from wattspan.api.events import EventFeed, as_json, json_of
from wattspan.api.fleet_view import Connected
from wattspan.cluster.bus import Bus, BusMeasures
from wattspan.cluster.counters import SharedBackoff
from wattspan.cluster.event_stream import EventStream, SharedEvent
from wattspan.cluster.ownership import Ownership
from wattspan.cluster.presence import PresenceTable
from wattspan.cluster.redis import RedisAddress, raise_if_cancelled
from wattspan.csms.core import Core
from wattspan.csms.erasure import ErasedFromNode, NodeErasure
from wattspan.csms.pending import PendingChargePoint
from wattspan.csms.registry import RunningFleet
from wattspan.csms.taps import Taps
from wattspan.domain import events as ev
from wattspan.domain.erased_token import ErasedToken
from wattspan.errors import NodeSilent, RedisUnavailable, SettingsError, StoreError, WattspanError
from wattspan.gateway.gateway import Gateway
from wattspan.settings import Settings
from wattspan.store.queries import fleet as fleet_queries
from wattspan.store.store import Store
from wattspan.telemetry import catalogue

log = logging.getLogger(__name__)

LISTENING_S = 3.0
"""How often a node reports that somebody listens to events there, and half of how long that counts."""
CLOSE_S = 0.5
RESTART_S = 1.0
"""Seconds until work that failed by a fault of ours begins again."""
MAX_FIGURES = 500
"""Figures in one message."""

REGISTRY, LISTENING, FIGURES, FAILED, TAKEN = "registry", "listening", "figures", "handshake failed", "taken"
"""Topics."""
PENDING, RELEASE, ERASE = "pending", "release", "erase"
"""Requests."""
CONNECTED = ev.ChargePointConnected.__name__
"""The event of a charge point that has connected to any node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of the server that the other nodes have to do with."""

    core: Core
    store: Store
    gateway: Gateway
    feed: EventFeed
    running: RunningFleet
    auth: AuthService
    ownership: Ownership


class NodeLinks:
    """The parts that talk to other nodes. `run` has to run for any of them to work."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        """Raises SettingsError if the setting `redis` is not an address."""
        self.name = parts.ownership.node
        self._parts = parts
        core, gateway = parts.core, parts.gateway
        try:
            address = RedisAddress.parse(settings.redis or "")
        except ValueError as exc:
            raise SettingsError([f"redis: {exc}"]) from exc
        took = core.recorder.took
        measures = BusMeasures(
            round_trip=partial(took, catalogue.REDIS_SECONDS),
            health_check=partial(took, catalogue.REDIS_CHECK_SECONDS),
        )
        self.bus = Bus(address, self.name, measures, core.spawn)
        self.presence = PresenceTable(self.bus, gateway.connections)
        self.taps = Taps(gateway, self.bus, time.monotonic)
        self._events = EventStream(address, self.bus, self._deliver, self._reset_feed)
        self._others_listen_until_s = 0.0
        self._serve()

    def _serve(self) -> None:
        """Connect the parts of the server to the other nodes."""
        bus, parts = self.bus, self._parts
        gateway = parts.gateway
        parts.feed.shared = self
        parts.auth.shared_lockout = SharedLockout(self._failure_counts)
        gateway.on_connected, gateway.on_disconnected = self.presence.connected, self.presence.disconnected
        gateway.throttle.on_failed = lambda source, cp_id: bus.broadcast(FAILED, {"source": source, "cp_id": cp_id})
        parts.ownership.ask_release, parts.ownership.announce_taken = self._ask_release, self._announce_taken
        bus.listen(FAILED, lambda _node, body: gateway.throttle.failed_elsewhere(body["source"], body["cp_id"]))
        bus.listen(REGISTRY, self._on_registry)
        bus.listen(LISTENING, self._on_listening)
        bus.listen(FIGURES, lambda _node, body: parts.feed.deliver_figures(body["figures"]))
        bus.listen(TAKEN, lambda _node, body: parts.ownership.taken(body["cp_id"], body["epoch"]))
        bus.serve(PENDING, self._pending_here)
        bus.serve(RELEASE, self._release)

    def work(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Return what has to run until the server stops."""
        work = (self.bus.run, self.presence.run, self._events.run, self.taps.run, self._report_listening)
        return [_kept_running(each) for each in work]

    async def close(self) -> None:
        """Withdraw what this node has published, while the work still runs. Never raises, and takes at most CLOSE_S."""
        with contextlib.suppress(RedisUnavailable, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.presence.withdraw()

    def _failure_counts(self, kind: str, free: int) -> SharedBackoff:
        return SharedBackoff(
            bus=self.bus, kind=kind, free=free, first_s=FIRST_S, longest_s=LONGEST_S, forget_s=FORGET_S
        )

    # where charge points are

    @property
    def nodes(self) -> Sequence[str]:
        """Return the names of the other nodes that are there."""
        return self.presence.nodes

    async def connections(self, cp_ids: Sequence[str]) -> Mapping[str, Connected]:
        """Return the connections of charge points to other nodes. Raises RedisUnavailable."""
        found = await self.presence.find_all(cp_ids)
        return {
            cp_id: Connected(protocol=each.protocol, security_profile=each.security_profile)
            for cp_id, each in found.items()
        }

    async def locate(self, cp_id: str, *, without: str | None = None) -> str | None:
        """Return the other node that a charge point is connected to, or None; see `csms.routing.Locate`."""
        if without is not None:
            self.presence.moved(cp_id)
        try:
            found = await self.presence.find(cp_id)
        except RedisUnavailable as exc:
            owner, connected = await self._place(cp_id)
            if connected and owner != self.name:
                raise RedisUnavailable(f"it is connected to node {owner}, and {exc}") from exc
            return None
        if found is not None and found.node != without:
            return found.node
        owner, connected = await self._place(cp_id)
        return owner if connected and owner not in (self.name, without) else None

    async def owner(self, cp_id: str) -> str | None:
        """Return the other node that owns a charge point, or None. Raises StoreError."""
        owner, _ = await self._place(cp_id)
        return None if owner == self.name else owner

    async def open_transactions(self, id_token: str) -> int:
        """Return how many transactions of an id token are open at other nodes' charge points. Raises StoreError."""
        return await self._parts.store.read(fleet_queries.open_transactions_of, id_token, self.name)

    async def _place(self, cp_id: str) -> tuple[str | None, bool]:
        return await self._parts.store.read(fleet_queries.place, cp_id)

    # taking a charge point from another node

    async def _ask_release(self, cp_id: str, owner: str) -> None:
        """Ask the owner of a charge point to release it; see `Ownership.ask_release`."""
        with contextlib.suppress(WattspanError):
            await self.bus.request(owner, RELEASE, {"cp_id": cp_id})

    def _announce_taken(self, cp_id: str, former: str, epoch: int) -> None:
        self.bus.send(former, TAKEN, {"cp_id": cp_id, "epoch": epoch})

    async def _release(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        await self._parts.ownership.release(body["cp_id"])
        return {}

    # registry

    def registry_changed(self, cp_id: str, change: str) -> None:
        """Report that a charge point was `registered`, `removed` or `rejected`."""
        self.bus.broadcast(REGISTRY, {"cp_id": cp_id, "change": change})

    def _on_registry(self, _node: str, body: Mapping[str, Any]) -> None:
        if body["change"] == "removed":
            self._parts.core.spawn(self._remove_decommissioned())
        else:
            self._parts.gateway.dismiss(body["cp_id"], body["change"] == "registered")

    async def _remove_decommissioned(self) -> None:
        with contextlib.suppress(StoreError):  # it is looked for every two seconds anyway
            await self._parts.running.remove_decommissioned()

    async def pending(self) -> Sequence[PendingChargePoint]:
        """Return the charge points that wait for approval on the other nodes that answer."""
        found = await self._ask_all(PENDING, {})
        return [PendingChargePoint(**each) for answer in found if answer is not None for each in answer["pending"]]

    async def _pending_here(self, _body: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"pending": [asdict(each) for each in self._parts.gateway.pending()]}

    async def erase(self, token: ErasedToken) -> ErasedFromNode:
        """Have the other nodes remove an id token from memory and files. Raises RedisUnavailable or NodeSilent."""
        body = {"id_token": token.id_token, "pseudonym": token.pseudonym}
        found = [await self.bus.request(node, ERASE, body) for node in self.nodes]
        return ErasedFromNode(
            transactions=sum(each["transactions"] for each in found), files=sum(each["files"] for each in found)
        )

    def serve_erasure(self, erasure: NodeErasure) -> None:
        """Remove an id token from this node whenever another one asks for it."""

        async def erase(body: Mapping[str, Any]) -> Mapping[str, Any]:
            return asdict(await erasure.erase(ErasedToken(body["id_token"], body["pseudonym"])))

        self.bus.serve(ERASE, erase)

    async def _ask_all(self, kind: str, body: Mapping[str, Any]) -> Sequence[Mapping[str, Any] | None]:
        """Return the answers of all other nodes; None for one that does not answer."""

        async def ask(node: str) -> Mapping[str, Any] | None:
            try:
                return await self.bus.request(node, kind, body)
            except (RedisUnavailable, NodeSilent):
                return None

        return await asyncio.gather(*map(ask, self.nodes))

    # events

    def append(self, event: ev.Event, lost: Callable[[], None]) -> None:
        """Send an event to all nodes; see `api.events.SharedStream`."""
        self._events.append(event.cp_id, type(event).__name__, as_json(json_of(event)), lost)

    def forget(self) -> None:
        """Delete the events of all nodes."""
        self._events.forget()

    def _deliver(self, event: SharedEvent) -> None:
        if event.name == CONNECTED:
            self.presence.moved(event.cp_id)
        self._parts.feed.deliver(event.number, event.cp_id, event.name, event.data)

    def _reset_feed(self, identity: str, kept: Sequence[SharedEvent]) -> None:
        self._parts.feed.reset(identity, [(each.number, each.cp_id, each.name, each.data) for each in kept])

    @property
    def wants_figures(self) -> bool:
        """Return whether somebody listens on another node."""
        return time.monotonic() < self._others_listen_until_s

    def send_figures(self, figures: Sequence[Mapping[str, Any]]) -> None:
        """Send figures to the other nodes."""
        for first in range(0, len(figures), MAX_FIGURES):
            self.bus.broadcast(FIGURES, {"figures": figures[first : first + MAX_FIGURES]})

    async def _report_listening(self) -> None:
        counters = self._parts.core.counters
        while True:
            if self._parts.feed.has_listeners:
                self.bus.broadcast(LISTENING, {})
            counters.bus_dropped = self.bus.pipeline.dropped + self.bus.expired
            await asyncio.sleep(LISTENING_S)

    def _on_listening(self, _node: str, _body: Mapping[str, Any]) -> None:
        self._others_listen_until_s = time.monotonic() + 2 * LISTENING_S


async def _kept_running(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `work` until cancelled, again and again if it fails: charging must not end with it."""
    while True:
        try:
            await work()
        except Exception:
            raise_if_cancelled()
            log.exception("a link to other nodes failed, and begins again")
        await asyncio.sleep(RESTART_S)
