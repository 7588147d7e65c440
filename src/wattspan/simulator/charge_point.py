"""One virtual charge point: its outlets, its queue and its line. What it says is its dialect's."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from random import Random
from typing import Any

from wattspan.errors import CallFault
from wattspan.simulator.configuration import Configuration
from wattspan.simulator.connector import Connector
from wattspan.simulator.dialects.base import Dialect, EventRef
from wattspan.simulator.facts import NO_ERROR, State, Transaction
from wattspan.simulator.ledger import Figures
from wattspan.simulator.line import Line
from wattspan.simulator.link import Answer, LinkDown, Payload
from wattspan.simulator.outbox import Message, Outbox
from wattspan.simulator.profiles import Moment, Profiles
from wattspan.simulator.world import World

_FAREWELL_S = 30.0
"""Real seconds to get rid of what is queued, at the end."""
_REBOOT_FLUSH_S = 5.0
_DEFAULT_HEARTBEAT_S = 300.0


class ChargePoint:
    """Owns its connectors, queue and line. `run` is its life."""

    def __init__(self, cp_id: str, world: World, figures: Figures, dialect: Dialect) -> None:
        self.cp_id = cp_id
        self.dialect = dialect
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
        self._line = Line(self, world, self._rng)
        self._side_tasks: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether it can be spoken to."""
        return self._line.accepted

    async def run(self, finish: asyncio.Event) -> None:
        """Lives until `finish`: then ends its sessions, sends what is queued, and hangs up. Cancelled, it just goes."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            drivers = [tasks.create_task(self._drive(connector)) for connector in self.connectors]
            line = tasks.create_task(self._line.run())
            await finish.wait()
            for connector in self.connectors:
                connector.retire()
            self._line.ready.set()
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
        with contextlib.suppress(LinkDown):
            reply = await self._line.call(self.dialect.authorize(id_tag))
            return self.dialect.token_status(reply.payload) == "Accepted"
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
        """Simulated seconds between readings of a transaction; 0: none."""
        return self.configuration.number("MeterValueSampleInterval")

    def heartbeat_interval_s(self) -> float:
        """Real seconds between heartbeats."""
        return self.configuration.number("HeartbeatInterval") or _DEFAULT_HEARTBEAT_S

    def measurands(self) -> set[str]:
        """What readings tell."""
        return {name.strip() for name in self.configuration.text("MeterValuesSampledData").split(",")}

    def stops_invalid_tags(self) -> bool:
        """Whether a start answered with anything but Accepted ends the transaction."""
        return self.configuration.flag("StopTransactionOnInvalidId")

    def report_status(self, connector: Connector, before: State | None) -> None:
        """Queues what is new of this connector since it was `before`; None: all of it."""
        for telling in self.dialect.state(connector.id, connector.state, before, self.now_ts()):
            self.outbox.put(self._state_message(telling))

    def transaction_ended(self, connector_id: int) -> None:
        """Forgets the profile that was the transaction's own."""
        self.profiles.forget_transaction(connector_id)

    def limits_changed(self) -> None:
        """Lets the sessions look at the limit anew, at once."""
        for connector in self.connectors:
            connector.poked.set()

    def tell(self, telling: EventRef, acknowledged: Callable[[Payload], None] = lambda _: None) -> None:
        """Queues a message that is news only while connected."""
        self.outbox.put(Message(action=telling.action, payload=telling.payload, acknowledged=acknowledged))

    def tell_durably(self, telling: EventRef, of: Transaction) -> None:
        """Queues a reading that belongs to a transaction."""
        self.outbox.put(
            Message(
                action=telling.action,
                payload=lambda: None if of.abandoned else telling.payload(),
                acknowledged=self.metered,
                durable=True,
            )
        )

    def send(self, action: str, payload: Payload) -> None:
        """The same for a message that needs no dialect."""
        self.tell(EventRef(action, lambda: payload))

    def drop(self) -> None:
        """Aborts the connection, as a fault."""
        self.figures.drops += self._line.abort()

    def go_offline(self) -> Callable[[], None]:
        """Ends the connection, and keeps it so until the returned function is called, once."""
        return self._line.hold_offline()

    async def reboot(self, reason: str, boot_reason: str) -> None:
        """Stops its transactions for this `reason`, tells so if it can, and boots again for `boot_reason`."""
        for connector in self.connectors:
            connector.end_session(reason)
        await asyncio.gather(*(connector.quiet.wait() for connector in self.connectors))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REBOOT_FLUSH_S):
                await self.outbox.drained()
        await self._line.restart(boot_reason)

    def heartbeat(self) -> None:
        """Queues a Heartbeat."""
        self.tell(EventRef("Heartbeat", dict), self._beaten)

    def boot(self) -> None:
        """Queues a BootNotification without booting (TriggerMessage)."""
        self.tell(self.dialect.boot(self.cp_id, self.firmware, "Triggered"), self._boot_answered)

    def metered(self, _: Payload) -> None:
        """A reading was answered."""
        self.figures.meter_values += 1

    def introduce(self) -> None:
        """Opens the queue on a new connection: first how everything stands, then all that waited."""
        ts = self.now_ts()
        states = [*self.dialect.station_state(ts)]
        for connector in self.connectors:
            states += self.dialect.state(connector.id, connector.state, None, ts)
        self.outbox.open(self._state_message(telling) for telling in states)

    def booted(self, answer: Payload) -> bool:
        """Heeds the answer to a BootNotification; whether it was accepted."""
        interval_s = answer.get("interval")
        if isinstance(interval_s, int) and interval_s > 0:
            self.configuration.set("HeartbeatInterval", str(interval_s))
        accepted = answer.get("status") == "Accepted"
        self.figures.boots += accepted
        return accepted

    def answer(self, action: str, payload: Payload) -> Answer:
        """Answers a command. Raises CallFault for what it does not know or can't read."""
        command = self.dialect.commands.get(action)
        if command is None:
            raise CallFault("NotImplemented", f"{action} is no command we know")
        try:
            answer = command(self, payload)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise CallFault(self.dialect.unreadable, f"{action} can't be read: {type(exc).__name__}") from exc
        self.figures.commands[action] += 1
        return answer

    def answer_delay_s(self) -> float:
        """How long to hold the next answer back, in real seconds."""
        return self.faults.late_answer_s if self._rng.random() < self.faults.late_answer else 0.0

    async def _drive(self, connector: Connector) -> None:
        await self._line.ready.wait()
        await connector.drive()

    def _boot_answered(self, answer: Payload) -> None:
        self.booted(answer)

    def _state_message(self, telling: EventRef) -> Message:
        return Message(action=telling.action, payload=telling.payload, acknowledged=partial(self._state_told, telling))

    def _state_told(self, telling: EventRef, _: Payload) -> None:
        self.figures.statuses += telling.action == "StatusNotification"
        if telling.error_code != NO_ERROR:
            self.figures.error_notices[telling.error_code] += 1

    def _beaten(self, _: Payload) -> None:
        self.figures.heartbeats += 1
