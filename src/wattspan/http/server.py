"""HTTP servers in this event loop. It owns sockets, TLS and shutdown; the applications it serves are passed in."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp

from wattspan.errors import SettingsError
from wattspan.http.connections import Connection, Connections
from wattspan.http.protocol import BoundedHttp, HttpConfig, Refused
from wattspan.http.tls import TlsAcceptor

log = logging.getLogger(__name__)

STOP_S = 3
"""How long running answers may take at shutdown, s."""
CANCEL_S = 1.0
"""How long answers that were cancelled may take to clean up, s."""
TICK_S = 1.0
"""How often the Date header is renewed and connections are checked, s."""
BACKLOG = 64
"""Connections that may wait to be accepted: all of them take a descriptor before the excess is refused."""
UNSENT_BYTES = 131_072
"""What the kernel keeps of an answer that the peer does not read (TCP_NOTSENT_LOWAT)."""


class _Server(uvicorn.Server):
    """uvicorn without signal handlers (the application has its own) and without polling.

    uvicorn checks ten times a second whether it should exit, and waits a tenth of a second for connections to close.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.exiting = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        """Renew the Date header and check the connections each second until `exiting` is set."""
        while not self.exiting.is_set():
            await self.on_tick(0)
            for connection in self._bounded():
                connection.check()
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self.exiting.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port and idle connections at once, the others after their answer or after STOP_S."""
        for server in self.servers:
            server.close()
        for listening in sockets or ():
            listening.close()
        connections = self._bounded()
        for connection in connections:
            connection.shutdown()
        closing = [*self.server_state.tasks, *(each.closed for each in connections)]
        if not closing:
            return
        await asyncio.wait(closing, timeout=self.config.timeout_graceful_shutdown)
        if tasks := list(self.server_state.tasks):
            log.error("%d running answers are cut off: they did not end in time", len(tasks))
            uvicorn_log = logging.getLogger("uvicorn.error")
            uvicorn_log.addFilter(_is_no_cancellation)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=CANCEL_S)  # what they note at their end needs the store
            uvicorn_log.removeFilter(_is_no_cancellation)

    def _bounded(self) -> list[BoundedHttp]:
        return [each for each in self.server_state.connections if isinstance(each, BoundedHttp)]


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """Return whether uvicorn reports a fault. It also has a traceback for each answer that is cut off."""
    return record.exc_info is None or not isinstance(record.exc_info[1], asyncio.CancelledError)


class HttpServer:
    """Serves an ASGI application on its own port, in this event loop.

    `start` binds and listens; `stop` gives running answers STOP_S seconds to finish. Port 0 takes a free port, see
    `port`. `name` describes the port in errors, and `option` is the command-line option that chooses another.
    `trusted_proxies` are addresses and networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    `on_refused` is called with the status of each answer that the application did not give. `max_connections` None:
    the limit follows from the process's file descriptors.
    """

    def __init__(  # noqa: PLR0913  one argument a property of the port
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        option: str = "--metrics-port",
        name: str = "metrics port",
        trusted_proxies: Sequence[str] = (),
        on_refused: Refused = lambda _status: None,
        max_connections: int | None = None,
    ) -> None:
        self._host = host
        self._option = option
        self._name = name
        self._config = HttpConfig(
            app,
            connections=Connections(max_connections, trusted_proxies),
            on_refused=on_refused,
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=list(trusted_proxies),
            backlog=BACKLOG,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=STOP_S,
            ssl_certfile=tls_cert,
            ssl_keyfile=tls_key,
        )
        self._server = _Server(self._config)
        self._serving: asyncio.Task[None] | None = None
        self._acceptor: TlsAcceptor | None = None
        self.port = port
        """The port in use, once started."""

    async def start(self) -> None:
        """Serve until `stop`. Raises SettingsError if the port is taken or the certificate can't be read."""
        try:
            self._config.load()
        except (OSError, ssl.SSLError) as exc:
            raise SettingsError([f"{self._name}: TLS certificate or key can't be used: {exc}"]) from exc
        listening = await _bound(self._host, self.port, self._name, self._option)
        self.port = listening.getsockname()[1]
        context = self._config.ssl
        sockets = [listening] if context is None else []
        self._serving = asyncio.create_task(self._server.serve(sockets=sockets), name=self._name)
        while not self._server.started:
            if self._serving.done():
                self._serving.result()
            await asyncio.sleep(0)
        if context is not None:
            self._acceptor = TlsAcceptor(listening, context, self._protocol, self._config.connections)
            self._acceptor.start(BACKLOG)
        # The thread pool's first use takes 30 ms; without this, messages would wait that long at the first scrape.
        await run_in_threadpool(lambda: None)

    async def stop(self) -> None:
        """Close the port. If this is cancelled, the server goes on stopping by itself."""
        if self._acceptor is not None:
            await self._acceptor.stop()
        if self._serving is not None:
            self._server.exiting.set()
            await asyncio.shield(self._serving)
            self._serving = None

    def _protocol(self, handshake: Connection) -> BoundedHttp:
        http = BoundedHttp(self._config, self._server.server_state, {})
        http.handshake = handshake
        return http


async def _bound(host: str, port: int, name: str, option: str) -> socket.socket:
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        taken = socket.socket(family, socket.SOCK_STREAM)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
            taken.bind(address)
        except OSError:
            taken.close()
            raise
    except OSError as exc:
        reason = exc.strerror or str(exc)
        fault = f"{name} {host}:{port}: {reason}; choose another with {option}"
        raise SettingsError([fault]) from exc
    return taken
