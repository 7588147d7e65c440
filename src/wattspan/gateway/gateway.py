"""The WebSocket server: handshake, live sessions, the newest connection wins. It knows no OCPP action."""

import asyncio
import http
import logging
import math
import os
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from wattspan.csms.commands import Live
from wattspan.csms.credentials import SecretChecker
from wattspan.csms.plugins.base import FramePassed
from wattspan.csms.service import CallHandler, Core
from wattspan.domain import events as ev
from wattspan.errors import HandshakeRefused, SettingsError, StoreError
from wattspan.gateway.certificates import PeerCertificate, Revocations
from wattspan.gateway.connection import ChargePointConnection, FrameTap, close_quietly
from wattspan.gateway.handshake import Admitted, Approach, Credentials, Doorkeeper, choose, identity
from wattspan.gateway.throttle import Throttle, source_of
from wattspan.gateway.tls import ServerTls, TlsFiles
from wattspan.gateway.waiting import Newcomer, Waiting, WaitingRoom
from wattspan.ocppj.session import Session
from wattspan.settings import Settings
from wattspan.telemetry.logs import limited
from wattspan.versions.base import Version

log = logging.getLogger(__name__)

RETRY_AFTER_S = 10
CLOSE_TIMEOUT_S = 5.0
TLS_HANDSHAKE_S = 15.0
"""How long the TLS handshake may take: chargers on mobile networks are slow, but no socket is held for ever."""
TLS_LOOK_S = 5.0
"""How often we look whether certificate files were renewed."""
FINISH_S = 5.0
"""How long messages under way may take at shutdown. What is not answered then, the charger sends again."""


class _Live:
    """One live connection: it ties socket, session and handler, and is the identity by which it is removed."""

    __slots__ = ("connection", "core", "handler", "profile", "send", "session", "version")

    def __init__(
        self, core: Core, connection: ChargePointConnection, cp_id: str, version: Version, now_ts: float
    ) -> None:
        self.core = core
        self.connection = connection
        self.version = version
        self.profile = 0
        self.send = connection.send_now
        self.handler = CallHandler(core, core.fleet.charge_point(cp_id, now_ts), version, self)
        framing = replace(version.framing, strict=True) if core.strict else version.framing
        self.session = self.handler.session = Session(cp_id, self, self.handler, framing)

    def pause_reading(self) -> None:
        self.connection.pause_reading()

    def resume_reading(self) -> None:
        self.connection.resume_reading()

    def drop(self, code: int, reason: str) -> None:
        """Stop reading what comes, and begin to close; once."""
        if self.session.closed:
            return
        self.connection.detach()
        self.session.close()
        self.core.spawn(close_quietly(self.connection, code, reason))


