"""Ports of loopback for servers that must know theirs before they bind it, and one at which nobody listens."""

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
FIRST, BEYOND = 10_000, 32_768


def _in_turn() -> Iterator[int]:
    """Yield ports again and again, from somewhere on, because other processes choose some, too.

    They are below those that the kernel gives to outgoing connections and to servers that ask for any: one of these
    could take the port between its choice and its use, or while its server is away.
    """
    beyond = int(RANGE.read_text(encoding="utf-8").split()[0]) if RANGE.exists() else BEYOND
    ports = range(FIRST, beyond if beyond > FIRST + 1_000 else BEYOND)
    begin = random.SystemRandom().randrange(len(ports))
    while True:
        yield from (*ports[begin:], *ports[:begin])


_candidates = _in_turn()


def free_ports(count: int) -> list[int]:
    """Return different ports that nobody uses, none of which was returned a short while ago."""
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
    """Return one such port."""
    (port,) = free_ports(1)
    return port


@contextmanager
def closed_port() -> Iterator[int]:
    """Yield a port that refuses connections, and that nobody else gets meanwhile: it is bound, and does not listen."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        port: int = held.getsockname()[1]
        yield port
