"""TLS handshakes of an HTTP port, counted among its connections. It knows nothing of HTTP.

With TLS, asyncio calls a protocol when the handshake is complete. Connections that never begin one would take file
descriptors that nobody counts.
"""

import asyncio
import contextlib
import ssl
from typing import cast

from uvicorn.protocols.utils import get_remote_addr

from wattspan.http.connections import Connections

HANDSHAKE_S = 10.0
"""How long a handshake may take, s."""


class TlsHandshake(asyncio.Protocol):
    """Accepts a connection, and hands it to `protocol` once its handshake is complete."""

    is_opening = True

    def __init__(self, protocol: asyncio.Protocol, context: ssl.SSLContext, connections: Connections) -> None:
        self._protocol = protocol
        self._context = context
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._since_s = self._loop.time()
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None] | None = None

    @property
    def idle_since_s(self) -> float | None:
        """Since when the handshake lasts: it makes room for another connection, see `Connections.add`."""
        return self._since_s

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = get_remote_addr(self._transport)
        if not self._connections.add(self, "" if peer is None else peer[0]):
            self._transport.abort()
            return
        self._transport.pause_reading()  # the handshake begins with what is read next
        self._task = self._loop.create_task(self._shake_hands())

    async def _shake_hands(self) -> None:
        early = _Early()
        try:
            secured = await self._loop.start_tls(
                self._transport, early, self._context, server_side=True, ssl_handshake_timeout=HANDSHAKE_S
            )
        except (OSError, ssl.SSLError, TimeoutError):
            self._transport.abort()
            return
        finally:
            self._connections.remove(self)
        if secured is None or early.lost or self._transport.is_closing():
            return  # uvloop raises no error when the connection closes during the handshake
        secured.set_protocol(self._protocol)
        self._protocol.connection_made(secured)
        if early.data and not secured.is_closing():
            self._protocol.data_received(bytes(early.data))
        if early.ended:
            with contextlib.suppress(OSError):
                self._protocol.eof_received()


class _Early(asyncio.Protocol):
    """Keeps what arrives with the end of the handshake, before the protocol has its transport."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = self.lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> None:
        self.ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
