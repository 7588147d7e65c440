"""Watching messages across nodes. The nodes pass messages to each other in memory."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from wattspan.csms.connections import OnMessage
from wattspan.csms.taps import EXPIRY_S, Taps


class Network:
    """Delivers at once what nodes send each other."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}


class Node:
    """A node: its connections, which a test feeds, and its end of the network."""

    def __init__(self, network: Network, name: str) -> None:
        self.name, self.network, self.now_s = name, network, 0.0
        self.watched: dict[str, list[OnMessage]] = {}
        self.listening: dict[str, Callable[[str, Mapping[str, Any]], None]] = {}
        network.nodes[name] = self
        connections: Any = self
        self.taps = Taps(connections, self, lambda: self.now_s)

    def watch(self, cp_id: str, on_message: OnMessage) -> Callable[[], None]:
        self.watched.setdefault(cp_id, []).append(on_message)
        return lambda: self.watched[cp_id].remove(on_message)

    def broadcast(self, topic: str, body: Mapping[str, Any]) -> None:
        for node in self.network.nodes.values():
            if node is not self:
                node.listening[topic](self.name, body)

    def send(self, node: str, topic: str, body: Mapping[str, Any]) -> None:
        self.network.nodes[node].listening[topic](self.name, json.loads(json.dumps(body)))

    def listen(self, topic: str, on_broadcast: Callable[[str, Mapping[str, Any]], None]) -> None:
        self.listening[topic] = on_broadcast

    def receives(self, cp_id: str, data: bytes) -> None:
        for on_message in list(self.watched.get(cp_id, ())):
            on_message("in", data)


def two_nodes() -> tuple[Node, Node]:
    network = Network()
    return Node(network, "north"), Node(network, "south")


def test_messages_come_from_whichever_node_has_the_connection_masked_if_it_is_another() -> None:
    north, south = two_nodes()
    seen: list[tuple[str, bytes]] = []
    end = south.taps.watch("CP1", lambda direction, data: seen.append((direction, data)))
    north.receives("CP1", b'[2,"1","Authorize",{"idTag":"SECRET"}]')
    south.receives("CP1", b"[3]")
    assert seen[1] == ("in", b"[3]")
    assert b"Authorize" in seen[0][1]
    assert b"SECRET" not in seen[0][1]
    end()
    assert north.watched == south.watched == {"CP1": []}


def test_what_is_no_json_or_too_long_is_sent_as_its_length_only() -> None:
    north, south = two_nodes()
    seen: list[bytes] = []
    south.taps.watch("CP1", lambda _direction, data: seen.append(data))
    north.receives("CP1", b"no json")
    north.receives("CP1", b"[" + b"1" * 30_000 + b"]")
    assert [(len(each), each.strip()) for each in seen] == [(7, b""), (20_001, b"")]


async def test_a_node_that_is_gone_is_not_served_for_ever() -> None:
    north, south = two_nodes()
    south.taps.watch("CP1", lambda _direction, _data: None)
    del north.network.nodes["south"]
    assert len(north.watched["CP1"]) == 1
    north.now_s = EXPIRY_S + 1
    north.taps.end_expired()
    assert north.watched["CP1"] == []
