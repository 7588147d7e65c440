"""The relay: accepts charge points, connects each to the central system, and joins both connections.

It owns handshakes and the lives of connections. It must not know what a frame means: a `LinkObserver` is given each
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
from typing import Any, Protocol

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.frames import Close, Frame
from websockets.http11 import Request, Response

from wattspan.errors import HandshakeRefused, SettingsError
from wattspan.gateway.certificates import PeerCertificate, Revocations
from wattspan.proxy.hop import CLOSE_TIMEOUT_S, Hop
from wattspan.proxy.protocol import ChargerProtocol, UpstreamProtocol
from wattspan.proxy.target import Identity, Template, UpstreamTls, identity, passed
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

REQUEST_TIMEOUT_S = 60.0
"""Seconds for the TLS handshake of a charge point, and again for its request."""
UPSTREAM_TIMEOUT_S = 30.0
"""Seconds that the central system may take to answer a handshake."""
MAX_OPENING = 1_000
"""Handshakes in progress; further ones get 503."""
RETRY_AFTER_S = 10.0
BACKLOG = 4096
SWITCHING = http.HTTPStatus.SWITCHING_PROTOCOLS
_DEFLATE = [ServerPerMessageDeflateFactory(server_max_window_bits=12, client_max_window_bits=12)]
_DEFLATE_UPSTREAM = [
    ClientPerMessageDeflateFactory(client_max_window_bits=True, compress_settings={"memLevel": 5, "level": 6})
]


class LinkObserver(Protocol):
    """What is called about one connection, after the fact. No method may raise or block."""

    def frame(self, frame: Frame, from_charge_point: bool, at_ns: int) -> None: ...
    def closed(self, code: int, reason: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A charge point that the central system let in."""

    identity: Identity
    request: Request
    subprotocol: str | None
    certificate: PeerCertificate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayCallbacks:
    """What the relay reports."""

    opened: Callable[[Opened], LinkObserver | None]
    """Called once the central system has let a charge point in."""
    refused: Callable[[str], None]
    """Called with the reason of each handshake that failed."""
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
        self._opening: dict[Hop, asyncio.Task[None]] = {}
        self._links: set[Link] = set()
        self._logger = logging.getLogger("wattspan.proxy.websockets")
        self._logger.setLevel(logging.CRITICAL)  # its lines would be doubles: every failure is counted and logged here

    # the port

    async def start(self, host: str, port: int, context: ssl.SSLContext | None = None) -> None:
        """Start listening. Raises SettingsError if the port is in use or the host is not of this machine."""
        timeout_s = None if context is None else REQUEST_TIMEOUT_S
        try:
            self._server = await self._loop.create_server(
                self._accept, host, port, ssl=context, ssl_handshake_timeout=timeout_s, backlog=BACKLOG
            )
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
        return hop

    def _requested(self, hop: Hop, request: Any) -> None:
        if not isinstance(request, Request):
            self._callbacks.refused("request")
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
            _abort(hop)

    async def _open(self, hop: Hop, request: Request) -> None:
        """Open the connection to the central system, and answer the charge point's handshake with its answer."""
        protocol = hop.protocol
        assert isinstance(protocol, ChargerProtocol)  # noqa: S101
        response = protocol.accept(request)
        if response.status_code != SWITCHING:
            self._callbacks.refused("request")
            self._answer(hop, response)
            return
        upstream: Hop | None = None
        try:
            who = identity(request.path)
            certificate = self._certificate(hop, who)
            upstream, theirs = await self._connect(hop, request, who)
        except HandshakeRefused as refusal:
            self._refuse(hop, refusal)
            return
        if theirs.status_code != SWITCHING:
            self._callbacks.refused(f"upstream_{theirs.status_code}")
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
            identity=who, request=request, subprotocol=upstream.protocol.subprotocol, certificate=certificate
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

    def _refuse(self, hop: Hop, refusal: HandshakeRefused) -> None:
        self._callbacks.refused(refusal.reason)
        limited(log, logging.WARNING, refusal.reason, "handshake of a charge point refused: %s", refusal)
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

    def _left(self, link: "Link") -> None:
        self._links.discard(link)
        self._callbacks.sockets(-1)


