"""Connections whose handshake request has not arrived, and how many there may be. It knows no sockets of its own.

Whoever connects and stays silent would otherwise use up the file descriptors that charge points need. With TLS, a
connection is here twice, one after the other: during its TLS handshake, and until its request arrives.
"""

import resource
from collections.abc import Callable
from typing import Protocol

SHARE = 2
"""They may use one descriptor in so many."""
MIN_OPENINGS = 64
REASON, TEXT = "silent", "it sent no request, and there are too many such connections"
"""What is counted and recorded of each connection that is closed for the limit."""


class Opening(Protocol):
    """A connection that has sent no request yet."""

    def abort_silent(self) -> None:
        """Close at once."""


def openings_limit(descriptors: int | None = None) -> int | None:
    """Return how many there may be; None: any number. `descriptors`: the process's limit; None reads it."""
    if descriptors is None:
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if descriptors == resource.RLIM_INFINITY else max(MIN_OPENINGS, descriptors // SHARE)


class Openings:
    """The silent connections of all OCPP ports, the oldest first. Beyond the limit the oldest one is closed."""

    def __init__(self, on_closed: Callable[[], None], limit: int | None = None) -> None:
        """`on_closed` is called for each connection that is closed for the limit."""
        self._on_closed = on_closed
        self._limit = openings_limit() if limit is None else limit
        self._silent: dict[Opening, None] = {}

    def __len__(self) -> int:
        return len(self._silent)

    def add(self, opening: Opening) -> None:
        """Add a new connection, and close the oldest one if there are too many."""
        self._silent[opening] = None
        if self._limit is not None and len(self._silent) > self._limit:
            oldest = next(iter(self._silent))
            del self._silent[oldest]
            self._on_closed()
            oldest.abort_silent()

    def remove(self, opening: Opening) -> None:
        """Remove a connection whose request has arrived, or that is lost. Idempotent."""
        self._silent.pop(opening, None)
