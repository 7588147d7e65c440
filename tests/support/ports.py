"""Ports of loopback for servers that cannot be handed a bound socket, and one at which nobody listens."""

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
FIRST, BEYOND = 10_000, 32_768


def free_ports(count: int) -> list[int]:
    """Return different ports that nobody uses, and that the kernel hands out to nobody.

    One of its own choice may be another program's by the time a server binds it, or while that server restarts.
    """
    beyond = int(RANGE.read_text(encoding="utf-8").split()[0]) if RANGE.exists() else BEYOND
    candidates = range(FIRST, beyond) if beyond > FIRST + 1_000 else range(FIRST, BEYOND)
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().choice(candidates)
        if port not in found and _is_free(port):
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


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
