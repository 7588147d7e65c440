"""One virtual charge point: its connectors, its outbox and its connection.

It owns their life cycle and answers commands. It must not know payloads of any OCPP version: a dialect creates them.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import chain, repeat
from random import Random
from typing import Any

from wattspan.errors import CallFault
from wattspan.simulator.configuration import Configuration
from wattspan.simulator.connection import ReconnectingConnection
from wattspan.simulator.connector import Connector
from wattspan.simulator.context import SimulationContext
from wattspan.simulator.dialects.base import INVALID_PAYLOAD, Dialect, OutgoingCall
from wattspan.simulator.ledger import Figures
from wattspan.simulator.model import NO_ERROR, ConnectorState, Hardware, Transaction
from wattspan.simulator.outbox import Message, Outbox
from wattspan.simulator.profiles import EvaluationTime, Profiles
from wattspan.simulator.rpc import Answer, ConnectionDown, Payload

_SHUTDOWN_TIMEOUT_S = 30.0
"""Real seconds to stop transactions and send what is queued, at the end."""
_REBOOT_FLUSH_TIMEOUT_S = 5.0
_DEFAULT_HEARTBEAT_S = 300.0


class ChargePoint:
    """A virtual charge point. `run` runs it until its `finish` event is set."""

    def __init__(
        self, cp_id: str, context: SimulationContext, figures: Figures, dialect: Dialect, hardware: Hardware
    ) -> None:
        self.cp_id = cp_id
        self.dialect = dialect
        self.clock = context.clock
        self.figures = figures
        self.arrivals = context.arrivals
        self.faults = context.faults
        self.id_tags = context.id_tags
        self.configuration = Configuration(
            connectors=context.connectors, meter_interval_s=context.arrivals.meter_interval_s
        )
        self.profiles = Profiles()
        self.local_list: dict[str, str] = {}
        """Authorization status by id tag."""
        self.local_list_version = 0
        self.certificates: dict[str, Payload] = {}
        """Installed certificates by serial number: hash data under `hash`, type under `certificateType`."""
        self.hardware = hardware
        self.max_current_a = 32.0
        """Maximum current per phase of its connectors, in A."""
        self._rng = Random(f"{context.seed}/{cp_id}")
        self._clock_offset_s = context.faults.clock_offset_s(self._rng)
        self.outbox = Outbox(
            context.clock,
            figures,
            attempts=lambda: int(self.configuration.number("TransactionMessageAttempts")),
            retry_s=lambda: self.configuration.number("TransactionMessageRetryInterval"),
        )
        initial = context.initial_states.get(cp_id, ())
        self.connectors = tuple(
            Connector(number, self, Random(f"{context.seed}/{cp_id}/{number}"), state)
            for number, state in zip(range(1, context.connectors + 1), chain(initial, repeat(None)), strict=False)
        )
        self._connection = ReconnectingConnection(self, context, self._rng, boot_reason=None if initial else "PowerUp")
        self._side_tasks: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether the central system accepted it on the current connection."""
        return self._connection.accepted

    async def run(self, finish: asyncio.Event) -> None:
        """Run until `finish` is set; then end the sessions, send what is queued, and disconnect.

        Cancellation: closes the connection and leaves the sessions open.
        """
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            connector_runs = [tasks.create_task(self._run_connector(connector)) for connector in self.connectors]
            connection_run = tasks.create_task(self._connection.run())
            await finish.wait()
            for connector in self.connectors:
                connector.retire()
            self._connection.ready.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SHUTDOWN_TIMEOUT_S):
                    await asyncio.gather(*(connector.no_transaction.wait() for connector in self.connectors))
                    for task in connector_runs:  # what they reported later might never be acknowledged
                        task.cancel()
                    await asyncio.wait(connector_runs)
                    await self.outbox.drained()
            self.figures.unacknowledged += self.outbox.durable
            for task in (*connector_runs, connection_run, *self._side_tasks):
                task.cancel()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` as a task; it is cancelled when the charge point finishes."""
        task = self._tasks.create_task(work)
        self._side_tasks.add(task)
        task.add_done_callback(self._side_tasks.discard)

    def connector(self, number: object) -> Connector | None:
        """Return the connector of this number, or None."""
        return next((connector for connector in self.connectors if connector.id == number), None)

    async def authorize(self, id_tag: str) -> bool:
        """Return whether the card may charge (OCPP 1.6 §3.5).

        The central system decides; offline the local list does, and then the configuration.
        """
        listed = self.local_list.get(id_tag) if self.configuration.flag("LocalAuthListEnabled") else None
        if listed == "Accepted" and self.configuration.flag("LocalPreAuthorize"):
            return True
        with contextlib.suppress(ConnectionDown):
            reply = await self._connection.call(self.dialect.authorize(id_tag))
            return self.dialect.token_status(reply.payload) == "Accepted"
        return listed == "Accepted" if listed else self.configuration.flag("AllowOfflineTxForUnknownId")

    def now_ts(self) -> float:
        """Return Unix seconds by the charge point's clock, which may be wrong."""
        return self.clock.now_ts() + self._clock_offset_s

    def evaluation_time(self, transaction: Transaction | None) -> EvaluationTime:
        """Return the current time and transaction, for charging profiles. `transaction` None: none is open."""
        if transaction is None:
            return EvaluationTime(self.now_ts())
        return EvaluationTime(self.now_ts(), transaction.id, transaction.started_ts)

    def offered_a(self, connector_id: int, transaction: Transaction | None) -> float:
        """Return the maximum current per phase now, in A."""
        return self.profiles.limit_a(connector_id, self.evaluation_time(transaction), self.max_current_a)

    def meter_interval_s(self) -> float:
        """Return the simulated seconds between readings of a transaction; 0: none are sent."""
        return self.configuration.number("MeterValueSampleInterval")

    def heartbeat_interval_s(self) -> float:
        """Return the real seconds between heartbeats."""
        return self.configuration.number("HeartbeatInterval") or _DEFAULT_HEARTBEAT_S

    def measurands(self) -> set[str]:
        """Return the measurands that readings contain."""
        return {name.strip() for name in self.configuration.text("MeterValuesSampledData").split(",")}

    def stops_invalid_tags(self) -> bool:
        """Return whether a start that is answered with anything but Accepted ends the transaction."""
        return self.configuration.flag("StopTransactionOnInvalidId")

    def report_status(self, connector: Connector, before: ConnectorState | None) -> None:
        """Queue what changed on this connector since `before`; None: its whole status."""
        for message in self.dialect.connector_status(connector.id, connector.state, before, self.now_ts()):
            self.outbox.put(self._status_message(message, connector))

    def transaction_ended(self, connector_id: int) -> None:
        """Remove the charging profile of the transaction."""
        self.profiles.remove_transaction_profile(connector_id)

    def limits_changed(self) -> None:
        """Make the sessions check their limit at once."""
        for connector in self.connectors:
            connector.wake_up.set()

    def queue(self, message: OutgoingCall, acknowledged: Callable[[Payload], None] = lambda _: None) -> None:
        """Queue a message; it is dropped if there is no connection. `acknowledged` gets the answer."""
        self.outbox.put(Message(action=message.action, payload=message.payload, acknowledged=acknowledged))

    def queue_durably(self, message: OutgoingCall, transaction: Transaction) -> None:
        """Queue a reading that belongs to a transaction; it is kept until it is acknowledged."""
        self.outbox.put(
            Message(
                action=message.action,
                payload=lambda: None if transaction.abandoned else message.payload(),
                acknowledged=self.meter_values_acknowledged,
                durable=True,
            )
        )

    def send(self, action: str, payload: Payload) -> None:
        """Queue a message with a ready payload; it is dropped if there is no connection."""
        self.queue(OutgoingCall(action, lambda: payload))

    def abort_connection(self) -> None:
        """Abort the TCP connection, as a fault."""
        self.figures.drops += self._connection.abort()

    def go_offline(self) -> Callable[[], None]:
        """Abort the connection and stay offline until the returned function is called, once."""
        return self._connection.hold_offline()

    async def reboot(self, reason: str, boot_reason: str) -> None:
        """Stop the transactions for `reason`, send what is queued, and boot again for `boot_reason`.

        `boot_reason` is a BootReasonEnumType of 2.x.
        """
        for connector in self.connectors:
            connector.end_session(reason)
        await asyncio.gather(*(connector.no_transaction.wait() for connector in self.connectors))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REBOOT_FLUSH_TIMEOUT_S):
                await self.outbox.drained()
        await self._connection.restart(boot_reason)

    def heartbeat(self) -> None:
        """Queue a Heartbeat."""
        self.queue(OutgoingCall("Heartbeat", dict), self._heartbeat_acknowledged)

    def boot(self) -> None:
        """Queue a BootNotification without booting (TriggerMessage)."""
        self.queue(self.dialect.boot(self.cp_id, self.hardware, "Triggered"), self._boot_acknowledged)

    def meter_values_acknowledged(self, _: Payload) -> None:
        """Count a reading that was answered."""
        self.figures.meter_values += 1

    def connection_accepted(self) -> None:
        """Open the outbox on a new connection: the status of all connectors is sent first, then what was queued."""
        ts = self.now_ts()
        states = [self._status_message(message, None) for message in self.dialect.station_status(ts)]
        for connector in self.connectors:
            whole = self.dialect.connector_status(connector.id, connector.state, None, ts)
            states += [self._status_message(message, connector) for message in whole]
        self.outbox.open(states)

    def handle_boot_response(self, answer: Payload) -> bool:
        """Apply the answer to a BootNotification and return whether it is Accepted."""
        interval_s = answer.get("interval")
        if isinstance(interval_s, int) and interval_s > 0:
            self.configuration.set("HeartbeatInterval", str(interval_s))
        accepted = answer.get("status") == "Accepted"
        self.figures.boots += accepted
        return accepted

    def answer(self, action: str, payload: Payload) -> Answer:
        """Return the answer to a command. Raises CallFault for an unknown action or an invalid payload."""
        command = self.dialect.commands.get(action)
        if command is None:
            raise CallFault("NotImplemented", f"{action} is not supported")
        try:
            answer = command(self, payload)
        except INVALID_PAYLOAD as exc:
            raise CallFault(
                self.dialect.framing.formation, f"invalid payload of {action}: {type(exc).__name__}"
            ) from exc
        self.figures.commands[action] += 1
        return answer

    def answer_delay_s(self) -> float:
        """Return the delay of the next answer, in real seconds."""
        return self.faults.late_answer_s if self._rng.random() < self.faults.late_answer else 0.0

    async def _run_connector(self, connector: Connector) -> None:
        await self._connection.ready.wait()
        await connector.run()

    def _boot_acknowledged(self, answer: Payload) -> None:
        self.handle_boot_response(answer)

    def _status_message(self, message: OutgoingCall, connector: Connector | None) -> Message:
        """Return a message about a connector, or about the charge point itself if `connector` is None."""
        acknowledged = partial(self._status_acknowledged, message, connector)
        return Message(action=message.action, payload=message.payload, acknowledged=acknowledged)

    def _status_acknowledged(self, message: OutgoingCall, connector: Connector | None, _: Payload) -> None:
        self.figures.statuses += message.action == "StatusNotification"
        if message.error_code == NO_ERROR:
            return
        if connector is None or not connector.fault_reported or message.action == "StatusNotification":
            self.figures.error_notices[message.error_code] += 1
        if connector is not None:
            connector.fault_reported = connector.state.error_code == message.error_code

    def _heartbeat_acknowledged(self, _: Payload) -> None:
        self.figures.heartbeats += 1
