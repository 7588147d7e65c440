"""Whether anything listens at the central system's address, by the first connection attempt of every charge point.

It owns the decision. It must not know how attempts are made, or how the decision is used.
"""

import errno
import os
import socket
from collections.abc import Callable

from wattspan.errors import WattspanError

_UNREACHABLE = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL}


class CentralSystemUnreachable(WattspanError):
    """Nothing listens at `url`, or its host name cannot be resolved."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"cannot connect to {url}: {reason}")
        self.url = url


class FirstAttempts:
    """The outcomes of the first connection attempts of `charge_points` charge points.

    Calls `unreachable(reason)` once all of them have failed because nothing listens. It is never called if one of them
    found a listener, even one that refused the handshake.
    """

    def __init__(self, charge_points: int, unreachable: Callable[[str], None]) -> None:
        self._outstanding = charge_points
        self._listener_found = False
        self._unreachable = unreachable

    def record(self, error: Exception | None) -> None:
        """Record the outcome of one charge point's first attempt. Call once each; None: it connected."""
        reason = None if error is None else unreachable_reason(error)
        self._listener_found |= reason is None
        self._outstanding -= 1
        if reason is not None and not self._outstanding and not self._listener_found:
            self._unreachable(reason)


def unreachable_reason(error: Exception) -> str | None:
    """Return why nothing can be listening, or None if `error` does not prove that."""
    if isinstance(error, socket.gaierror):
        return "the host name cannot be resolved"
    if not isinstance(error, OSError):
        return None
    if error.errno in _UNREACHABLE:
        return os.strerror(error.errno).lower()
    # A host with several addresses: asyncio joins the error of each into an OSError without errno.
    joined = type(error) is OSError and error.errno is None and "Multiple exceptions" in str(error)
    return "no address of the host accepts connections" if joined else None
