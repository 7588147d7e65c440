"""The metrics port: /metrics, /healthz, /readyz. It owns HTTP and who may read; what is read it must not know."""

import asyncio
import hashlib
import hmac
import logging
import socket
import ssl
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from wattspan.errors import SettingsError
from wattspan.http.protocol import BoundedHttp
from wattspan.settings import Settings
from wattspan.telemetry.prometheus.exposition import Format, takes_gzip, wanted

log = logging.getLogger(__name__)

STOP_S = 3
"""How long running answers may take at shutdown, s."""
CANCEL_S = 1.0
"""How long answers that were cut off may take to clean up, s."""
DATE_S = 1.0
"""How often the Date header is renewed."""

Ready = Callable[[], Sequence[str]]
"""Why the central system is not ready, one reason an entry; empty when it is."""


class Scraper(Protocol):
    """Where the page comes from: `PrometheusReader`."""

    async def scrape(self, form: Format, *, names: Sequence[str], gzip: bool) -> list[bytes]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may read /metrics: whoever has the bearer token or the user's password; anybody when none is set."""

    token: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As it is set."""
        return cls(
            token=_revealed(settings.metrics_token),
            user=settings.metrics_user,
            password=_revealed(settings.metrics_password),
        )

    @property
    def challenge(self) -> str:
        """The WWW-Authenticate header of a refusal (RFC 9110 §11.6.1); empty when anybody may read."""
        schemes = {"Bearer": self.token, "Basic": self.password}
        return ", ".join(f'{scheme} realm="wattspan"' for scheme, secret in schemes.items() if secret is not None)

    def allows(self, authorization: str) -> bool:
        """Whether an Authorization header will do. Takes the same time wherever a wrong one differs."""
        if not self.challenge:
            return True
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "bearer" and self.token is not None:
            return _same(given.strip().encode(), self.token.encode())
        if scheme.lower() == "basic" and self.password is not None:
            try:
                sent = b64decode(given.strip(), validate=True)
            except (Base64Error, ValueError):
                return False
            return _same(sent, f"{self.user or ''}:{self.password}".encode())
        return False


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _same(given: bytes, expected: bytes) -> bool:
    # Digests are of one length, so not even the secret's length shows.
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(expected).digest())


def metrics_app(scraper: Scraper, *, ready: Ready, access: Access | None = None, any_path: bool = False) -> Starlette:
    """The ASGI application of the metrics port. Health needs no credentials: it says nothing worth hiding.

    `any_path`: every path but those of health is the page.
    """
    door = access or Access()

    async def metrics(request: Request) -> Response:
        if not door.allows(request.headers.get("authorization", "")):
            return PlainTextResponse("credentials needed\n", 401, {"WWW-Authenticate": door.challenge})
        form = wanted(request.headers.get("accept", ""))
        gzip = takes_gzip(request.headers.get("accept-encoding", ""))
        headers = {"Content-Type": form.value, "Vary": "Accept, Accept-Encoding", "Cache-Control": "no-store"}
        if gzip:
            headers["Content-Encoding"] = "gzip"
        if request.method == "HEAD":
            return Response(headers=headers)
        pieces = await scraper.scrape(form, names=request.query_params.getlist("name[]"), gzip=gzip)
        headers["Content-Length"] = str(sum(map(len, pieces)))
        return StreamingResponse(_each(pieces), headers=headers)

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        reasons = ready()
        return PlainTextResponse("".join(f"{each}\n" for each in reasons) or "ready\n", 503 if reasons else 200)

    page = Route("/{path:path}" if any_path else "/metrics", metrics)
    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), page])


async def _each(pieces: list[bytes]) -> AsyncIterator[bytes]:
    """The pieces in order, each let go once it is sent: to free a whole page at once stops the loop for 10 ms."""
    pieces.reverse()
    while pieces:
        yield pieces.pop()


class _Server(uvicorn.Server):
    """uvicorn without signal handlers (the application has its own) and without polling.

    uvicorn looks ten times a second for whether it should exit, and waits a tenth of a second for connections to close.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.exiting = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        """Renew the Date header each second until `exiting` is set."""
        while not self.exiting.is_set():
            await self.on_tick(0)
            with suppress(TimeoutError):
                async with asyncio.timeout(DATE_S):
                    await self.exiting.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port and idle connections at once, the others after their answer or after STOP_S."""
        for server in self.servers:
            server.close()
        for listening in sockets or ():
            listening.close()
        connections = [each for each in self.server_state.connections if isinstance(each, BoundedHttp)]
        for connection in connections:
            connection.shutdown()
        closing = [*self.server_state.tasks, *(each.closed for each in connections)]
        if not closing:
            return
        await asyncio.wait(closing, timeout=self.config.timeout_graceful_shutdown)
        if tasks := list(self.server_state.tasks):
            log.error("%d running answers are cut off: they did not end in time", len(tasks))
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=CANCEL_S)  # what they note at their end needs the store


class HttpServer:
    """Serves an ASGI application on its own port, in this event loop.

    `start` binds and listens, `stop` lets running answers finish for STOP_S. A port 0 takes a free one, see `port`.
    `option` is what chooses the port, for whoever reads that it is taken.
    `name` is what the port is for, in words.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        option: str = "--metrics-port",
        name: str = "metrics port",
    ) -> None:
        self._host = host
        self._option = option
        self._name = name
        self._config = uvicorn.Config(
            app,
            http=BoundedHttp,
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
        self.port = port
        """The port in use, once started."""

    async def start(self) -> None:
        """Serve until `stop`. Raises SettingsError when the port is taken or the certificate can't be read."""
        try:
            self._config.load()
        except (OSError, ssl.SSLError) as exc:
            raise SettingsError([f"{self._name}: TLS certificate or key can't be used: {exc}"]) from exc
        listening = await _bound(self._host, self.port, self._name, self._option)
        self.port = listening.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]), name=self._name)
        while not self._server.started:
            if self._serving.done():
                self._serving.result()
            await asyncio.sleep(0)
        # What it loads at its first use takes 30 ms, in which messages would wait for the first scrape.
        await run_in_threadpool(lambda: None)

    async def stop(self) -> None:
        """Close the port. Cancelling it leaves the server to end by itself."""
        if self._serving is not None:
            self._server.exiting.set()
            await asyncio.shield(self._serving)
            self._serving = None


async def _bound(host: str, port: int, name: str, option: str) -> socket.socket:
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        taken = socket.socket(family, socket.SOCK_STREAM)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(address)
        except OSError:
            taken.close()
            raise
    except OSError as exc:
        reason = exc.strerror or str(exc)
        fault = f"{name} {host}:{port}: {reason}; choose another with {option}"
        raise SettingsError([fault]) from exc
    return taken
