"""The OCPP ports: sockets, WebSocket options, TLS and its renewal. It must not know about authentication."""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from wattspan.errors import SettingsError
from wattspan.gateway.connection import ON_NO_HTTP, OPENINGS, ChargePointConnection
from wattspan.gateway.openings import Openings
from wattspan.gateway.proxy_header import LoadBalancers
from wattspan.gateway.secured import TlsHandshakes
from wattspan.gateway.tls import ServerTls
from wattspan.settings import Settings
from wattspan.telemetry.catalogue import CERTIFICATE_EVENT, EVENT_NAME, EXCEPTION_MESSAGE

log = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 60.0
"""Seconds for the opening handshake: the last of many that reconnect at once wait."""
CLOSE_TIMEOUT_S = 5.0
HANDSHAKE_MESSAGE_BYTES = 64 << 10
"""Longest message of a peer whose handshake is not answered yet. `max_frame_bytes` holds from then on."""
TLS_LOOK_S = 5.0
"""Interval, in seconds, at which certificate files are checked for renewal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCallbacks:
    """What `websockets` calls while a connection is opened; see `websockets.asyncio.server.serve`."""

    serve: Callable[[ServerConnection], Awaitable[None]]
    admit: Callable[[ChargePointConnection, Request], Awaitable[Response | None]]
    no_http: Callable[[], None]
    """Called for each connection that sent bytes that are no HTTP request, and was answered with 400."""
    no_header: Callable[[], None]
    """Called for each connection of a load balancer that did not begin with a PROXY protocol header."""
    answered: Callable[[ChargePointConnection, Request, Response], None]
    select: Callable[[ServerConnection, Sequence[Subprotocol]], Subprotocol | None]


class Ports:
    """One port, or two: the first without TLS and the second with it."""

    def __init__(self, settings: Settings, tls: ServerTls | None, openings: Openings | None = None) -> None:
        self._settings = settings
        self._tls = tls
        self._openings = openings
        self._handshakes: list[TlsHandshakes] = []
        self.servers: list[Server] = []
        self.accepting = False
        """True between `open` and `stop_accepting`."""

    async def open(self, callbacks: ServerCallbacks) -> None:
        """Start listening.

        Raises:
            SettingsError: a port is in use, or the host is not an address of this machine.
        """
        settings, context = self._settings, None if self._tls is None else self._tls.context
        wanted = [(settings.port, "--port", context)]
        if settings.tls_port is not None:
            wanted = [(settings.port, "--port", None), (settings.tls_port, "--tls-port", context)]
        try:
            for port, option, its_context in wanted:
                self.servers.append(await self._listen(callbacks, port, option, its_context))
        except SettingsError:
            self.stop_accepting()
            raise
        self.accepting = True

    async def _listen(
        self, callbacks: ServerCallbacks, port: int, option: str, context: ssl.SSLContext | None
    ) -> Server:
        settings = self._settings
        try:
            server = await serve(
                callbacks.serve,
                settings.host,
                port,
                create_connection=self._connection_factory(callbacks, context),
                process_request=callbacks.admit,  # type: ignore[arg-type]
                process_response=callbacks.answered,  # type: ignore[arg-type]
                select_subprotocol=callbacks.select,
                # Compression is used if the charger offers it. Windows are small because messages are.
                extensions=[ServerPerMessageDeflateFactory(server_max_window_bits=12, client_max_window_bits=12)],
                compression=None,
                max_size=min(settings.max_frame_bytes, HANDSHAKE_MESSAGE_BYTES),
                ping_interval=settings.ping_interval_s or None,
                ping_timeout=settings.ping_timeout_s or None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                server_header=None,
                logger=_quiet_logger(),
                backlog=4096,
            )
            setattr(server, ON_NO_HTTP, callbacks.no_http)
            setattr(server, OPENINGS, self._openings)
            return server
        except OSError as exc:
            if isinstance(exc, socket.gaierror):
                raise SettingsError([f"host {settings.host}: {exc.strerror}"]) from exc
            reason = os.strerror(exc.errno) if exc.errno else exc  # uvloop's own text repeats the address
            fault = f"port {settings.host}:{port}: {reason}; choose another with {option}"
            raise SettingsError([fault]) from exc

    def _connection_factory(self, callbacks: ServerCallbacks, context: ssl.SSLContext | None) -> Any:
        """Return what makes a connection's protocol. With TLS, a header could only precede the TLS handshake."""
        if context is not None:
            handshakes = TlsHandshakes(context, self._openings, CLOSE_TIMEOUT_S)
            self._handshakes.append(handshakes)
            return handshakes.make_connection
        names = self._settings.proxy_protocol_from
        if not names:
            return ChargePointConnection
        return LoadBalancers.parse(names, callbacks.no_header).make_connection

    def numbers(self) -> list[int]:
        """Return the port numbers in use, in order."""
        return [int(next(iter(server.sockets)).getsockname()[1]) for server in self.servers]

    def connections(self) -> list[ChargePointConnection]:
        """Return the open connections."""
        found: list[Any] = [connection for server in self.servers for connection in server.connections]
        return [each for each in found if isinstance(each, ChargePointConnection)]

    def stop_accepting(self) -> None:
        """Stop accepting connections. Open ones stay open."""
        self.accepting = False
        for server in self.servers:
            server.close(close_connections=False)

    async def wait_closed(self) -> None:
        """Wait until every connection has ended, without waiting for TLS handshakes."""
        for handshakes in self._handshakes:
            await handshakes.stop()
        for server in self.servers:
            await server.wait_closed()

    async def watch_tls(self, renewed: Callable[[ServerTls], None]) -> None:
        """Reload renewed certificates and revocation lists until cancelled, and call `renewed` after each."""
        while self._tls is not None:
            await asyncio.sleep(TLS_LOOK_S)
            try:
                if await asyncio.to_thread(self._tls.renew):
                    log.info("reloaded the certificate, authorities or revocation list of the OCPP port")
                    renewed(self._tls)
            except SettingsError as exc:
                fields = {EVENT_NAME: CERTIFICATE_EVENT, EXCEPTION_MESSAGE: str(exc)}
                # The file is at fault, not the code.
                log.error("%s; the old ones stay in force", exc, extra=fields)  # noqa: TRY400


def _quiet_logger() -> logging.Logger:
    """Return a logger without websockets' traceback for each failed handshake: they are counted by reason instead."""
    logger = logging.getLogger("wattspan.gateway.websockets")
    logger.setLevel(logging.ERROR)
    logger.addFilter(_is_no_handshake)
    return logger


def _is_no_handshake(record: logging.LogRecord) -> bool:
    return record.msg != "opening handshake failed"
