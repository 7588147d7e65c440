"""Accepts TLS connections within the limits of an HTTP port: handshakes count as connections and have little time.

It owns a connection until its handshake is complete. It must not know HTTP.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from wattspan.http.connections import Connection, Connections

log = logging.getLogger(__name__)

HANDSHAKE_S = 10.0
"""How long a TLS handshake may take, s."""
RETRY_S = 0.1
"""How long accepting pauses when the process has no descriptor left, s."""

MakeProtocol = Callable[[Connection], asyncio.Protocol]
"""Returns the protocol of a connection, which removes the given handshake from the limits when it begins."""


class TlsAcceptor:
    """Accepts the connections of a listening socket. uvicorn would start any number of handshakes, of 60 s each."""

    def __init__(
        self, listening: socket.socket, context: ssl.SSLContext, make_protocol: MakeProtocol, limits: Connections
    ) -> None:
        self._listening = listening
        self._context = context
        self._make_protocol = make_protocol
        self._limits = limits
        self._handshakes: set[_Handshake] = set()
        self._accepting: asyncio.Task[None] | None = None

    def start(self, backlog: int) -> None:
        """Begin to accept."""
        self._listening.setblocking(False)
        self._listening.listen(backlog)
        self._accepting = asyncio.create_task(self._accept())

    async def stop(self) -> None:
        """Stop accepting, and end the handshakes that are not complete."""
        tasks = [handshake.task for handshake in self._handshakes]
        for task in [*tasks, *([self._accepting] if self._accepting is not None else [])]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._listening.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listening)
            except OSError as fault:
                log.debug("no connection accepted: %s", fault)
                await asyncio.sleep(RETRY_S)
                continue
            handshake = _Handshake(connection, loop.time())
            if self._limits.add(handshake, address[0]):
                self._handshakes.add(handshake)
                handshake.task = loop.create_task(self._secure(handshake))
            else:
                connection.close()

    async def _secure(self, handshake: "_Handshake") -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: self._make_protocol(handshake),
                handshake.connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_S,
            )
        except (OSError, ssl.SSLError) as fault:
            log.debug("TLS handshake failed: %s", fault)
        finally:
            self._limits.remove(handshake)
            self._handshakes.discard(handshake)


class _Handshake:
    """A connection whose handshake is not complete. It counts as idle: nothing is lost if it is closed."""

    task: asyncio.Task[None]

    def __init__(self, connection: socket.socket, since_s: float) -> None:
        self.connection = connection
        self.idle_since_s: float | None = since_s

    def abort(self) -> None:
        """Close the connection."""
        self.task.cancel()
