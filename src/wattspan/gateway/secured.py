"""Connections of an OCPP port with TLS: their TLS handshakes are counted with the other silent connections.

The event loop would begin any number of handshakes, and tell nobody. It must not know certificates.
"""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from wattspan.gateway.connection import ChargePointConnection
from wattspan.gateway.openings import Openings

log = logging.getLogger(__name__)

HANDSHAKE_S = 30.0
"""Seconds that a TLS handshake may take. The last of 10,000 that reconnect at once wait half of that."""


class TlsHandshakes:
    """The TLS handshakes of a port, from the accepted connection on. `shutdown_s`: how long a TLS closure may take."""

    def __init__(self, context: ssl.SSLContext, openings: Openings | None, shutdown_s: float) -> None:
        self._context = context
        self._openings = openings
        self._shutdown_s = shutdown_s
        self._running: set[_Handshake] = set()

    def starting(self, make_protocol: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        """Return a factory of protocols that begin with a TLS handshake and go on as those of `make_protocol`."""
        return lambda: _Starting(self, make_protocol)

    def make_connection(self, *args: Any, **kwargs: Any) -> "SecuredConnection":
        """Return a connection, as `create_connection` of `websockets` does."""
        connection = SecuredConnection(*args, **kwargs)
        connection.handshakes = self
        return connection

    def begin(self, transport: asyncio.BaseTransport, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        """Take over the socket of a connection without TLS; the protocol gets a transport when the handshake is over.

        `loop.start_tls` would lose what arrives before it: uvloop reads from a new connection whatever its protocol
        says.
        """
        accepted = transport.get_extra_info("socket")
        transport.set_protocol(asyncio.Protocol())
        try:
            own = socket.socket(fileno=os.dup(accepted.fileno()))
        except OSError as fault:  # no descriptor is left
            log.debug("no TLS handshake began: %s", fault)
            transport.abort()  # type: ignore[attr-defined]
            return
        transport.abort()  # type: ignore[attr-defined]
        own.setblocking(False)
        handshake = _Handshake(own)
        if self._openings is not None:
            self._openings.add(handshake)
        self._running.add(handshake)
        handshake.task = asyncio.get_running_loop().create_task(self._secure(handshake, make_protocol))

    async def stop(self) -> None:
        """End the handshakes that are not complete."""
        running = list(self._running)
        for handshake in running:
            handshake.abort_silent()
        await asyncio.gather(*[handshake.task for handshake in running])

    async def _secure(self, handshake: "_Handshake", make_protocol: Callable[[], asyncio.Protocol]) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                make_protocol,
                handshake.connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=self._shutdown_s,
            )
        except (OSError, ssl.SSLError) as fault:
            log.debug("TLS handshake failed: %s", fault)
        finally:
            self._running.discard(handshake)
            if self._openings is not None:
                self._openings.remove(handshake)


class _Handshake:
    """A TLS handshake that is not complete."""

    task: asyncio.Task[None]

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def abort_silent(self) -> None:
        """Make the handshake fail. Cancelled in its first turns of the loop, uvloop would leave the socket open."""
        with suppress(OSError):  # the peer is gone
            self.connection.shutdown(socket.SHUT_RDWR)


class _Starting(asyncio.Protocol):
    """An accepted connection, for a moment."""

    def __init__(self, handshakes: TlsHandshakes, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        self._handshakes = handshakes
        self._make_protocol = make_protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the transport."""
        self._handshakes.begin(transport, self._make_protocol)


class SecuredConnection(ChargePointConnection):
    """A connection that begins with a TLS handshake."""

    __slots__ = ("handshakes",)

    handshakes: TlsHandshakes | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the accepted connection, then by the one with TLS."""
        if self.handshakes is None:
            super().connection_made(transport)
        else:
            handshakes, self.handshakes = self.handshakes, None
            handshakes.begin(transport, lambda: self)
