"""The open connections of one HTTP port and how many there may be. It knows no protocol and opens no socket.

Charge points need file descriptors too: each HTTP port may use an eighth of what the process has, and one peer half of
that, unless it is a configured proxy.
"""

import ipaddress
import resource
from collections import Counter
from collections.abc import Collection
from typing import Protocol

MAX_CONNECTIONS = 512
"""Largest limit of a port."""
MIN_CONNECTIONS = 16
"""Smallest limit of a port."""
SHARE = 8
"""A port may use one descriptor in so many."""


class Connection(Protocol):
    """A connection as the limit sees it."""

    @property
    def idle_since_s(self) -> float | None:
        """Since when no request is in progress, in the loop's seconds; None while one is."""

    def abort(self) -> None:
        """Close at once. `Connections.remove` follows."""


def connection_limit(descriptors: int | None = None) -> int:
    """Return how many connections an HTTP port may have. `descriptors`: the process's limit; None reads it."""
    if descriptors is None:
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(MIN_CONNECTIONS, min(MAX_CONNECTIONS, descriptors // SHARE))


class Connections:
    """The connections of one port. `proxies`: addresses whose connections count for the port alone."""

    def __init__(self, limit: int | None = None, proxies: Collection[str] = ()) -> None:
        self.limit = connection_limit() if limit is None else limit
        self.limit_of_peer = max(1, self.limit // 2)
        self._proxies = [ipaddress.ip_network(each, strict=False) for each in proxies]
        self._open: dict[Connection, str] = {}
        self._of_peer: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection, address: str) -> bool:
        """Count a new connection from `address` and return True, or return False if there are too many.

        At a limit, the connection that is idle longest is closed in favour of the new one: an open connection without
        a request must not keep a scraper out.
        """
        peer = self._peer(address)
        is_full = len(self._open) >= self.limit
        if (is_full or (peer and self._of_peer[peer] >= self.limit_of_peer)) and not self._make_room(
            None if is_full else peer
        ):
            return False
        self._open[connection] = peer
        self._of_peer[peer] += 1
        return True

    def remove(self, connection: Connection) -> None:
        """Stop counting a connection. Idempotent."""
        peer = self._open.pop(connection, None)
        if peer is not None:
            self._of_peer[peer] -= 1
            if not self._of_peer[peer]:
                del self._of_peer[peer]

    def _make_room(self, peer: str | None) -> bool:
        """Close the connection that is idle longest: of `peer`, or of anyone if that is None."""
        idle = (
            (since_s, connection)
            for connection, its_peer in self._open.items()
            if (peer is None or its_peer == peer) and (since_s := connection.idle_since_s) is not None
        )
        found = min(idle, key=lambda each: each[0], default=None)
        if found is None:
            return False
        self.remove(found[1])
        found[1].abort()
        return True

    def _peer(self, address: str) -> str:
        """Return the peer that an address counts for (of IPv6 the /64), or "" for a proxy."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return address or "unknown"
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        if any(parsed in network for network in self._proxies):
            return ""
        return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))  # noqa: PLR2004
