"""The relay: accepts charge points, connects each to the central system, and joins both connections.

It owns the port and the handshakes. It must not know what a frame means: a `LinkObserver` is given each
frame after it was relayed.
"""

import asyncio
import http
import logging
import math
import os
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Close
from websockets.http11 import Request, Response

from wattspan.errors import HandshakeRefused, SettingsError
from wattspan.gateway import openings
from wattspan.gateway.certificates import PeerCertificate, Revocations
from wattspan.gateway.openings import Openings
from wattspan.gateway.secured import TlsHandshakes
from wattspan.proxy.dialing import RETRY_AFTER_S, SWITCHING, abort, connect
from wattspan.proxy.hop import CLOSE_TIMEOUT_S, Hop
from wattspan.proxy.link import Link, LinkObserver
from wattspan.proxy.protocol import ChargerProtocol
from wattspan.proxy.target import Identity, Template, UpstreamTls, identity, passed
from wattspan.telemetry.connection import Address, address_of

log = logging.getLogger(__name__)

REQUEST_TIMEOUT_S = 60.0
"""Seconds until the request of a charge point, its TLS handshake included."""
MAX_OPENING = 1_000
"""Handshakes in progress; further ones get 503."""
BACKLOG = 4096
_DEFLATE = [ServerPerMessageDeflateFactory(server_max_window_bits=12, client_max_window_bits=12)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A charge point that the central system let in."""

    identity: Identity
    request: Request
    subprotocol: str | None
    certificate: PeerCertificate | None
    peer: Address | None
    server: Address | None
    """The addresses of the charge point's connection: its own end, and ours."""


class Refusal(NamedTuple):
    """A handshake that failed. `cp_id` is the identity that was tried; "": none, or none that can be named."""

    reason: str
    text: str
    peer: Address | None
    cp_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayCallbacks:
    """What the relay reports."""

    opened: Callable[[Opened], LinkObserver | None]
    """Called once the central system has let a charge point in."""
    refused: "Callable[[Refusal], None]"
    """Called with each handshake that failed."""
    sockets: Callable[[int], None] = lambda _change: None
    """Called with +1 and -1 as charge points come and go."""
    clock_ns: Callable[[], int] = time.time_ns
    """Unix nanoseconds; dates the arrival of frames."""


class Relay:
    """Relays charge points to the central system of `template`."""

    def __init__(
        self,
        template: Template,
        tls: UpstreamTls | None,
        callbacks: RelayCallbacks,
        *,
        max_frame_bytes: int,
        revocations: Callable[[], Revocations | None] = lambda: None,
    ) -> None:
        """`tls` is needed if the template is a wss:// URL."""
        self._template = template
        self._tls = tls
        self._callbacks = callbacks
        self._max_frame_bytes = max_frame_bytes
        self._revocations = revocations
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._openings = Openings(lambda: callbacks.refused(Refusal(openings.REASON, openings.TEXT, None)))
        self._handshakes: TlsHandshakes | None = None
        self._opening: dict[Hop, asyncio.Task[None]] = {}
        self._links: set[Link] = set()
        self._logger = logging.getLogger("wattspan.proxy.websockets")
        self._logger.setLevel(logging.CRITICAL)  # its lines would be doubles: every failure is counted and logged here

    # the port

    async def start(self, host: str, port: int, context: ssl.SSLContext | None = None) -> None:
        """Start listening. Raises SettingsError if the port is in use or the host is not of this machine."""
        accept: Callable[[], asyncio.Protocol] = self._accept
        if context is not None:
            self._handshakes = TlsHandshakes(context, self._openings, CLOSE_TIMEOUT_S)
            accept = self._handshakes.starting(accept)
        try:
            self._server = await self._loop.create_server(accept, host, port, backlog=BACKLOG)
        except OSError as exc:
            if isinstance(exc, socket.gaierror):
                raise SettingsError([f"host {host}: {exc.strerror}"]) from exc
            reason = os.strerror(exc.errno) if exc.errno else exc
            raise SettingsError([f"port {host}:{port}: {reason}; choose another with --port"]) from exc

    @property
    def port(self) -> int:
        """The port in use."""
        assert self._server is not None  # noqa: S101
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def accepting(self) -> bool:
        """Whether charge points can connect."""
        return self._server is not None and self._server.is_serving()

    async def stop(self, timeout_s: float = 2 * CLOSE_TIMEOUT_S) -> None:
        """Stop accepting, and close every connection with 1001 at both ends, within `timeout_s`."""
        if self._server is not None:
            self._server.close()
        if self._handshakes is not None:
            await self._handshakes.stop()
        for task in list(self._opening.values()):
            task.cancel()
        links = list(self._links)
        for link in links:
            link.close(Close(1001, "going away").serialize())
        if links:
            await asyncio.wait([link.ended for link in links], timeout=timeout_s)
        for link in list(self._links):
            link.abort()

    # a handshake

    def _accept(self) -> Hop:
        protocol = ChargerProtocol(extensions=_DEFLATE, max_size=(None, self._max_frame_bytes), logger=self._logger)
        hop = Hop(protocol, from_charge_point=True, on_handshake=self._requested)
        hop.expect_request(REQUEST_TIMEOUT_S)
        hop.openings = self._openings
        return hop

    def _requested(self, hop: Hop, request: Any) -> None:
        if not isinstance(request, Request):
            self._failed(hop, "request", "the request is no HTTP")
            hop.expect_end()
            return
        hop.request_came()
        if len(self._opening) >= MAX_OPENING:
            self._refuse(hop, HandshakeRefused(503, "busy", "too many handshakes", retry_after_s=RETRY_AFTER_S))
            return
        task = self._opening[hop] = self._loop.create_task(self._open(hop, request))
        hop.on_lost = lambda _hop: _cancel(task)
        task.add_done_callback(lambda task: self._opened(hop, task))

    def _opened(self, hop: Hop, task: asyncio.Task[None]) -> None:
        self._opening.pop(hop, None)
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.error("a handshake failed unexpectedly", exc_info=exc)
            abort(hop)

    async def _open(self, hop: Hop, request: Request) -> None:
        """Open the connection to the central system, and answer the charge point's handshake with its answer."""
        protocol = hop.protocol
        assert isinstance(protocol, ChargerProtocol)  # noqa: S101
        response = protocol.accept(request)
        if response.status_code != SWITCHING:
            self._failed(hop, "request", "the request is no WebSocket handshake")
            self._answer(hop, response)
            return
        upstream: Hop | None = None
        cp_id = ""
        try:
            who = identity(request.path)
            cp_id = who.cp_id
            certificate = self._certificate(hop, who)
            upstream, theirs = await self._connect(hop, request, who)
        except HandshakeRefused as refusal:
            self._refuse(hop, refusal, cp_id)
            return
        if theirs.status_code != SWITCHING:
            text = f"the central system answered with {theirs.status_code}"
            self._failed(hop, f"upstream_{theirs.status_code}", text, cp_id)
            body = bytes(theirs.body or b"")
            headers = Headers([*passed(theirs.headers), ("Connection", "close"), ("Content-Length", str(len(body)))])
            self._answer(hop, Response(theirs.status_code, theirs.reason_phrase, headers, body))
            upstream.transport.abort()
            return
        if hop.lost:
            upstream.transport.abort()
            return
        for name, value in passed(theirs.headers):
            if name.lower() != "date":
                response.headers[name] = value
        self._answer(hop, response)
        opened = Opened(
            identity=who,
            request=request,
            subprotocol=upstream.protocol.subprotocol,
            certificate=certificate,
            peer=address_of(hop.transport.get_extra_info("peername")),
            server=address_of(hop.transport.get_extra_info("sockname")),
        )
        self._join(hop, upstream, opened)

    def _certificate(self, hop: Hop, who: Identity) -> PeerCertificate | None:
        """Return the verified client certificate. Raises HandshakeRefused if it belongs to another charge point."""
        secured = hop.transport.get_extra_info("ssl_object")
        der = None if secured is None else secured.getpeercert(binary_form=True)
        if der is None:
            if self._tls is not None and self._tls.by_charge_point:  # its certificate would be shown for anybody
                raise HandshakeRefused(403, "certificate_missing", "a client certificate is required here")
            return None
        try:
            certificate = PeerCertificate.parse(der)
        except ValueError as exc:
            raise HandshakeRefused(403, "certificate_untrusted", "the client certificate can't be read") from exc
        if who.cp_id not in certificate.names:
            raise HandshakeRefused(403, "certificate_of_another", "the client certificate is not this charge point's")
        revocations = self._revocations()
        if revocations is not None and certificate in revocations:
            raise HandshakeRefused(403, "certificate_revoked", "the client certificate was revoked")
        return certificate

    async def _connect(self, hop: Hop, request: Request, who: Identity) -> tuple[Hop, Response]:
        """Return the connection to the central system and its answer. Raises HandshakeRefused 502 or 503."""
        template = self._template
        extensions = request.headers.get_all("Sec-WebSocket-Extensions")
        headers = [*passed(request.headers), *_forwarded(hop)]
        return await connect(
            template,
            template.target_for(who.raw, request.path),
            headers,
            context=await self._context(who),
            deflate=any("permessage-deflate" in each for each in extensions),
            max_frame_bytes=self._max_frame_bytes,
            logger=self._logger,
        )

    async def _context(self, who: Identity) -> ssl.SSLContext | None:
        if not self._template.uri.secure or self._tls is None:
            return None
        return await self._tls.context(who.cp_id)

    def _answer(self, hop: Hop, response: Response) -> None:
        hop.on_lost = None
        if hop.lost:
            return
        protocol = hop.protocol
        assert isinstance(protocol, ChargerProtocol)  # noqa: S101
        protocol.send_response(response)
        hop.flush()
        if response.status_code != SWITCHING:
            hop.release()
            hop.expect_end()

    def _failed(self, hop: Hop, reason: str, text: str, cp_id: str = "") -> None:
        self._callbacks.refused(Refusal(reason, text, address_of(hop.transport.get_extra_info("peername")), cp_id))

    def _refuse(self, hop: Hop, refusal: HandshakeRefused, cp_id: str = "") -> None:
        self._failed(hop, refusal.reason, str(refusal), cp_id)
        protocol = hop.protocol
        assert isinstance(protocol, ChargerProtocol)  # noqa: S101
        response = protocol.reject(http.HTTPStatus(refusal.status), f"{_public(refusal)}\n")
        if refusal.retry_after_s is not None:
            response.headers["Retry-After"] = str(math.ceil(refusal.retry_after_s))
        self._answer(hop, response)

    # a connection

    def _join(self, hop: Hop, upstream: Hop, opened: Opened) -> None:
        observer = self._callbacks.opened(opened)
        hop.clock_ns = upstream.clock_ns = self._callbacks.clock_ns
        link = Link(hop, upstream, observer, self._left)
        self._links.add(link)
        self._callbacks.sockets(1)
        link.start()

    def _left(self, link: Link) -> None:
        self._links.discard(link)
        self._callbacks.sockets(-1)


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


def _forwarded(hop: Hop) -> list[tuple[str, str]]:
    """Return headers that name the charge point's address, as other proxies add them."""
    peer = hop.transport.get_extra_info("peername")
    secured = hop.transport.get_extra_info("ssl_object") is not None
    found = [("X-Forwarded-Proto", "https" if secured else "http")]
    if isinstance(peer, tuple) and peer:
        found.append(("X-Forwarded-For", str(peer[0])))
    return found


def _public(refusal: HandshakeRefused) -> str:
    """Return the text for the charge point, which learns no addresses and no paths."""
    if refusal.reason.startswith("upstream_"):
        return "the central system can't be reached through this proxy now"
    return str(refusal)
