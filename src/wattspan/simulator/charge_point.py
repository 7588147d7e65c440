"""One virtual charge point: dials in, boots, beats, tells, and dials in again. Commands are answered in `commands`."""

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from wattspan.simulator import commands, messages
from wattspan.simulator.clock import Clock
from wattspan.simulator.configuration import Configuration
from wattspan.simulator.connector import Connector
from wattspan.simulator.faults import FaultRates
from wattspan.simulator.habits import Habits
from wattspan.simulator.ledger import Figures
from wattspan.simulator.link import Answer, Link, LinkDown, Payload
from wattspan.simulator.messages import NO_ERROR, Transaction
from wattspan.simulator.outbox import Message, Outbox
from wattspan.simulator.profiles import Moment, Profiles

_ANSWER_TIMEOUT_S = 30.0
_BACK_OFF_MOST_S = 60.0
_FAREWELL_S = 30.0
"""Real seconds to get rid of what is queued, at the end."""
_REBOOT_FLUSH_S = 5.0
_DEFAULT_HEARTBEAT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What all charge points of a simulation share."""

    url: str
    clock: Clock
    seed: int
    connectors: int
    faults: FaultRates
    habits: Habits
    id_tags: tuple[str, ...]
    password: str | None = field(default=None, repr=False)
    doors: asyncio.Semaphore
    """Bounds the handshakes under way, or thousands at once would time out."""


class ChargePoint:
    """Owns its connectors, queue and connection. `run` is its life."""

    def __init__(self, cp_id: str, world: World, figures: Figures) -> None:
        self.cp_id = cp_id
        self.clock = world.clock
        self.figures = figures
        self.habits = world.habits
        self.faults = world.faults
        self.id_tags = world.id_tags
        self.configuration = Configuration(connectors=world.connectors, meter_interval_s=world.habits.meter_interval_s)
        self.profiles = Profiles()
        self.local_list: dict[str, str] = {}
        """Status by id tag."""
        self.local_list_version = 0
        self.certificates: dict[str, Payload] = {}
        """Installed ones by serial number: their hash data, and the type under `certificateType`."""
        self.firmware = "1.0.0"
        self.hardware_a = 32.0
        """What a phase of its outlets can carry."""
        self._world = world
        self._rng = Random(f"{world.seed}/{cp_id}")
        self._clock_offset_s = world.faults.clock_offset_s(self._rng)
        self.outbox = Outbox(
            world.clock,
            figures,
            attempts=lambda: int(self.configuration.number("TransactionMessageAttempts")),
            retry_s=lambda: self.configuration.number("TransactionMessageRetryInterval"),
        )
        self.connectors = tuple(
            Connector(number, self, Random(f"{world.seed}/{cp_id}/{number}"))
            for number in range(1, world.connectors + 1)
        )
        self._online = asyncio.Event()
        self._online.set()
        self._offline_holds = 0
        self._link: Link | None = None
        self._accepted: Link | None = None
        """The link, once the central system has accepted us on it."""
        self._ready = asyncio.Event()
        self._needs_boot = True
        self._attempts = 0
        self._side_tasks: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether it can be spoken to."""
        return self._accepted is not None

    async def run(self, finish: asyncio.Event) -> None:
        """Lives until `finish`: then ends its sessions, sends what is queued, and hangs up. Cancelled, it just goes."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            drivers = [tasks.create_task(self._drive(connector)) for connector in self.connectors]
            line = tasks.create_task(self._stay_connected())
            await finish.wait()
            for connector in self.connectors:
                connector.retire()
            self._ready.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_S):
                    await asyncio.gather(*(connector.quiet.wait() for connector in self.connectors))
                    await self.outbox.drained()
            self.figures.unacknowledged += self.outbox.durable
            for task in (*drivers, line, *self._side_tasks):
                task.cancel()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs something on the side, until it is done or the charge point's life is over."""
        task = self._tasks.create_task(work)
        self._side_tasks.add(task)
        task.add_done_callback(self._side_tasks.discard)

    def connector(self, number: object) -> Connector | None:
        """The connector of this number; None: there is none."""
        return next((connector for connector in self.connectors if connector.id == number), None)

    async def authorize(self, id_tag: str) -> bool:
        """Asks the central system; offline the local list, and then the configuration (OCPP 1.6 §3.5)."""
        listed = self.local_list.get(id_tag) if self.configuration.flag("LocalAuthListEnabled") else None
        if listed == "Accepted" and self.configuration.flag("LocalPreAuthorize"):
            return True
        link = self._accepted
        if link is not None:
            with contextlib.suppress(LinkDown):
                reply = await link.call("Authorize", {"idTag": id_tag})
                return _status(reply.payload.get("idTagInfo")) == "Accepted"
        return listed == "Accepted" if listed else self.configuration.flag("AllowOfflineTxForUnknownId")

    def now_ts(self) -> float:
        """Unix seconds by its own clock."""
        return self.clock.now_ts() + self._clock_offset_s

    def moment(self, transaction: Transaction | None) -> Moment:
        """Now, as charging profiles see it."""
        if transaction is None:
            return Moment(self.now_ts())
        return Moment(self.now_ts(), transaction.id, transaction.started_ts)

    def offered_a(self, connector_id: int, transaction: Transaction | None) -> float:
        """What may flow a phase now."""
        return self.profiles.limit_a(connector_id, self.moment(transaction), self.hardware_a)

    def meter_interval_s(self) -> float:
        """Simulated seconds between MeterValues; 0: none."""
        return self.configuration.number("MeterValueSampleInterval")

    def measurands(self) -> set[str]:
        """What MeterValues tell."""
        return {name.strip() for name in self.configuration.text("MeterValuesSampledData").split(",")}

    def stops_invalid_tags(self) -> bool:
        """Whether a start answered with anything but Accepted ends the transaction."""
        return self.configuration.flag("StopTransactionOnInvalidId")

    def report_status(self, connector: Connector) -> None:
        """Queues a StatusNotification of this connector."""
        self.outbox.put(self._status_message(connector.id, connector.status, connector.error_code))

    def transaction_ended(self, connector_id: int) -> None:
        """Forgets the profile that was the transaction's own."""
        self.profiles.forget_transaction(connector_id)

    def limits_changed(self) -> None:
        """Lets the sessions look at the limit anew, at once."""
        for connector in self.connectors:
            connector.poked.set()

    def send(self, action: str, payload: Payload, acknowledged: Callable[[Payload], None] = lambda _: None) -> None:
        """Queues a message that is news only while connected."""
        self.outbox.put(Message(action=action, payload=lambda: payload, acknowledged=acknowledged))

    def drop(self) -> None:
        """Aborts the connection, as a fault."""
        if self._link is not None:
            self.figures.drops += 1
            self._link.abort()

    def go_offline(self) -> Callable[[], None]:
        """Ends the connection, and keeps it so until the returned function is called, once."""
        self._offline_holds += 1
        self._online.clear()
        if self._link is not None:
            self._link.abort()
        return self._back_online

    async def reboot(self, reason: str) -> None:
        """Stops its transactions for this `reason`, tells so if it can, and comes back with a BootNotification."""
        for connector in self.connectors:
            connector.end_session(reason)
        await asyncio.gather(*(connector.quiet.wait() for connector in self.connectors))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REBOOT_FLUSH_S):
                await self.outbox.drained()
        self._needs_boot = True
        if self._link is not None:
            await self._link.close()

    def heartbeat(self) -> None:
        """Queues a Heartbeat."""
        self.send("Heartbeat", {}, self._beaten)

    def boot(self) -> None:
        """Queues a BootNotification without booting (TriggerMessage)."""
        self.send("BootNotification", messages.boot_notification(self.cp_id, self.firmware), self._boot_answered)

    def metered(self, _: Payload) -> None:
        """MeterValues were answered."""
        self.figures.meter_values += 1

    def _back_online(self) -> None:
        self._offline_holds -= 1
        if not self._offline_holds:
            self._online.set()

    async def _drive(self, connector: Connector) -> None:
        await self._ready.wait()
        await connector.drive()

    async def _stay_connected(self) -> None:
        while True:
            await self._online.wait()
            try:
                socket = await self._dial()
            except (OSError, TimeoutError, WebSocketException):
                self.figures.refusals += 1
            else:
                await self._converse(socket)
            back_off_s = min(_BACK_OFF_MOST_S, 2.0**self._attempts) * self._rng.uniform(0.5, 1.0)
            self._attempts = min(self._attempts + 1, 10)
            await self.clock.pause(back_off_s)

    async def _dial(self) -> ClientConnection:
        headers = {}
        if self._world.password is not None:  # OCPP-J 1.6 §6.2.2
            credentials = b64encode(f"{self.cp_id}:{self._world.password}".encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        async with self._world.doors:
            return await connect(
                f"{self._world.url.rstrip('/')}/{quote(self.cp_id, safe='')}",
                subprotocols=[Subprotocol(messages.SUBPROTOCOL)],
                additional_headers=headers,
                compression=None,  # its buffers are most of what a connection costs
                ping_interval=None,
                close_timeout=2,
                proxy=None,
            )

    async def _converse(self, socket: ClientConnection) -> None:
        """One connection's life; returns when it is gone."""
        self.figures.connections += 1
        link = Link(socket, self._answer, delay_s=self._answer_delay_s, timeout_s=_ANSWER_TIMEOUT_S)
        self._link = link
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(link.run())
                tasks.create_task(self._speak(link, tasks))
        except* LinkDown as down:
            self.figures.timeouts += sum(exc.timed_out for exc in _leaves(down))
        finally:
            self._link = self._accepted = None
            self.outbox.close()
            self.figures.disconnects += 1
            await socket.close()  # 1000, whatever ended it; bounded by its close_timeout

    async def _speak(self, link: Link, tasks: asyncio.TaskGroup) -> None:
        if self._needs_boot:
            await self._boot(link)
            self._needs_boot = False
        self._accepted = link
        self._attempts = 0
        self._ready.set()
        states = [(0, "Available", NO_ERROR), *((c.id, c.status, c.error_code) for c in self.connectors)]
        self.outbox.open(self._status_message(*state) for state in states)
        tasks.create_task(self.outbox.deliver(link))
        while True:
            await self.clock.pause(self.configuration.number("HeartbeatInterval") or _DEFAULT_HEARTBEAT_S)
            self.heartbeat()

    async def _boot(self, link: Link) -> None:
        """Asks until it is accepted (OCPP 1.6 §4.2)."""
        while True:
            reply = await link.call("BootNotification", messages.boot_notification(self.cp_id, self.firmware))
            if reply.code is not None:
                self.figures.refused += 1
            elif self._booted(reply.payload):
                return
            await self.clock.pause(self.configuration.number("HeartbeatInterval") or _DEFAULT_HEARTBEAT_S)

    def _booted(self, answer: Payload) -> bool:
        interval_s = answer.get("interval")
        if isinstance(interval_s, int) and interval_s > 0:
            self.configuration.set("HeartbeatInterval", str(interval_s))
        accepted = _status(answer) == "Accepted"
        self.figures.boots += accepted
        return accepted

    def _boot_answered(self, answer: Payload) -> None:
        self._booted(answer)

    def _status_message(self, connector_id: int, status: str, error_code: str) -> Message:
        payload = messages.status_notification(connector_id, status, error_code, self.now_ts())
        return Message(
            action="StatusNotification", payload=lambda: payload, acknowledged=partial(self._status_told, error_code)
        )

    def _status_told(self, error_code: str, _: Payload) -> None:
        self.figures.statuses += 1
        if error_code != NO_ERROR:
            self.figures.error_notices[error_code] += 1

    def _beaten(self, _: Payload) -> None:
        self.figures.heartbeats += 1

    def _answer(self, action: str, payload: Payload) -> Answer:
        answer = commands.answer(self, action, payload)
        self.figures.commands[action] += 1
        return answer

    def _answer_delay_s(self) -> float:
        return self.faults.late_answer_s if self._rng.random() < self.faults.late_answer else 0.0


def _status(answer: object) -> object:
    """The `status` of what should be an object that has one."""
    return answer.get("status") if isinstance(answer, dict) else None


def _leaves(group: BaseExceptionGroup[LinkDown]) -> list[LinkDown]:
    found: list[LinkDown] = []
    for exc in group.exceptions:
        found += _leaves(exc) if isinstance(exc, BaseExceptionGroup) else [exc]
    return found