class Gateway:
    """Accepts charge points and keeps their live sessions."""

    def __init__(
        self, core: Core, credentials: Credentials, settings: Settings, checker: SecretChecker, tls: TlsFiles | None
    ) -> None:
        """Raises SettingsError when `tls` can't be used."""
        self._core = core
        self._settings = settings
        self._tls = None if tls is None else ServerTls(tls, self._tls_failed)
        self._doorkeeper = Doorkeeper(
            credentials,
            settings,
            throttle=Throttle(time.monotonic),
            checker=checker,
            revocations=self._revocations,
            clock=core.clock,
        )
        self._sessions: dict[str, _Live] = {}
        self._watchers: dict[str, list[FrameTap]] = {}
        self._waiting = WaitingRoom()
        self._server: Server | None = None
        self._tls_server: Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            SettingsError: the port is taken, or the host is none of ours.
        """
        tls_port = self._settings.tls_port
        context = None if self._tls is None else self._tls.context
        self._server = await self._listen(self._settings.port, "--port", context if tls_port is None else None)
        if tls_port is not None:
            self._tls_server = await self._listen(tls_port, "--tls-port", context)
        self._tell_expiry()

    async def _listen(self, port: int, option: str, context: ssl.SSLContext | None) -> Server:
        settings = self._settings
        try:
            return await serve(
                self._serve,
                settings.host,
                port,
                ssl=context,
                ssl_handshake_timeout=None if context is None else TLS_HANDSHAKE_S,
                create_connection=ChargePointConnection,
                process_request=self._admit,  # type: ignore[arg-type]
                process_response=self._answered,  # type: ignore[arg-type]
                select_subprotocol=self._select,
                # Offered compression is taken; without it nothing is compressed. Small windows: a message is small.
                extensions=[ServerPerMessageDeflateFactory(server_max_window_bits=12, client_max_window_bits=12)],
                compression=None,
                max_size=settings.max_frame_bytes,
                ping_interval=settings.ping_interval_s or None,
                ping_timeout=settings.ping_timeout_s or None,
                close_timeout=CLOSE_TIMEOUT_S,
                server_header=None,
                logger=_quiet_logger(),
                backlog=4096,
            )
        except OSError as exc:
            if isinstance(exc, socket.gaierror):
                raise SettingsError([f"host {settings.host}: {exc.strerror}"]) from exc
            reason = os.strerror(exc.errno) if exc.errno else exc  # uvloop's own text repeats the address
            fault = f"port {settings.host}:{port}: {reason}; choose another with {option}"
            raise SettingsError([fault]) from exc

    @property
    def port(self) -> int:
        """The port in use; of interest when the settings asked for port 0."""
        return _port(self._server)

    @property
    def tls_port(self) -> int | None:
        """The second port, which has TLS; None: there is none."""
        return None if self._tls_server is None else _port(self._tls_server)

    async def watch_tls(self) -> None:
        """Read renewed certificates and revocations, for ever."""
        while self._tls is not None:
            await asyncio.sleep(TLS_LOOK_S)
            try:
                if await asyncio.to_thread(self._tls.renew):
                    log.info("the certificate of the OCPP port, its authorities or revocations were read anew")
                    self._tell_expiry()
            except SettingsError as exc:
                log.error("%s; the old ones stay in force", exc)  # noqa: TRY400 - the file is at fault, not the code

    def _tell_expiry(self) -> None:
        self._core.vitals.certificate_expires_ts = None if self._tls is None else self._tls.expires_ts

    def _revocations(self) -> Revocations | None:
        return None if self._tls is None else self._tls.revocations

    def _tls_failed(self, reason: str, text: str) -> None:
        self._count(reason)
        limited(log, logging.WARNING, reason, "TLS handshake on the OCPP port failed: %s", text)

    def waiting(self) -> list[Waiting]:
        """Who waits for approval, the longest waiting first."""
        return self._waiting.all()

    def dismiss(self, cp_id: str, code: int, reason: str) -> None:
        """Close the connection of one that waits, if it does."""
        newcomer = self._waiting.find(cp_id)
        if newcomer is not None:
            self._waiting.leave(newcomer)
            self._end(newcomer, code, reason)

    def live(self, cp_id: str) -> Live | None:
        """The session of a connected charge point."""
        found = self._sessions.get(cp_id)
        return None if found is None else Live(session=found.session, version=found.version, profile=found.profile)

    def watch(self, cp_id: str, told: FrameTap) -> Callable[[], None]:
        """Have `told` see each message of a charge point, over reconnects. Returns what ends it."""
        self._watchers.setdefault(cp_id, []).append(told)
        self._tap(self._sessions.get(cp_id), cp_id)

        def end() -> None:
            watchers = self._watchers[cp_id]
            watchers.remove(told)
            if not watchers:
                del self._watchers[cp_id]
            self._tap(self._sessions.get(cp_id), cp_id)

        return end

    def _tap(self, live: _Live | None, cp_id: str) -> None:
        """Let whoever wants a connection's messages see them: nobody, as a rule, and that costs nothing."""
        if live is None:
            return
        taps = list(self._watchers.get(cp_id, ()))
        if self._core.plugins.wants_frames:
            taps.append(_to_plugins(self._core, cp_id))
        live.connection.tap = _to_each(taps) if taps else None

    async def stop(self) -> None:
        """Stop accepting, answer what is under way, close every connection with 1001, and wait for their ends."""
        servers = [each for each in (self._server, self._tls_server) if each is not None]
        for server in servers:
            server.close(close_connections=False)
        live = list(self._sessions.values())
        for each in live:
            each.connection.detach()
        await _bounded([each.session.finished() for each in live], FINISH_S)
        await _bounded([close_quietly(each, 1001, "going away") for each in self._open()], 2 * CLOSE_TIMEOUT_S)
        for server in servers:
            await server.wait_closed()

    def _open(self) -> list[ChargePointConnection]:
        servers = [each for each in (self._server, self._tls_server) if each is not None]
        connections = [connection for server in servers for connection in server.connections]
        return [each for each in connections if isinstance(each, ChargePointConnection)]

    def disconnect(self, cp_id: str, reason: str) -> None:
        """Close a charge point's connection, if it has one."""
        found = self._sessions.get(cp_id)
        if found is not None:
            found.drop(1008, reason)

    # handshake

    async def _admit(self, connection: ChargePointConnection, request: Request) -> Response | None:
        """`process_request` of websockets: None lets in, a response refuses."""
        try:
            if not self._core.journal.available:
                raise HandshakeRefused(503, "store", "the store is not writable now", retry_after_s=RETRY_AFTER_S)
            admitted = await self._doorkeeper.admit(_approach(connection, request))
            if admitted.waits and self._waiting.full:
                raise HandshakeRefused(503, "waiting_room", "too many wait for approval", retry_after_s=RETRY_AFTER_S)
        except StoreError:
            unread = HandshakeRefused(503, "store", "the store can't be read now", retry_after_s=RETRY_AFTER_S)
            return self._refused(connection, unread)
        except HandshakeRefused as refusal:
            return self._refused(connection, refusal)
        connection.admitted = admitted
        return None

    def _answered(self, connection: ChargePointConnection, _request: Request, response: Response) -> None:
        """`process_response` of websockets: counts what was let in and then asked for no WebSocket we know."""
        if connection.admitted is not None and response.status_code != http.HTTPStatus.SWITCHING_PROTOCOLS:
            self._count("request")

    def _count(self, reason: str) -> None:
        counts = self._core.vitals.handshakes_rejected
        counts[reason] = counts.get(reason, 0) + 1

    def _refused(self, connection: ChargePointConnection, refusal: HandshakeRefused) -> Response:
        self._count(refusal.reason)
        limited(
            log, logging.WARNING, refusal.reason, "handshake from %s refused: %s", connection.remote_address, refusal
        )
        response = connection.respond(http.HTTPStatus(refusal.status), f"{refusal}\n")
        if refusal.retry_after_s is not None:
            response.headers["Retry-After"] = str(math.ceil(refusal.retry_after_s))
        if refusal.status == http.HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = 'Basic realm="wattspan", charset="UTF-8"'
        return response

    def _select(self, _connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        name = choose(offered, self._settings.default_subprotocol)[1]
        return None if name is None else Subprotocol(name)

    # a connection's life

    async def _serve(self, connection: ServerConnection) -> None:
        """From handshake to close of one charge point."""
        assert isinstance(connection, ChargePointConnection)  # noqa: S101
        assert connection.request is not None  # noqa: S101
        version, _ = choose(_offered(connection.request.headers), self._settings.default_subprotocol)
        if version is None:
            self._count("subprotocol")
            connection.detach()
            await close_quietly(connection, 1002, "no common subprotocol")
            return
        admitted: Admitted = connection.admitted
        connection.forget_handshake()
        if admitted.waits:
            await self._let_wait(connection, admitted, version)
            return
        live = self._enter(connection, admitted.cp_id, version)
        live.profile = admitted.profile
        if admitted.certificate is not None:
            self._note_certificate(admitted.cp_id, admitted.certificate)
        try:
            await connection.lost()
        finally:
            self._leave(admitted.cp_id, live)

    async def _let_wait(self, connection: ChargePointConnection, admitted: Admitted, version: Version) -> None:
        """From handshake to close of one that is not approved yet."""
        waiting = Waiting(
            cp_id=admitted.cp_id,
            since_ts=self._core.clock(),
            protocol=version.subprotocol,
            source=source_of(connection.remote_address),
            security_profile=admitted.profile,
        )
        newcomer = Newcomer(connection, version, waiting, self._core.clock)
        replaced = self._waiting.enter(newcomer)
        if replaced is not None:
            self._end(replaced, 1008, "replaced by a newer connection")
        self._core.vitals.pending = len(self._waiting)
        connection.attach(newcomer.session.receive)
        try:
            await connection.lost()
        finally:
            connection.detach()
            newcomer.session.close()
            self._waiting.leave(newcomer)
            self._core.vitals.pending = len(self._waiting)

    def _end(self, newcomer: Newcomer, code: int, reason: str) -> None:
        newcomer.connection.detach()
        newcomer.session.close()
        self._core.spawn(close_quietly(newcomer.connection, code, reason))

    def _note_certificate(self, cp_id: str, certificate: PeerCertificate) -> None:
        held = ev.CertificateHeld(cp_id=cp_id, received_ts=self._core.clock(), expires_ts=certificate.expires_ts)
        self._core.record([held])

    def _enter(self, connection: ChargePointConnection, cp_id: str, version: Version) -> _Live:
        """The newest connection wins, at once: a power cut leaves a dead socket behind that nobody closed."""
        core, now_ts = self._core, self._core.clock()
        live = _Live(core, connection, cp_id, version, now_ts)
        replaced, self._sessions[cp_id] = self._sessions.get(cp_id), live
        if replaced is not None:
            replaced.drop(1008, "replaced by a newer connection")
        core.vitals.sockets += 1
        core.record([ev.ChargePointConnected(cp_id=cp_id, received_ts=now_ts, protocol=version.subprotocol)])
        connection.on_binary = live.handler.on_binary
        self._tap(live, cp_id)
        connection.attach(live.session.receive)
        return live

    def _leave(self, cp_id: str, live: _Live) -> None:
        """Clean up after a connection; by identity, so that a replaced one can't touch its successor."""
        core, connection = self._core, live.connection
        connection.detach()
        live.session.close()
        core.vitals.sockets -= 1
        current = self._sessions.get(cp_id)
        if current is live:
            del self._sessions[cp_id]
        if cp_id in core.fleet.charge_points:
            code = connection.close_code or 1006
            replaced = current is not None and current is not live
            core.record(
                [ev.ChargePointDisconnected(cp_id=cp_id, received_ts=core.clock(), code=code, replaced=replaced)]
            )


def _port(server: Server | None) -> int:
    assert server is not None  # noqa: S101
    return int(next(iter(server.sockets)).getsockname()[1])


def _approach(connection: ChargePointConnection, request: Request) -> Approach:
    """Who is at the door. Raises HandshakeRefused."""
    secured = connection.transport.get_extra_info("ssl_object")
    der = None if secured is None else secured.getpeercert(binary_form=True)
    try:
        certificate = None if der is None else PeerCertificate.parse(der)
    except ValueError as exc:
        raise HandshakeRefused(403, "certificate_untrusted", "the client certificate can't be read") from exc
    return Approach(
        cp_id=identity(request.path),
        source=source_of(connection.remote_address),
        authorization=request.headers.get("Authorization"),
        tls=secured is not None,
        certificate=certificate,
    )


async def _bounded(work: Sequence[Coroutine[Any, Any, None]], limit_s: float) -> None:
    """Run all of it at once; what is not done after `limit_s` is cancelled."""
    if work:
        _, pending = await asyncio.wait([asyncio.create_task(each) for each in work], timeout=limit_s)
        for task in pending:
            task.cancel()


def _offered(headers: Headers) -> list[str]:
    return [
        name.strip() for line in headers.get_all("Sec-WebSocket-Protocol") for name in line.split(",") if name.strip()
    ]


def _to_each(taps: Sequence[FrameTap]) -> FrameTap:
    def tap(direction: str, data: bytes) -> None:
        for each in taps:
            each(direction, data)

    return tap


def _to_plugins(core: Core, cp_id: str) -> FrameTap:
    def tap(direction: Any, data: bytes) -> None:
        core.plugins.frame(FramePassed(cp_id=cp_id, ts=core.clock(), direction=direction, data=data))

    return tap


def _quiet_logger() -> logging.Logger:
    """websockets tells each failed handshake with a traceback; we count them by reason instead."""
    logger = logging.getLogger("wattspan.gateway.websockets")
    logger.setLevel(logging.ERROR)
    logger.addFilter(_is_no_handshake)
    return logger


def _is_no_handshake(record: logging.LogRecord) -> bool:
    return record.msg != "opening handshake failed"
