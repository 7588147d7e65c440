"""The WebSocket server: handshakes and live connections; the newest of an identity wins. It knows no OCPP action."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from websockets.asyncio.server import ServerConnection

from wattspan.cluster.ownership import Ownership
from wattspan.csms.commands import ActiveConnection
from wattspan.csms.core import Core
from wattspan.csms.large import PACKING
from wattspan.csms.pending import PendingChargePoint
from wattspan.csms.security.credentials import SecretChecker
from wattspan.domain import events as ev
from wattspan.errors import StoreError
from wattspan.gateway import openings
from wattspan.gateway.admission import MAX_LOGGED_PATH, Admission, fields_of, offered
from wattspan.gateway.certificates import Revocations
from wattspan.gateway.connection import ChargePointConnection, FrameTap, close_quietly
from wattspan.gateway.handshake import (
    Admitted,
    Credentials,
    HandshakeAuthenticator,
    choose,
)
from wattspan.gateway.live import LiveConnection
from wattspan.gateway.ocsp import OcspClient
from wattspan.gateway.openings import Openings
from wattspan.gateway.pending import PendingConnections
from wattspan.gateway.ports import CLOSE_TIMEOUT_S, Ports, ServerCallbacks
from wattspan.gateway.taps import Taps
from wattspan.gateway.throttle import Throttle, source_of
from wattspan.gateway.tls import ServerTls, TlsFiles
from wattspan.ocppj.large import LargeMessages
from wattspan.settings import Settings
from wattspan.telemetry import catalogue
from wattspan.telemetry.evidence import Disconnect
from wattspan.telemetry.logs import limited
from wattspan.versions.base import Version

log = logging.getLogger(__name__)

PROCESS_S = 60.0
"""Seconds that the messages of a lost connection may take. Most of it is for a store that is down."""
FINISH_S = 5.0
"""Seconds that messages in progress may take at shutdown. The charger repeats what is not answered by then."""


class Gateway:
    """Accepts charge points and keeps their live connections."""

    def __init__(
        self,
        core: Core,
        credentials: Credentials,
        settings: Settings,
        checker: SecretChecker,
        tls: TlsFiles | None,
        ownership: Ownership | None = None,
    ) -> None:
        """`ownership`: in a cluster, the charge points of this node. Raises SettingsError if `tls` can't be used."""
        self._core = core
        self._ownership = ownership
        self._settings = settings
        self._credentials = credentials
        self._tls = None if tls is None else ServerTls(tls, self._tls_failed)
        self._ocsp = None
        if tls is not None and settings.tls_client_ocsp != "off":
            self._ocsp = OcspClient(lambda: tls.client_ca, core.clock)
        self.throttle = Throttle(time.monotonic)
        self.on_connected: Callable[[str, str, int], None] | None = None
        """Called with the identity, subprotocol and security profile of each connection that begins."""
        self.on_disconnected: Callable[[str], None] | None = None
        """Called with the identity of a charge point that has no connection any more."""
        authenticator = HandshakeAuthenticator(
            credentials,
            settings,
            throttle=self.throttle,
            checker=checker,
            revocations=self._revocations,
            ocsp=self._ocsp,
            clock=core.clock,
        )
        self._connections: dict[str, LiveConnection] = {}
        self._finishing: set[LiveConnection] = set()
        """Lost or replaced connections whose messages are still processed."""
        self.taps = Taps(core, self._connections.get)
        self._pending = PendingConnections(core)
        self._ports = Ports(settings, self._tls, Openings(self._silent_closed))
        self._large = LargeMessages(PACKING)
        self._admission = Admission(core, settings, authenticator, self._pending, lambda: self._ports.accepting)

    async def start(self) -> None:
        """Start listening.

        Raises:
            SettingsError: the port is in use, or the host is not an address of this machine.
        """
        admission = self._admission
        await self._ports.open(
            ServerCallbacks(
                serve=self._serve,
                admit=admission.admit,
                no_http=lambda: admission.rejected("request", "the request is no HTTP"),
                no_header=lambda: admission.rejected("proxy_header", "the load balancer sent no PROXY protocol header"),
                answered=admission.answered,
                select=admission.select,
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

    def _silent_closed(self) -> None:
        self._admission.rejected(openings.REASON, openings.TEXT)

    def _tls_failed(self, reason: str, text: str) -> None:
        self._admission.rejected(reason, f"the TLS handshake failed: {text}")

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
        return ActiveConnection(
            cp_id=cp_id,
            rpc=found.rpc,
            version=found.version,
            attributes=found.attributes,
            security_profile=found.profile,
        )

    def connections(self) -> list[tuple[str, str, int]]:
        """Return the open connections: identity, subprotocol and security profile of each."""
        return [(cp_id, live.version.subprotocol, live.profile) for cp_id, live in self._connections.items()]

    def watch(self, cp_id: str, on_message: FrameTap) -> Callable[[], None]:
        """Call `on_message` for each message of a charge point, also after reconnects. Returns a function to end it."""
        return self.taps.watch(cp_id, on_message)

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

    async def drain(self, over_s: float) -> None:
        """Stop accepting, and close the connections with 1001 evenly over `over_s` seconds, each when it is idle."""
        self._ports.stop_accepting()
        open_now = list(self._connections.values())
        random.shuffle(open_now)
        began_at, ending = time.monotonic(), set()
        for number, live in enumerate(open_now):
            wait_s = began_at + over_s * number / len(open_now) - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            ending.add(asyncio.create_task(self._end(live)))
        if ending:
            await asyncio.wait(ending)

    async def _end(self, live: LiveConnection) -> None:
        live.connection.detach()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_S):
                await live.rpc.finished()
        live.rpc.close()
        await close_quietly(live.connection, 1001, "going away")

    def disconnect(self, cp_id: str, reason: str) -> None:
        """Close a charge point's connection, if it has one."""
        found = [self._connections.get(cp_id), *self._finishing]
        for live in found:
            if live is not None and live.rpc.cp_id == cp_id:
                live.drop(1008, reason)

    def abandon(self, cp_id: str) -> None:
        """Close a charge point's connection, of which another node has a newer one. Nothing more is answered."""
        for live in [self._connections.get(cp_id), *self._finishing]:
            if live is not None and live.rpc.cp_id == cp_id:
                live.drop(1008, "connected to another node")

    async def finish(self, cp_id: str) -> None:
        """Close a charge point's connection, and return once what it had sent is processed."""
        live = self._connections.get(cp_id)
        if live is not None:
            self._finishing.add(live)
            live.replace()
            await live.rpc.finished()

    async def _serve(self, connection: ServerConnection) -> None:
        """Serve one charge point from handshake to close."""
        assert isinstance(connection, ChargePointConnection)  # noqa: S101
        assert connection.request is not None  # noqa: S101
        version, _ = choose(offered(connection.request.headers), self._settings.default_subprotocol)
        if version is None:
            names = ", ".join(offered(connection.request.headers))
            text = f"no OCPP version of ours among {names[:MAX_LOGGED_PATH]}"
            self._admission.rejected("subprotocol", text, fields_of(connection, connection.admitted.cp_id))
            connection.detach()
            await close_quietly(connection, 1002, "no common subprotocol")
            return
        admitted: Admitted = connection.admitted
        connection.forget_handshake()
        if admitted.pending:
            charge_point = _pending(connection, admitted, version, self._core.clock())
            self._core.recorder.evidence.record(
                catalogue.CONNECT_SPAN,
                "%s connected from %s and waits for approval",
                admitted.cp_id,
                charge_point.source,
                fields=fields_of(connection, admitted.cp_id) | {catalogue.PROTOCOL: version.subprotocol},
                limit="pending",
                logger=log,
            )
            await self._pending.serve(connection, charge_point, version)
            return
        if self._ownership is not None and not await self._take(connection, admitted, self._ownership):
            return
        if admitted.proven and not await self._store_profile(connection, admitted):
            return
        live = self._enter(connection, admitted.cp_id, version)
        live.profile, live.certificate = admitted.profile, admitted.certificate
        if self.on_connected is not None:
            self.on_connected(admitted.cp_id, version.subprotocol, admitted.profile)
        if admitted.certificate is not None and admitted.certificate.expires_ts is not None:
            self._note_certificate(admitted.cp_id, admitted.certificate.expires_ts)
        try:
            await connection.lost()
            self._lost(admitted.cp_id, live)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROCESS_S):
                    await live.rpc.finished()
        finally:
            self._leave(admitted.cp_id, live)

    async def _take(self, connection: ChargePointConnection, admitted: Admitted, ownership: Ownership) -> bool:
        """Make this node the owner of the charge point. Returns False, and closes the connection, if that fails."""
        try:
            await ownership.take(admitted.cp_id, admitted.owner)
        except StoreError as exc:
            limited(log, logging.WARNING, "take", "%s could not be taken over: %s", admitted.cp_id, exc)
            connection.detach()
            await close_quietly(connection, 1013, "try again later")
            return False
        return True

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

    def _note_certificate(self, cp_id: str, expires_ts: float) -> None:
        held = ev.CertificateHeld(cp_id=cp_id, received_ts=self._core.clock(), expires_ts=expires_ts)
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
        if self._ownership is not None:
            # Durable at once: the node that takes it next counts a disconnect of one that was connected.
            core.fleet.changes.charge_points[cp_id] = live.handler.cp
        core.record([ev.ChargePointConnected(cp_id=cp_id, received_ts=now_ts, protocol=version.subprotocol)])
        core.recorder.evidence.connected(
            cp_id,
            live.attributes,
            round(now_ts * 1e9),
            protocol=version.subprotocol,
            replaced=None if replaced is None else replaced.attributes,
        )
        connection.on_binary = live.handler.on_binary
        self.taps.attach(live, cp_id)
        connection.attach(live.rpc.receive)
        return live

    def _lost(self, cp_id: str, live: LiveConnection) -> None:
        """Note that nothing can be sent any more. What has been received is still processed."""
        live.rpc.lost()
        self._finishing.add(live)
        if self._connections.get(cp_id) is live:
            del self._connections[cp_id]
            if self.on_disconnected is not None:
                self.on_disconnected(cp_id)

    def _leave(self, cp_id: str, live: LiveConnection) -> None:
        """Clean up after a connection, by identity of the object: a replaced one must not affect its successor."""
        core, connection = self._core, live.connection
        self._lost(cp_id, live)
        self._finishing.discard(live)
        connection.detach()
        live.rpc.close()
        core.counters.sockets -= 1
        code, now_ns = connection.close_code or 1006, core.clock_ns()
        replaced = cp_id in self._connections
        reason, began_ns = connection.close_reason or "", round(live.began_ts * 1e9)
        end = Disconnect(code, reason, began_ns, live.handler.last_message, replaced)
        core.recorder.evidence.disconnected(cp_id, live.attributes, end, now_ns)
        if core.fleet.charge_points.get(cp_id) is live.handler.cp:
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


async def _bounded(work: Sequence[Coroutine[Any, Any, None]], limit_s: float) -> None:
    """Run all coroutines concurrently and cancel those that are not done after `limit_s` seconds."""
    if work:
        _, pending = await asyncio.wait([asyncio.create_task(each) for each in work], timeout=limit_s)
        for task in pending:
            task.cancel()
