"""The WebSocket server: handshakes and live connections; the newest of an identity wins. It knows no OCPP action."""

import asyncio
import contextlib
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

from wattspan.csms.commands import ActiveConnection
from wattspan.csms.core import Core
from wattspan.csms.pending import PendingChargePoint
from wattspan.csms.plugins.base import FramePassed
from wattspan.csms.security.credentials import SecretChecker
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
    is_browser,
)
from wattspan.gateway.live import LiveConnection
from wattspan.gateway.ocsp import OcspClient
from wattspan.gateway.pending import MAX_PENDING_MESSAGE_BYTES, PendingConnections
from wattspan.gateway.ports import CLOSE_TIMEOUT_S, Ports, ServerCallbacks
from wattspan.gateway.throttle import Throttle, source_of
from wattspan.gateway.tls import ServerTls, TlsFiles
from wattspan.ocppj.large import LargeMessages
from wattspan.settings import Settings
from wattspan.telemetry.logs import limited
from wattspan.versions.base import Version

log = logging.getLogger(__name__)

RETRY_AFTER_S = 10
MAX_LOGGED_PATH = 100
"""Characters of a refused handshake's path in the log."""
PROCESS_S = 60.0
"""Seconds that the messages of a lost connection may take. Most of it is for a store that is down."""
FINISH_S = 5.0
"""Seconds that messages in progress may take at shutdown. The charger repeats what is not answered by then."""

_LIMITS = {
    "message_too_big": "a message was longer than allowed (max_frame_bytes)",
    "flood": "it sent more than the central system can take from one peer",
    "empty_fragments": "it sent a message of empty fragments",
}
"""What a reason means, for the log."""