class Link:
    """Two joined hops. It ends when both have ended."""

    __slots__ = ("_left", "_observer", "charger", "ended", "upstream")

    def __init__(
        self, charger: Hop, upstream: Hop, observer: LinkObserver | None, left: Callable[["Link"], None]
    ) -> None:
        self.charger = charger
        self.upstream = upstream
        self._observer = observer
        self._left = left
        self.ended: asyncio.Future[None] = charger.loop.create_future()

    def start(self) -> None:
        """Relay, beginning with what arrived with the handshakes."""
        charger, upstream = self.charger, self.upstream
        for hop in (charger, upstream):
            hop.on_lost = self._lost
            if self._observer is not None:
                hop.on_frame = self._observer.frame
        charger.join(upstream)
        upstream.join(charger)
        charger.release()
        upstream.release()

    def close(self, data: bytes) -> None:
        """Send a close frame to both ends."""
        self.charger.close(data)
        self.upstream.close(data)

    def abort(self) -> None:
        """End both TCP connections at once."""
        for hop in (self.charger, self.upstream):
            if not hop.lost:
                hop.transport.abort()

    def _lost(self, hop: Hop) -> None:
        if hop is self.charger and self._observer is not None:
            observer, self._observer = self._observer, None
            observer.closed(*close_of(self.charger, self.upstream))
        if self.charger.lost and self.upstream.lost and not self.ended.done():
            self.ended.set_result(None)
            self._left(self)


async def connect(  # noqa: C901 - one way in, and every way it can fail
    template: Template,
    target: str,
    headers: list[tuple[str, str]],
    *,
    context: ssl.SSLContext | None,
    deflate: bool,
    max_frame_bytes: int,
    logger: logging.Logger,
) -> tuple[Hop, Response]:
    """Return a connection to a central system and its answer to the handshake, which may be a refusal.

    Raises:
        HandshakeRefused: 503 if the central system can't be reached, 502 if it does not answer with HTTP or TLS.
    """
    loop = asyncio.get_running_loop()
    uri = template.uri
    answered: asyncio.Future[Response] = loop.create_future()

    def on_handshake(_hop: Hop, answer: Any) -> None:
        if answered.done():
            return
        if isinstance(answer, Response):
            answered.set_result(answer)
        else:
            answered.set_exception(answer)

    def on_lost(_hop: Hop) -> None:
        if not answered.done():
            answered.set_exception(ConnectionResetError("it closed the connection during the handshake"))

    def factory() -> Hop:
        protocol = UpstreamProtocol(
            uri,
            extensions=_DEFLATE_UPSTREAM if deflate else None,
            max_size=(None, max_frame_bytes),
            logger=logger,
        )
        hop = Hop(protocol, from_charge_point=False, on_handshake=on_handshake)
        hop.on_lost = on_lost
        return hop

    hop: Hop | None = None
    try:
        async with asyncio.timeout(UPSTREAM_TIMEOUT_S):
            _, hop = await loop.create_connection(
                factory, uri.host, uri.port, ssl=context, server_hostname=uri.host if context is not None else None
            )
            protocol = hop.protocol
            assert isinstance(protocol, ClientProtocol)  # noqa: S101
            request = protocol.connect()
            own = [(name, value) for name, value in request.headers.raw_items() if name != "Sec-WebSocket-Protocol"]
            protocol.send_request(Request(target, Headers([*own, *headers])))
            hop.flush()
            response = await answered
            if response.status_code == SWITCHING and protocol.handshake_exc is not None:
                raise protocol.handshake_exc
    except (ssl.SSLError, InvalidHandshake) as exc:
        _abort(hop)
        text = f"the central system does not answer properly: {exc}"
        raise HandshakeRefused(502, "upstream_invalid", text) from exc
    except (OSError, TimeoutError) as exc:
        _abort(hop)
        text = f"the central system can't be reached: {str(exc) or 'it does not answer'}"
        raise HandshakeRefused(503, "upstream_unreachable", text, retry_after_s=RETRY_AFTER_S) from exc
    except asyncio.CancelledError:
        _abort(hop)
        raise
    hop.on_lost = None
    return hop, response


def close_of(charger: Hop, upstream: Hop) -> tuple[int, str]:
    """Return code and reason with which a connection was closed, 1006 without a close frame."""
    data = charger.protocol.close_received
    if data is None:
        data = upstream.protocol.close_received
    if data is None:
        sent = charger.protocol.close_sent or upstream.protocol.close_sent  # we closed it, because of a limit
        return (1006, "") if sent is None else (int(sent.code), sent.reason)
    if len(data) < 2:  # noqa: PLR2004
        return 1005, ""
    return int.from_bytes(data[:2], "big"), bytes(data[2:]).decode(errors="replace")


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


def _abort(hop: Hop | None) -> None:
    if hop is not None and not hop.lost:
        hop.transport.abort()


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
