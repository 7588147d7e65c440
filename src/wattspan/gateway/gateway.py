"""The WebSocket server: handshake, live sessions, the newest connection wins. It knows no OCPP action."""

import asyncio
import http
import logging
import math
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from wattspan.csms.commands import Live
from wattspan.csms.pending import Waiting
from wattspan.csms.plugins.base import FramePassed
from wattspan.csms.security.credentials import SecretChecker
from wattspan.csms.service import Core
from wattspan.domain import events as ev
from wattspan.errors import HandshakeRefused, StoreError
from wattspan.gateway.certificates import PeerCertificate, Revocations
from wattspan.gateway.connection import ChargePointConnection, FrameTap, close_quietly
from wattspan.gateway.handshake import (
    Admitted,
    ConnectionAttempt,
    Credentials,
    HandshakeAuthenticator,
    choose,
    identity,
)
from wattspan.gateway.live import LiveConnection
from wattspan.gateway.pending import PendingConnections
from wattspan.gateway.ports import CLOSE_TIMEOUT_S, Ports, ServerCallbacks
from wattspan.gateway.throttle import Throttle, source_of
from wattspan.gateway.tls import ServerTls, TlsFiles
from wattspan.settings import Settings
from wattspan.telemetry.logs import limited
from wattspan.versions.base import Version

log = logging.getLogger(__name__)

RETRY_AFTER_S = 10
FINISH_S = 5.0
"""How long messages under way may take at shutdown. What is not answered then, the charger sends again."""