class Gateway:
    """Accepts charge points and keeps their live connections."""

    def __init__(
        self, core: Core, credentials: Credentials, settings: Settings, checker: SecretChecker, tls: TlsFiles | None
    ) -> None:
        """Raises SettingsError if `tls` can't be used."""
        self._core = core
        self._settings = settings
        self._credentials = credentials
        self._tls = None if tls is None else ServerTls(tls, self._tls_failed)
        self._ocsp = None
        if tls is not None and settings.tls_client_ocsp != "off":
            self._ocsp = OcspClient(lambda: tls.client_ca, core.clock)
        self._authenticator = HandshakeAuthenticator(
            credentials,
            settings,
            throttle=Throttle(time.monotonic),
            checker=checker,
            revocations=self._revocations,
            ocsp=self._ocsp,
            clock=core.clock,
        )
        self._connections: dict[str, LiveConnection] = {}
        self._finishing: set[LiveConnection] = set()
        """Lost or replaced connections whose messages are still processed."""
        self._watchers: dict[str, list[FrameTap]] = {}
        self._pending = PendingConnections(core)
        self._ports = Ports(settings, self._tls)
        self._large = LargeMessages()
        self._on_limit = self._limit_exceeded

    async def start(self) -> None:
        """Start listening.

        Raises:
            SettingsError: the port is in use, or the host is not an address of this machine.
        """
        await self._ports.open(
            ServerCallbacks(
                serve=self._serve,
                admit=self._admit,
                no_http=lambda: self._count("request"),
                answered=self._answered,
                select=self._select,
            )
        )
        self._update_expiry()

    @property
    def accepting(self) -> bool:
        """Return whether charge points can connect."""
        return self._ports.accepting

    @property
    def port(self) -> int:
        """Return the port in use, which differs from the setting if that is 0."""
        return self._ports.numbers()[0]

    @property
    def tls_port(self) -> int | None:
        """Return the second port, which has TLS, or None."""
        return self._ports.numbers()[1] if len(self._ports.servers) > 1 else None

    async def watch_tls(self) -> None:
        """Reload renewed certificates and revocation lists until cancelled."""
        await self._ports.watch_tls(self._tls_renewed)

    def _tls_renewed(self, tls: ServerTls) -> None:
        self._update_expiry()
        for live in list(self._connections.values()):
            if live.certificate is not None and live.certificate in tls.revocations:
                live.drop(1008, "the client certificate was revoked")

    def _update_expiry(self) -> None:
        self._core.counters.certificate_expires_ts = None if self._tls is None else self._tls.expires_ts

    def _revocations(self) -> Revocations | None:
        return None if self._tls is None else self._tls.revocations

    def _tls_failed(self, reason: str, text: str) -> None:
        self._count(reason)
        limited(log, logging.WARNING, reason, "TLS handshake on the OCPP port failed: %s", text)

    def pending(self) -> list[PendingChargePoint]:
        """Return the charge points that wait for approval, the longest pending first."""
        return self._pending.all()

    def dismiss(self, cp_id: str, approved: bool) -> None:
        """Close the pending connection of `cp_id`, if there is one. An approved charge point reconnects by itself."""
        self._pending.dismiss(cp_id, approved)

    def connection(self, cp_id: str) -> ActiveConnection | None:
        """Return the open connection of a charge point, or None."""
        found = self._connections.get(cp_id)
        if found is None:
            return None
        return ActiveConnection(cp_id=cp_id, rpc=found.rpc, version=found.version, security_profile=found.profile)

    def watch(self, cp_id: str, on_message: FrameTap) -> Callable[[], None]:
        """Call `on_message` for each message of a charge point, also after reconnects. Returns a function to end it."""
        self._watchers.setdefault(cp_id, []).append(on_message)
        self._tap(self._connections.get(cp_id), cp_id)

        def end() -> None:
            watchers = self._watchers[cp_id]
            watchers.remove(on_message)
            if not watchers:
                del self._watchers[cp_id]
            self._tap(self._connections.get(cp_id), cp_id)

        return end

    def _tap(self, live: LiveConnection | None, cp_id: str) -> None:
        """Set the connection's tap; None, which costs nothing, if there are no watchers and no frame plugins."""
        if live is None:
            return
        taps = list(self._watchers.get(cp_id, ()))
        if self._core.plugins.wants_frames:
            taps.append(_to_plugins(self._core, cp_id))
        live.connection.tap = _to_each(taps) if taps else None

    async def stop(self) -> None:
        """Stop accepting, finish messages in progress, close every connection with 1001 and wait for their ends."""
        self._ports.stop_accepting()
        live = [*self._connections.values(), *self._finishing]
        for each in live:
            each.connection.detach()
        await _bounded([each.rpc.finished() for each in live], FINISH_S)
        for each in live:
            each.rpc.close()
        closing = [close_quietly(each, 1001, "going away") for each in self._ports.connections()]
        await _bounded(closing, 2 * CLOSE_TIMEOUT_S)
        await self._ports.wait_closed()
        self._large.close()
        if self._ocsp is not None:
            await self._ocsp.close()

    def disconnect(self, cp_id: str, reason: str) -> None:
        """Close a charge point's connection, if it has one."""
        found = [self._connections.get(cp_id), *self._finishing]
        for live in found:
            if live is not None and live.rpc.cp_id == cp_id:
                live.drop(1008, reason)

    # handshake

    async def _admit(self, connection: ChargePointConnection, request: Request) -> Response | None:
        """`process_request` of websockets: return None to accept, or the response that refuses."""
        try:
            if not self._core.journal.available:
                raise HandshakeRefused(503, "store", "the store is not writable now", retry_after_s=RETRY_AFTER_S)
            if is_browser(request.headers):
                raise HandshakeRefused(403, "browser", "charge points connect here, browsers do not")
            admitted = await self._authenticator.admit(_attempt(connection, request))
            if admitted.pending and not self._pending.has_room(source_of(connection.remote_address)):
                raise HandshakeRefused(503, "waiting_room", "too many wait for approval", retry_after_s=RETRY_AFTER_S)
        except StoreError:
            unreadable = HandshakeRefused(503, "store", "the store can't be read now", retry_after_s=RETRY_AFTER_S)
            return self._refused(connection, request, unreadable)
        except HandshakeRefused as refusal:
            return self._refused(connection, request, refusal)
        connection.admitted = admitted
        if admitted.pending:
            connection.restrict(MAX_PENDING_MESSAGE_BYTES)
        else:
            connection.allow(self._settings.max_frame_bytes)
        connection.on_limit = self._on_limit
        return None

    def _answered(self, connection: ChargePointConnection, _request: Request, response: Response) -> None:
        """`process_response` of websockets: count admitted requests that turn out to be no valid WebSocket upgrade."""
        switching = response.status_code == http.HTTPStatus.SWITCHING_PROTOCOLS
        if connection.admitted is not None and not switching:
            self._count("request")
        if not switching or not self._ports.accepting:
            connection.handshake_ended()

    def _limit_exceeded(self, connection: ChargePointConnection, reason: str) -> None:
        """Count and log a connection that is closed because its peer exceeded a limit."""
        counts = self._core.counters.limit_closes
        counts[reason] = counts.get(reason, 0) + 1
        limited(
            log,
            logging.WARNING,
            f"limit {reason}",
            "connection of %s closed: %s",
            connection.admitted.cp_id,
            _LIMITS[reason],
        )

    def _count(self, reason: str) -> None:
        counts = self._core.counters.handshakes_rejected
        counts[reason] = counts.get(reason, 0) + 1

    def _refused(self, connection: ChargePointConnection, request: Request, refusal: HandshakeRefused) -> Response:
        self._count(refusal.reason)
        limited(
            log,
            logging.WARNING,
            refusal.reason,
            "handshake from %s for %s refused: %s",
            connection.remote_address,
            request.path[:MAX_LOGGED_PATH],
            refusal,
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
        """Serve one charge point from handshake to close."""
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
        if admitted.pending:
            charge_point = _pending(connection, admitted, version, self._core.clock())
            await self._pending.serve(connection, charge_point, version)
            return
        if admitted.proven and not await self._store_profile(connection, admitted):
            return
        live = self._enter(connection, admitted.cp_id, version)
        live.profile, live.certificate = admitted.profile, admitted.certificate
        if admitted.certificate is not None:
            self._note_certificate(admitted.cp_id, admitted.certificate)
        try:
            await connection.lost()
            self._lost(admitted.cp_id, live)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROCESS_S):
                    await live.rpc.finished()
        finally:
            self._leave(admitted.cp_id, live)

    async def _store_profile(self, connection: ChargePointConnection, admitted: Admitted) -> bool:
        """Store what the connection proves about security profiles, before any message is processed.

        Returns False, and closes the connection, if the store fails.
        """
        try:
            await self._credentials.set_profile(admitted.cp_id, admitted.required, admitted.proven)
        except StoreError as exc:
            log.warning("security profile of %s could not be stored: %s", admitted.cp_id, exc)
            connection.detach()
            await close_quietly(connection, 1013, "try again later")
            return False
        raised = admitted.proven.get("security_profile")
        if raised is not None:
            log.info(
                "security profile %s is required of %s from now on, which connected with it", raised, admitted.cp_id
            )
        return True

    def _note_certificate(self, cp_id: str, certificate: PeerCertificate) -> None:
        held = ev.CertificateHeld(cp_id=cp_id, received_ts=self._core.clock(), expires_ts=certificate.expires_ts)
        self._core.record([held])

    def _enter(self, connection: ChargePointConnection, cp_id: str, version: Version) -> LiveConnection:
        """Register the connection. The newest wins at once: after a power cut the old socket is dead but not closed."""
        core, now_ts = self._core, self._core.clock()
        live = LiveConnection(core, connection, cp_id, version, now_ts=now_ts, large=self._large)
        replaced, self._connections[cp_id] = self._connections.get(cp_id), live
        if replaced is not None:
            self._finishing.add(replaced)
            replaced.replace()
        core.counters.sockets += 1
        core.record([ev.ChargePointConnected(cp_id=cp_id, received_ts=now_ts, protocol=version.subprotocol)])
        connection.on_binary = live.handler.on_binary
        self._tap(live, cp_id)
        connection.attach(live.rpc.receive)
        return live

    def _lost(self, cp_id: str, live: LiveConnection) -> None:
        """Note that nothing can be sent any more. What has been received is still processed."""
        live.rpc.lost()
        self._finishing.add(live)
        if self._connections.get(cp_id) is live:
            del self._connections[cp_id]

    def _leave(self, cp_id: str, live: LiveConnection) -> None:
        """Clean up after a connection, by identity of the object: a replaced one must not affect its successor."""
        core, connection = self._core, live.connection
        self._lost(cp_id, live)
        self._finishing.discard(live)
        connection.detach()
        live.rpc.close()
        core.counters.sockets -= 1
        if cp_id in core.fleet.charge_points:
            code = connection.close_code or 1006
            replaced = cp_id in self._connections
            core.record(
                [ev.ChargePointDisconnected(cp_id=cp_id, received_ts=core.clock(), code=code, replaced=replaced)]
            )


