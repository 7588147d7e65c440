"""Watches the messages of a charge point wherever it is connected.

Every node is asked to send the messages of a charge point while somebody watches it, for the charge point may move from
one to another. The request is repeated and expires, so that no node goes on when the one that asked is gone.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from wattspan.csms.connections import Connections, OnMessage
from wattspan.csms.plugins.audit import mask

REPEAT_S = 3.0
EXPIRY_S = 10.0
MAX_WATCHED = 100
"""Requests of other nodes that are served at a time."""
MAX_BYTES = 20_000
"""The longest message that is sent to another node whole."""
WATCH, MESSAGE = "watch", "watched message"


class Nodes(Protocol):
    """The other nodes. `cluster.bus.Bus` implements it."""

    def broadcast(self, topic: str, body: Mapping[str, Any]) -> None: ...
    def send(self, node: str, topic: str, body: Mapping[str, Any]) -> None: ...
    def listen(self, topic: str, on_broadcast: Callable[[str, Mapping[str, Any]], None]) -> None: ...


@dataclass(slots=True)
class _Served:
    """A request of another node."""

    end: Callable[[], None]
    until_s: float


class Taps:
    """Watches connections of this node and, with `nodes`, those of other nodes. `clock` is monotonic, in seconds."""

    def __init__(self, connections: Connections, nodes: Nodes, clock: Callable[[], float]) -> None:
        self._connections = connections
        self._nodes = nodes
        self._clock = clock
        self._watching: dict[str, tuple[str, OnMessage]] = {}
        self._served: dict[str, _Served] = {}
        nodes.listen(WATCH, self._on_watch)
        nodes.listen(MESSAGE, self._on_message)

    def watch(self, cp_id: str, on_message: OnMessage) -> Callable[[], None]:
        """Call `on_message` with every message of a charge point. Returns a function that ends it.

        Messages from other nodes are masked, and long ones left out.
        """
        end_own = self._connections.watch(cp_id, on_message)
        watch_id = secrets.token_hex(8)
        self._watching[watch_id] = (cp_id, on_message)
        self._nodes.broadcast(WATCH, {"id": watch_id, "cp_id": cp_id})

        def end() -> None:
            end_own()
            del self._watching[watch_id]
            self._nodes.broadcast(WATCH, {"id": watch_id, "cp_id": None})

        return end

    async def run(self) -> None:
        """Repeat our requests, and end those of others that were not repeated; until cancelled."""
        while True:
            await asyncio.sleep(REPEAT_S)
            for watch_id, (cp_id, _) in self._watching.items():
                self._nodes.broadcast(WATCH, {"id": watch_id, "cp_id": cp_id})
            self.end_expired()

    def end_expired(self) -> None:
        """End what other nodes have not asked for again."""
        now_s = self._clock()
        for watch_id in [each for each, served in self._served.items() if served.until_s < now_s]:
            self._served.pop(watch_id).end()

    def _on_watch(self, node: str, body: Mapping[str, Any]) -> None:
        watch_id, cp_id = body["id"], body["cp_id"]
        served = self._served.get(watch_id)
        if cp_id is None:
            if served is not None:
                self._served.pop(watch_id).end()
        elif served is not None:
            served.until_s = self._clock() + EXPIRY_S
        elif len(self._served) < MAX_WATCHED:
            end = self._connections.watch(cp_id, self._sender(node, watch_id))
            self._served[watch_id] = _Served(end, self._clock() + EXPIRY_S)

    def _sender(self, node: str, watch_id: str) -> OnMessage:
        def send(direction: str, data: bytes) -> None:
            body = {"id": watch_id, "direction": direction, "text": _masked(data)}
            self._nodes.send(node, MESSAGE, body)

        return send

    def _on_message(self, _node: str, body: Mapping[str, Any]) -> None:
        watching = self._watching.get(body["id"])
        if watching is not None:
            watching[1](body["direction"], body["text"].encode())


def _masked(data: bytes) -> str:
    """Return a message as JSON, masked; of one that is not JSON or too long, only blanks of its length."""
    if len(data) <= MAX_BYTES:
        try:
            return orjson.dumps(mask(orjson.loads(data))).decode()
        except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
            pass
    return " " * min(len(data), MAX_BYTES + 1)
