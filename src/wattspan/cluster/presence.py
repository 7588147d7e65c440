"""Which charge point is connected to which node, in Redis: a hash a node, which expires unless the node renews it.

It is a hint that is at most EXPIRY_S old. Who owns a charge point is decided by the database.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from wattspan.cluster.bus import Bus
from wattspan.cluster.redis import raise_if_cancelled
from wattspan.errors import RedisUnavailable

RENEW_S = 5.0
QUICK_S = 0.5
QUICK_ROUNDS = 6
EXPIRY_S = 15
SLICE = 500
"""Charge points in one command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """The connection of a charge point to a node."""

    node: str
    protocol: str
    """Its WebSocket subprotocol."""
    security_profile: int
    since_ts: float
    """When it was opened, Unix seconds by the clock of Redis."""


class PresenceTable:
    """The connections of this node as others see them, and those of others. `connections` returns our own."""

    def __init__(self, bus: Bus, connections: Callable[[], Iterable[tuple[str, str, int]]]) -> None:
        self._bus = bus
        self._connections = connections
        self._since: dict[str, float] = {}
        self._nodes: Sequence[str] | None = None
        """None: not known, because Redis was not reached yet, or was away at the last renewal."""
        self._found: dict[str, Presence] = {}
        """What `find` found since the last renewal, so that commands in a row look a charge point up once."""
        self._moves = 0
        self._renew = asyncio.Event()
        self._quick_rounds = 0
        bus.on_return(self._begin_anew)

    def _begin_anew(self) -> None:
        """Renew at once, and a few times soon after, so that all nodes find each other quickly."""
        self._quick_rounds = QUICK_ROUNDS
        self._renew.set()

    @property
    def nodes(self) -> Sequence[str]:
        """Return the other nodes that are there, as of the last renewal; none if Redis was not reached."""
        return self._nodes or ()

    def connected(self, cp_id: str, protocol: str, security_profile: int) -> None:
        """Publish a connection of this node."""
        self._since[cp_id] = self._bus.redis_now_s()
        self._bus.pipeline.post(
            "HSET", self._key(self._bus.node), cp_id, self._value(cp_id, protocol, security_profile)
        )

    def disconnected(self, cp_id: str) -> None:
        """Withdraw a connection of this node."""
        if self._since.pop(cp_id, None) is not None:
            self._bus.pipeline.post("HDEL", self._key(self._bus.node), cp_id)

    def moved(self, cp_id: str) -> None:
        """Look a charge point up anew: it has connected to some node."""
        self._moves += 1
        self._found.pop(cp_id, None)

    async def find(self, cp_id: str) -> Presence | None:
        """Return the newest connection of a charge point to another node, or None. Raises RedisUnavailable.

        It may be older than what `find_all` returns: by as long as events take, or RENEW_S if they do not arrive.
        """
        found, moves = self._found.get(cp_id), self._moves
        if found is None:
            found = (await self.find_all([cp_id])).get(cp_id)
            if found is not None and moves == self._moves:
                self._found[cp_id] = found
        return found

    async def find_all(self, cp_ids: Sequence[str]) -> Mapping[str, Presence]:
        """Return the connections to other nodes of those charge points that have one. Raises RedisUnavailable."""
        if self._nodes is None:
            raise RedisUnavailable("which nodes are there is not known yet")
        if not cp_ids:
            return {}
        nodes = list(self._nodes)
        answers = await asyncio.gather(
            *(self._bus.pipeline.ask("HMGET", self._key(node), *cp_ids) for node in nodes), return_exceptions=True
        )
        found: dict[str, Presence] = {}
        for node, answer in zip(nodes, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            for cp_id, value in zip(cp_ids, answer, strict=True):
                each = None if value is None else _presence(node, value)
                if each is not None and (cp_id not in found or found[cp_id].since_ts < each.since_ts):
                    found[cp_id] = each
        return found

    async def run(self) -> None:
        """Renew what is published, until cancelled."""
        while True:
            try:
                await self._renew_once()
            except RedisUnavailable:
                raise_if_cancelled()
                self._nodes = None
            try:
                async with asyncio.timeout(QUICK_S if self._quick_rounds else RENEW_S):
                    await self._renew.wait()
            except TimeoutError:
                self._quick_rounds = max(0, self._quick_rounds - 1)
            self._renew.clear()

    async def withdraw(self) -> None:
        """Delete what is published, because the node stops. Raises RedisUnavailable."""
        ask = self._bus.pipeline.ask
        await asyncio.gather(ask("DEL", self._key(self._bus.node)), ask("ZREM", self._nodes_key, self._bus.node))

    async def _renew_once(self) -> None:
        self._found.clear()
        ask, key, now_s = self._bus.pipeline.ask, self._key(self._bus.node), self._bus.redis_now_s()
        own = list(self._connections())
        renewed, length = await asyncio.gather(ask("EXPIRE", key, EXPIRY_S), ask("HLEN", key))
        if not renewed or length != len(own):
            await self._write_all(key, own)
        await ask("ZADD", self._nodes_key, now_s, self._bus.node)
        there = await ask("ZRANGE", self._nodes_key, now_s - EXPIRY_S, "+inf", "BYSCORE")
        self._nodes = [name for each in there if (name := each.decode()) != self._bus.node]
        self._bus.pipeline.post("ZREMRANGEBYSCORE", self._nodes_key, "-inf", now_s - 100 * EXPIRY_S)

    async def _write_all(self, key: str, own: Sequence[tuple[str, str, int]]) -> None:
        """Write every connection: the first time, and when Redis has lost them or has others."""
        ask = self._bus.pipeline.ask
        for cp_id, _, _ in own:
            self._since.setdefault(cp_id, self._bus.redis_now_s())
        await ask("DEL", key)
        for first in range(0, len(own), SLICE):
            fields: list[Any] = []
            for cp_id, protocol, profile in own[first : first + SLICE]:
                fields += [cp_id, self._value(cp_id, protocol, profile)]
            await ask("HSET", key, *fields)
        await ask("EXPIRE", key, EXPIRY_S)

    def _value(self, cp_id: str, protocol: str, security_profile: int) -> bytes:
        return orjson.dumps([protocol, security_profile, self._since.get(cp_id, 0.0)])

    def _key(self, node: str) -> str:
        return f"{self._bus.prefix}:presence:{node}"

    @property
    def _nodes_key(self) -> str:
        return f"{self._bus.prefix}:nodes"


def _presence(node: str, value: bytes) -> Presence:
    protocol, profile, since_ts = orjson.loads(value)
    return Presence(node=node, protocol=protocol, security_profile=profile, since_ts=since_ts)
