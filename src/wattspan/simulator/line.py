"""A charge point's line to the central system: dials in, boots, beats, and dials in again. Knows no outlet."""

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
from wattspan.simulator.dialects.base import Dialect, EventRef
from wattspan.simulator.ledger import Figures
from wattspan.simulator.link import Answer, Link, LinkDown, Payload, Reply
from wattspan.simulator.outbox import Outbox
from wattspan.simulator.world import World

_ANSWER_TIMEOUT_S = 30.0
_BACK_OFF_MOST_S = 60.0


class Owner(Protocol):
    """What the line needs of its charge point."""

    cp_id: str
    clock: Clock
    figures: Figures
    dialect: Dialect
    outbox: Outbox
    firmware: str

    def introduce(self) -> None:
        """It was accepted on a new connection: opens the outbox with what must be told first."""

    def heartbeat(self) -> None:
        """Queues a Heartbeat."""

    def heartbeat_interval_s(self) -> float:
        """Real seconds between heartbeats."""

    def booted(self, answer: Payload) -> bool:
        """Heeds the answer to a BootNotification; whether it was accepted."""

    def answer(self, action: str, payload: Payload) -> Answer:
        """Answers a command."""

    def answer_delay_s(self) -> float:
        """How long to hold the next answer back, in real seconds."""


class Line:
    """One connection after the other, each from handshake to end, until cancelled."""

    def __init__(self, owner: Owner, world: World, rng: Random) -> None:
        self.ready = asyncio.Event()
        """Set by the first acceptance, for ever."""
        self._owner = owner
        self._world = world
        self._rng = rng
        self._online = asyncio.Event()
        self._online.set()
        self._offline_holds = 0
        self._link: Link | None = None
        self._accepted: Link | None = None
        """The link, once the central system has accepted us on it."""
        self._boot_reason: str | None = "PowerUp"
        """Why it must boot before anything else; None: it has."""
        self._attempts = 0

    @property
    def accepted(self) -> bool:
        """Whether the central system can be spoken to."""
        return self._accepted is not None

    async def run(self) -> None:
        """Dials, converses, backs off, for ever."""
        clock = self._owner.clock
        while True:
            await self._online.wait()
            try:
                socket = await self._dial()
            except (OSError, TimeoutError, WebSocketException):
                self._owner.figures.refusals += 1
            else:
                await self._converse(socket)
            back_off_s = min(_BACK_OFF_MOST_S, 2.0**self._attempts) * self._rng.uniform(0.5, 1.0)
            self._attempts = min(self._attempts + 1, 10)
            await clock.pause(back_off_s)

    async def call(self, telling: EventRef) -> Reply:
        """A CALL outside the queue. Raises LinkDown."""
        if self._accepted is None:
            raise LinkDown("not connected")
        return await self._accepted.call(telling.action, telling.payload())

    def abort(self) -> bool:
        """Drops the TCP connection; whether there was one."""
        if self._link is None:
            return False
        self._link.abort()
        return True

    async def restart(self, boot_reason: str) -> None:
        """Hangs up, and boots on the next connection."""
        self._boot_reason = boot_reason
        if self._link is not None:
            await self._link.close()

    def hold_offline(self) -> Callable[[], None]:
        """Ends the connection, and keeps it so until the returned function is called, once."""
        self._offline_holds += 1
        self._online.clear()
        self.abort()
        return self._let_online

    def _let_online(self) -> None:
        self._offline_holds -= 1
        if not self._offline_holds:
            self._online.set()

    async def _dial(self) -> ClientConnection:
        headers = {}
        cp_id, world = self._owner.cp_id, self._world
        if world.password is not None:  # OCPP-J 1.6 §6.2.2
            credentials = b64encode(f"{cp_id}:{world.password}".encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        async with world.doors:
            return await connect(
                f"{world.url.rstrip('/')}/{quote(cp_id, safe='')}",
                subprotocols=[Subprotocol(self._owner.dialect.subprotocol)],
                additional_headers=headers,
                compression=None,  # its buffers are most of what a connection costs
                ping_interval=None,
                close_timeout=2,
                proxy=None,
            )

    async def _converse(self, socket: ClientConnection) -> None:
        """One connection's life; returns when it is gone."""
        owner = self._owner
        owner.figures.connections += 1
        link = Link(socket, owner.answer, delay_s=owner.answer_delay_s, timeout_s=_ANSWER_TIMEOUT_S)
        self._link = link
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(link.run())
                tasks.create_task(self._speak(link, tasks))
        except* LinkDown as down:
            owner.figures.timeouts += sum(exc.timed_out for exc in _leaves(down))
        finally:
            self._link = self._accepted = None
            owner.outbox.close()
            owner.figures.disconnects += 1
            await socket.close()  # 1000, whatever ended it; bounded by its close_timeout

    async def _speak(self, link: Link, tasks: asyncio.TaskGroup) -> None:
        owner = self._owner
        if self._boot_reason is not None:
            await self._boot(link, self._boot_reason)
            self._boot_reason = None
        self._accepted = link
        self._attempts = 0
        self.ready.set()
        owner.introduce()
        tasks.create_task(owner.outbox.deliver(link))
        while True:
            await owner.clock.pause(owner.heartbeat_interval_s())
            owner.heartbeat()

    async def _boot(self, link: Link, reason: str) -> None:
        """Asks until it is accepted (OCPP 1.6 §4.2, 2.0.1 B01 to B03)."""
        owner = self._owner
        telling = owner.dialect.boot(owner.cp_id, owner.firmware, reason)
        while True:
            reply = await link.call(telling.action, telling.payload())
            if reply.code is not None:
                owner.figures.refused += 1
            elif owner.booted(reply.payload):
                return
            await owner.clock.pause(owner.heartbeat_interval_s())


def _leaves(group: BaseExceptionGroup[LinkDown]) -> list[LinkDown]:
    found: list[LinkDown] = []
    for exc in group.exceptions:
        found += _leaves(exc) if isinstance(exc, BaseExceptionGroup) else [exc]
    return found