class Gateway:
    """Accepts charge points and keeps their live sessions."""

    def __init__(
        self, core: Core, credentials: Credentials, settings: Settings, checker: SecretChecker, tls: TlsFiles | None
    ) -> None:
        """Raises SettingsError when `tls` can't be used."""
        self._core = core
        self._settings = settings
        self._tls = None if tls is None else ServerTls(tls, self._tls_failed)
        self._doorkeeper = HandshakeAuthenticator(
            credentials,
            settings,
            throttle=Throttle(time.monotonic),
            checker=checker,
            revocations=self._revocations,
            clock=core.clock,
        )
        self._sessions: dict[str, LiveConnection] = {}
        self._watchers: dict[str, list[FrameTap]] = {}
        self._waiting = PendingConnections(core)
        self._ports = Ports(settings, self._tls)

    async def start(self) -> None:
        """Listen.

        Raises:
            SettingsError: the port is taken, or the host is none of ours.
        """
        await self._ports.open(
            ServerCallbacks(serve=self._serve, admit=self._admit, answered=self._answered, select=self._select)
        )
        self._tell_expiry()

    @property
    def accepting(self) -> bool:
        """Whether charge points can connect."""
        return self._ports.accepting

    @property
    def port(self) -> int:
        """The port in use; of interest when the settings asked for port 0."""
        return self._ports.numbers()[0]

    @property
    def tls_port(self) -> int | None:
        """The second port, which has TLS; None: there is none."""
        return self._ports.numbers()[1] if len(self._ports.servers) > 1 else None

    async def watch_tls(self) -> None:
        """Read renewed certificates and revocations, for ever."""
        await self._ports.watch_tls(self._tls_renewed)

    def _tls_renewed(self, tls: ServerTls) -> None:
        self._tell_expiry()
        for live in list(self._sessions.values()):
            if live.certificate is not None and live.certificate in tls.revocations:
                live.drop(1008, "the client certificate was revoked")

    def _tell_expiry(self) -> None:
        self._core.counters.certificate_expires_ts = None if self._tls is None else self._tls.expires_ts

    def _revocations(self) -> Revocations | None:
        return None if self._tls is None else self._tls.revocations

    def _tls_failed(self, reason: str, text: str) -> None:
        self._count(reason)
        limited(log, logging.WARNING, reason, "TLS handshake on the OCPP port failed: %s", text)

    def waiting(self) -> list[Waiting]:
        """Who waits for approval, the longest waiting first."""
        return self._waiting.all()

    def dismiss(self, cp_id: str, approved: bool) -> None:
        """Close the connection of one that waits, if it does; approved, it comes back by itself."""
        self._waiting.dismiss(cp_id, approved)

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

    def _tap(self, live: LiveConnection | None, cp_id: str) -> None:
        """Let whoever wants a connection's messages see them: nobody, as a rule, and that costs nothing."""
        if live is None:
            return
        taps = list(self._watchers.get(cp_id, ()))
        if self._core.plugins.wants_frames:
            taps.append(_to_plugins(self._core, cp_id))
        live.connection.tap = _to_each(taps) if taps else None

    async def stop(self) -> None:
        """Stop accepting, answer what is under way, close every connection with 1001, and wait for their ends."""
        self._ports.stop_accepting()
        live = list(self._sessions.values())
        for each in live:
            each.connection.detach()
        await _bounded([each.session.finished() for each in live], FINISH_S)
        going = [close_quietly(each, 1001, "going away") for each in self._ports.connections()]
        await _bounded(going, 2 * CLOSE_TIMEOUT_S)
        await self._ports.wait_closed()

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
            if admitted.waits and not self._waiting.has_room(source_of(connection.remote_address)):
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
        counts = self._core.counters.handshakes_rejected
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
            await self._waiting.host(
                connection, _as_waiting(connection, admitted, version, self._core.clock()), version
            )
            return
        live = self._enter(connection, admitted.cp_id, version)
        live.profile, live.certificate = admitted.profile, admitted.certificate
        if admitted.certificate is not None:
            self._note_certificate(admitted.cp_id, admitted.certificate)
        try:
            await connection.lost()
        finally:
            self._leave(admitted.cp_id, live)

    def _note_certificate(self, cp_id: str, certificate: PeerCertificate) -> None:
        held = ev.CertificateHeld(cp_id=cp_id, received_ts=self._core.clock(), expires_ts=certificate.expires_ts)
        self._core.record([held])

    def _enter(self, connection: ChargePointConnection, cp_id: str, version: Version) -> LiveConnection:
        """The newest connection wins, at once: a power cut leaves a dead socket behind that nobody closed."""
        core, now_ts = self._core, self._core.clock()
        live = LiveConnection(core, connection, cp_id, version, now_ts)
        replaced, self._sessions[cp_id] = self._sessions.get(cp_id), live
        if replaced is not None:
            replaced.drop(1008, "replaced by a newer connection")
        core.counters.sockets += 1
        core.record([ev.ChargePointConnected(cp_id=cp_id, received_ts=now_ts, protocol=version.subprotocol)])
        connection.on_binary = live.handler.on_binary
        self._tap(live, cp_id)
        connection.attach(live.session.receive)
        return live

    def _leave(self, cp_id: str, live: LiveConnection) -> None:
        """Clean up after a connection; by identity, so that a replaced one can't touch its successor."""
        core, connection = self._core, live.connection
        connection.detach()
        live.session.close()
        core.counters.sockets -= 1
        current = self._sessions.get(cp_id)
        if current is live:
            del self._sessions[cp_id]
        if cp_id in core.fleet.charge_points:
            code = connection.close_code or 1006
            replaced = current is not None and current is not live
            core.record(
                [ev.ChargePointDisconnected(cp_id=cp_id, received_ts=core.clock(), code=code, replaced=replaced)]
            )


def _as_waiting(connection: ChargePointConnection, admitted: Admitted, version: Version, now_ts: float) -> Waiting:
    return Waiting(
        cp_id=admitted.cp_id,
        since_ts=now_ts,
        protocol=version.subprotocol,
        source=source_of(connection.remote_address),
        security_profile=admitted.profile,
    )


def _approach(connection: ChargePointConnection, request: Request) -> ConnectionAttempt:
    """Who is at the door. Raises HandshakeRefused."""
    secured = connection.transport.get_extra_info("ssl_object")
    der = None if secured is None else secured.getpeercert(binary_form=True)
    try:
        certificate = None if der is None else PeerCertificate.parse(der)
    except ValueError as exc:
        raise HandshakeRefused(403, "certificate_untrusted", "the client certificate can't be read") from exc
    return ConnectionAttempt(
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