def _pending(
    connection: ChargePointConnection, admitted: Admitted, version: Version, now_ts: float
) -> PendingChargePoint:
    return PendingChargePoint(
        cp_id=admitted.cp_id,
        since_ts=now_ts,
        protocol=version.subprotocol,
        source=source_of(connection.remote_address),
        security_profile=admitted.profile,
    )


def _attempt(connection: ChargePointConnection, request: Request) -> ConnectionAttempt:
    """Return what is known about the charge point that asks to connect. Raises HandshakeRefused."""
    secured = connection.transport.get_extra_info("ssl_object")
    der = None if secured is None else secured.getpeercert(binary_form=True)
    try:
        certificate = None if der is None else PeerCertificate.parse(der)
    except ValueError as exc:
        raise HandshakeRefused(403, "certificate_untrusted", "the client certificate can't be read") from exc
    return ConnectionAttempt(
        cp_id=identity(request.path),
        source=source_of(connection.remote_address),
        authorization=_only(request.headers, "Authorization"),
        tls=secured is not None,
        certificate=certificate,
        certificate_der=der or b"",
    )


def _only(headers: Headers, name: str) -> str | None:
    """Return the value of a header, or None without it. Raises HandshakeRefused if there are several."""
    values = headers.get_all(name)
    if len(values) > 1:
        raise HandshakeRefused(401, "credentials", f"more than one {name} header")
    return values[0] if values else None


async def _bounded(work: Sequence[Coroutine[Any, Any, None]], limit_s: float) -> None:
    """Run all coroutines concurrently and cancel those that are not done after `limit_s` seconds."""
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
