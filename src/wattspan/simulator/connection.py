"""A charge point's connection to the central system: connect, boot, send heartbeats, and reconnect.

It owns the WebSocket and the back-off. It must not know connectors: what it needs from outside is in `ConnectionOwner`.
"""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from random import Random
from typing import Protocol
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from wattspan.simulator.clock import Clock
from wattspan.simulator.context import SimulationContext
from wattspan.simulator.dialects.base import Dialect, OutgoingCall
from wattspan.simulator.ledger import Figures
from wattspan.simulator.model import Hardware
from wattspan.simulator.outbox import Outbox
from wattspan.simulator.rpc import Answer, ConnectionDown, Payload, Reply, RpcClient

_ANSWER_TIMEOUT_S = 30.0
_MAX_BACK_OFF_S = 60.0


class ConnectionOwner(Protocol):
    """The part of a charge point that its connection needs."""

    cp_id: str
    clock: Clock
    figures: Figures
    dialect: Dialect
    outbox: Outbox
    hardware: Hardware

    def connection_accepted(self) -> None:
        """Open the outbox: the central system accepted the charge point on a new connection."""

    def heartbeat(self) -> None:
        """Queue a Heartbeat."""

    def heartbeat_interval_s(self) -> float:
        """Return the real seconds between heartbeats."""

    def handle_boot_response(self, answer: Payload) -> bool:
        """Apply the answer to a BootNotification and return whether it is Accepted."""

    def answer(self, action: str, payload: Payload) -> Answer:
        """Return the answer to a command. May raise CallFault."""

    def answer_delay_s(self) -> float:
        """Return the delay of the next answer, in real seconds."""


class ReconnectingConnection:
    """Connects and reconnects until cancelled. One WebSocket at a time."""

    def __init__(
        self, owner: ConnectionOwner, context: SimulationContext, rng: Random, *, boot_reason: str | None
    ) -> None:
        self.ready = asyncio.Event()
        """Set when the central system first accepts the charge point, and never cleared."""
        self._owner = owner
        self._context = context
        self._rng = rng
        self._online = asyncio.Event()
        self._online.set()
        self._offline_holds = 0
        self._rpc: RpcClient | None = None
        self._accepted: RpcClient | None = None
        """The RPC connection, once the central system accepted the charge point on it."""
        self._boot_reason = boot_reason
        """The reason of the BootNotification to send first; None: it was sent and accepted."""
        self._attempts = 0
        """Connection attempts since the central system last accepted the charge point."""
        self._attempted = False

    @property
    def accepted(self) -> bool:
        """Whether the central system accepted the charge point on the current connection."""
        return self._accepted is not None

    async def run(self) -> None:
        """Connect, run the connection and back off, until cancelled."""
        clock = self._owner.clock
        while True:
            await self._online.wait()
            try:
                socket = await self._connect()
            except (OSError, TimeoutError, WebSocketException) as exc:
                self._owner.figures.refusals += 1
                self._record_attempt(exc)
            else:
                self._record_attempt(None)
                await self._run_connection(socket)
            back_off_s = min(_MAX_BACK_OFF_S, 2.0**self._attempts) * self._rng.uniform(0.5, 1.0)
            self._attempts = min(self._attempts + 1, 10)
            await clock.pause(back_off_s)

    async def call(self, message: OutgoingCall) -> Reply:
        """Send a CALL that bypasses the outbox and return the reply. Raises ConnectionDown."""
        if self._accepted is None:
            raise ConnectionDown("not connected")
        return await self._accepted.call(message.action, message.payload())

    def abort(self) -> bool:
        """Abort the TCP connection and return whether there was one."""
        if self._rpc is None:
            return False
        self._rpc.abort()
        return True

    async def restart(self, boot_reason: str) -> None:
        """Close the connection and send a BootNotification for `boot_reason` on the next one."""
        self._boot_reason = boot_reason
        if self._rpc is not None:
            await self._rpc.close()

    def hold_offline(self) -> Callable[[], None]:
        """Abort the connection and stay offline until the returned function is called, once."""
        self._offline_holds += 1
        self._online.clear()
        self.abort()
        return self._release_offline

    def _release_offline(self) -> None:
        self._offline_holds -= 1
        if not self._offline_holds:
            self._online.set()

    def _record_attempt(self, error: Exception | None) -> None:
        if not self._attempted:
            self._attempted = True
            self._context.first_attempts.record(error)

    async def _connect(self) -> ClientConnection:
        headers = {}
        cp_id, context = self._owner.cp_id, self._context
        if context.password is not None:  # OCPP-J 1.6 §6.2.2
            credentials = b64encode(f"{cp_id}:{context.password}".encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        async with context.handshake_slots:
            return await connect(
                f"{context.url.rstrip('/')}/{quote(cp_id, safe='')}",
                subprotocols=[Subprotocol(self._owner.dialect.subprotocol)],
                additional_headers=headers,
                compression=None,  # its buffers would be most of a connection's memory
                ping_interval=None,
                close_timeout=2,
                proxy=None,
            )

    async def _run_connection(self, socket: ClientConnection) -> None:
        """Run one connection; return when it is closed."""
        owner = self._owner
        owner.figures.connections += 1
        rpc = RpcClient(
            owner.cp_id,
            socket,
            owner.dialect.framing,
            owner.answer,
            delay_s=owner.answer_delay_s,
            timeout_s=_ANSWER_TIMEOUT_S,
        )
        self._rpc = rpc
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(rpc.run())
                tasks.create_task(self._start_messaging(rpc, tasks))
        except* ConnectionDown as down:
            owner.figures.timeouts += sum(exc.timed_out for exc in _leaves(down))
        finally:
            self._rpc = self._accepted = None
            owner.outbox.close()
            owner.figures.disconnects += 1
            await socket.close()  # code 1000 in all cases; bounded by close_timeout

    async def _start_messaging(self, rpc: RpcClient, tasks: asyncio.TaskGroup) -> None:
        owner = self._owner
        if self._boot_reason is not None:
            await self._boot(rpc, self._boot_reason)
            self._boot_reason = None
        self._accepted = rpc
        self._attempts = 0
        self.ready.set()
        owner.connection_accepted()
        tasks.create_task(owner.outbox.deliver(rpc))
        while True:
            await owner.clock.pause(owner.heartbeat_interval_s())
            owner.heartbeat()

    async def _boot(self, rpc: RpcClient, reason: str) -> None:
        """Send BootNotification until it is accepted (OCPP 1.6 §4.2, 2.0.1 B01 to B03)."""
        owner = self._owner
        message = owner.dialect.boot(owner.cp_id, owner.hardware, reason)
        while True:
            reply = await rpc.call(message.action, message.payload())
            if reply.code is not None:
                owner.figures.refused += 1
            elif owner.handle_boot_response(reply.payload):
                return
            await owner.clock.pause(owner.heartbeat_interval_s())


def _leaves(group: BaseExceptionGroup[ConnectionDown]) -> list[ConnectionDown]:
    found: list[ConnectionDown] = []
    for exc in group.exceptions:
        found += _leaves(exc) if isinstance(exc, BaseExceptionGroup) else [exc]
    return found
