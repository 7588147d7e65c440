"""The WebSocket server: handshake, live sessions, the newest connection wins. It knows no OCPP action."""

import asyncio
import http
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from wattspan.csms.commands import Live
from wattspan.csms.plugins.base import FramePassed
from wattspan.csms.service import CallHandler, Core
from wattspan.domain import events as ev
from wattspan.errors import HandshakeRefused, SettingsError, StoreError
from wattspan.gateway.connection import ChargePointConnection, FrameTap, close_quietly
from wattspan.gateway.handshake import Credentials, Policy, admit, choose, identity
from wattspan.ocppj.session import Session
from wattspan.settings import Settings
from wattspan.telemetry.logs import limited
from wattspan.versions.base import Version

log = logging.getLogger(__name__)

RETRY_AFTER_S = 10
CLOSE_TIMEOUT_S = 5.0
FINISH_S = 5.0
"""How long messages under way may take at shutdown. What is not answered then, the charger sends again."""


class _Live:
    """One live connection: it ties socket, session and handler, and is the identity by which it is removed."""

    __slots__ = ("connection", "core", "handler", "send", "session", "version")

    def __init__(
        self, core: Core, connection: ChargePointConnection, cp_id: str, version: Version, now_ts: float
    ) -> None:
        self.core = core
        self.connection = connection
        self.version = version
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

    def __init__(self, core: Core, credentials: Credentials, settings: Settings) -> None:
        self._core = core
        self._credentials = credentials
        self._settings = settings
        self._policy = Policy(accepts_unknown=settings.lets_unknown_charge_points)
        self._sessions: dict[str, _Live] = {}
        self._watchers: dict[str, list[FrameTap]] = {}
        self._server: Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            SettingsError: the port is taken, or the host is none of ours.
        """
        settings = self._settings
        try:
            self._server = await serve(
                self._serve,
                settings.host,
                settings.port,
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
            fault = f"port {settings.host}:{settings.port}: {reason}; choose another with --port"
            raise SettingsError([fault]) from exc

    @property
    def port(self) -> int:
        """The port in use; of interest when the settings asked for port 0."""
        assert self._server is not None  # noqa: S101
        return int(next(iter(self._server.sockets)).getsockname()[1])

    def live(self, cp_id: str) -> Live | None:
        """The session of a connected charge point."""
        found = self._sessions.get(cp_id)
        return None if found is None else Live(session=found.session, version=found.version)

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
        if self._server is None:
            return
        self._server.close(close_connections=False)
        live = list(self._sessions.values())
        for each in live:
            each.connection.detach()
        await _bounded([each.session.finished() for each in live], FINISH_S)
        await _bounded([close_quietly(each, 1001, "going away") for each in self._open()], 2 * CLOSE_TIMEOUT_S)
        await self._server.wait_closed()

    def _open(self) -> list[ChargePointConnection]:
        connections = self._server.connections if self._server is not None else ()
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
                raise HandshakeRefused(503, "store", "the store is not writable now")
            cp_id = await admit(identity(request.path), request.headers, self._credentials, self._policy)
        except StoreError:
            return self._refused(connection, HandshakeRefused(503, "store", "the store can't be read now"))
        except HandshakeRefused as refusal:
            return self._refused(connection, refusal)
        connection.admitted = cp_id
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
        if refusal.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
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
        cp_id: str = connection.admitted
        connection.forget_handshake()
        live = self._enter(connection, cp_id, version)
        try:
            await connection.lost()
        finally:
            self._leave(cp_id, live)

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
