"""Ports for servers that must know theirs before they bind it, and that have the same again after a restart."""

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"
PORTS = range(10_000, 32_000)
"""Below those that the kernel gives to outgoing connections and to servers that ask for any: one of these could take
the port between its choice and its use, or while its server is away."""


def _in_turn() -> Iterator[int]:
    """All of them again and again, from somewhere: other processes choose ports, too."""
    begin = random.randrange(len(PORTS))
    while True:
        yield from (*PORTS[begin:], *PORTS[:begin])


_candidates = _in_turn()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody uses, all different, and none that was returned a short while ago."""
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            probe, port = held.enter_context(socket.socket()), next(_candidates)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            found.append(port)
        return found


def free_port() -> int:
    """One of them."""
    (port,) = free_ports(1)
    return port
