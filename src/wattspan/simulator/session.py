"""One car's charging session at a connector, from plugging in to unplugging.

It owns the course of the session and the messages of its transaction. It must not know the connection,
because messages are queued in the outbox, nor any OCPP version, because a dialect creates the messages.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from wattspan.simulator.arrivals import Visit
from wattspan.simulator.dialects.base import OutgoingCall
from wattspan.simulator.initial_state import SessionUnderWay
from wattspan.simulator.model import FAULT_STOP_REASON, RemoteStartRequest, Transaction
from wattspan.simulator.outbox import Message
from wattspan.simulator.rpc import Payload
from wattspan.simulator.vehicle import MIN_CURRENT_A

if TYPE_CHECKING:
    from wattspan.simulator.connector import Connector

FAULT_DURATION_S = 300.0
_PLUG_IN_S = 3.0
"""From a remote start at a free connector to the start of the transaction: the driver waits there already."""
_RECHECK_INTERVAL_S = 60.0
"""How often a session checks the limit: nothing wakes it up when the next period of a charging profile begins."""
STOP_BY_CARD_SHARE = 0.5
"""Share of drivers who present their card to stop; the others just unplug the cable."""
SIGNED_METER_SHARE = 0.2
"""Share of sessions whose meter signs its readings, in versions that support it."""
_ACCEPTED = "Accepted"


class ChargingSession:
    """A charging session. It starts when the driver's card is authorized or a remote start is pending.

    `under_way`: it has started already, and goes on.
    """

    def __init__(self, connector: "Connector", visit: Visit, under_way: SessionUnderWay | None = None) -> None:
        self._connector = connector
        self._owner = connector.owner
        self._visit = visit
        self._under_way = under_way
        self._start_request: RemoteStartRequest | None = None
        self._started_s = 0.0
        self._charged_until_s = 0.0
        self._connection_aborted = False

    async def run(self) -> None:
        """Run the session to its end. Messages are queued and not awaited, so it does not depend on the connection."""
        go_online: Callable[[], None] | None = None
        if self._visit.faults.offline:
            self._owner.figures.offline_sessions += 1
            go_online = self._owner.go_offline()
        try:
            await self._run_visit()
        finally:
            self._connector.vehicle = None
            self._connector.no_transaction.set()
            if go_online is not None:
                go_online()

    async def _run_visit(self) -> None:
        connector, clock = self._connector, self._owner.clock
        if self._under_way is None:
            connector.wake_up.clear()
            connector.set_status("Preparing")
            delay_s = _PLUG_IN_S if connector.start_requested else self._visit.authorize_delay_s
            await clock.wait(connector.wake_up, delay_s)
            if not await self._authorized() or connector.stop_reason is not None:
                return
            transaction = self._start()
        else:
            transaction = self._resume(self._under_way)
        try:
            reason = await self._charge()
        finally:
            connector.vehicle = None
            connector.transaction = None
        self._stop(transaction, reason)
        if reason == FAULT_STOP_REASON:
            connector.set_status("Faulted", self._visit.faults.error_code)
            await clock.sleep(FAULT_DURATION_S)
        else:
            connector.set_status("Finishing")
            await clock.sleep(self._visit.unplug_delay_s)

    async def _authorized(self) -> bool:
        """Return whether charging may start. A remote start may arrive while the driver's card is being authorized."""
        self._start_request = self._connector.take_start_request()
        accepted = self._start_request is not None or await self._owner.authorize(self._visit.id_tag)
        self._start_request = self._start_request or self._connector.take_start_request()
        return accepted or self._start_request is not None

    def _start(self) -> Transaction:
        connector, request = self._connector, self._start_request
        id_tag = self._visit.id_tag if request is None else request.id_tag
        connector.vehicle = self._visit.vehicle
        begin = connector.reading()
        connector.transaction_began_s = self._owner.clock.simulated_s()
        transaction = Transaction(
            connector_id=connector.id,
            id=self._owner.dialect.new_transaction_id(),
            id_tag=id_tag,
            meter_start_wh=begin.register_wh,
            started_ts=begin.ts,
            phases=self._visit.vehicle.phases,
            remote_start_id=None if request is None else request.remote_start_id,
            signed=self._visit.rng.random() < SIGNED_METER_SHARE,
        )
        if connector.reservation is not None and connector.reservation.id_tag == id_tag:
            transaction.reservation_id, connector.reservation = connector.reservation.id, None
        connector.transaction = transaction
        connector.no_transaction.clear()
        message = self._owner.dialect.transaction_started(transaction, begin, offline=not self._owner.connected)
        self._queue(
            message,
            partial(self._start_acknowledged, transaction),
            transaction,
            given_up=partial(_abandon, transaction),
        )
        self._started_s = self._charged_until_s = self._owner.clock.simulated_s()
        return transaction

    def _resume(self, under_way: SessionUnderWay) -> Transaction:
        """Go on with a transaction; the car has charged since the state was taken."""
        transaction, clock = under_way.transaction, self._owner.clock
        now_s = self._connector.transaction_began_s = clock.simulated_s()
        since_s = max(0.0, clock.now_ts() - transaction.started_ts - under_way.elapsed_s)
        self._charged_until_s = now_s - since_s
        self._started_s = self._charged_until_s - under_way.elapsed_s
        drop_after_s = self._visit.faults.drop_after_s
        self._connection_aborted = drop_after_s is not None and drop_after_s <= under_way.elapsed_s
        return transaction

    async def _charge(self) -> str:
        """Charge until something ends the session, and return the stop reason."""
        connector, clock = self._connector, self._owner.clock
        next_reading_s = max(self._started_s + self._interval_s(), self._charged_until_s)
        while connector.stop_reason is None:
            connector.wake_up.clear()
            self._update_status()
            offered_a = self._offered_a()
            next_event_s = self._started_s + self._next_planned_event_s()
            due_s = min(next_reading_s, next_event_s, self._charged_until_s + _RECHECK_INTERVAL_S)
            await clock.wait(connector.wake_up, due_s - clock.simulated_s())
            self._charge_vehicle(offered_a)
            if self._charged_until_s >= next_reading_s:
                self._queue_reading()
                next_reading_s = self._charged_until_s + self._interval_s()
            self._apply_planned_events()
        return connector.stop_reason

    def _charge_vehicle(self, offered_a: float) -> None:
        """Add the energy that the car took since the last call."""
        now_s = self._owner.clock.simulated_s()
        taken_wh = self._visit.vehicle.charge(now_s - self._charged_until_s, offered_a)
        self._connector.register_wh += taken_wh
        self._charged_until_s = now_s

    def _update_status(self) -> None:
        if self._offered_a(by_vehicle=False) < MIN_CURRENT_A:
            self._set_status("SuspendedEVSE")
        elif self._offered_a() < MIN_CURRENT_A or self._visit.vehicle.full:
            self._set_status("SuspendedEV")
        else:
            self._set_status("Charging")

    def _set_status(self, status: str) -> None:
        connector, owner = self._connector, self._owner
        if status == connector.status or connector.transaction is None:
            return
        connector.set_status(status)
        transaction = connector.transaction
        message = owner.dialect.charging_state_changed(transaction, status, owner.now_ts(), offline=not owner.connected)
        if message is not None:
            self._queue(message, _ignore_answer, transaction)

    def _offered_a(self, *, by_vehicle: bool = True) -> float:
        """Return the maximum current per phase, 0 in a pause; `by_vehicle` False ignores the car's own pauses."""
        elapsed_s = self._owner.clock.simulated_s() - self._started_s
        paused = any(
            pause.from_s <= elapsed_s < pause.to_s and (by_vehicle or not pause.by_vehicle)
            for pause in self._visit.pauses
        )
        return 0.0 if paused else self._owner.offered_a(self._connector.id, self._connector.transaction)

    def _next_planned_event_s(self) -> float:
        """Return when the next planned event is due, in simulated seconds from the start."""
        visit, elapsed_s = self._visit, self._charged_until_s - self._started_s
        events_s = [edge for pause in visit.pauses for edge in (pause.from_s, pause.to_s)]
        events_s += [at_s for at_s in (visit.faults.drop_after_s, visit.faults.error_after_s) if at_s is not None]
        return min((at_s for at_s in events_s if elapsed_s < at_s < visit.stay_s), default=visit.stay_s)

    def _apply_planned_events(self) -> None:
        """Inject the planned faults that are due, and end the session when its time is over."""
        elapsed_s, faults = self._charged_until_s - self._started_s, self._visit.faults
        if faults.drop_after_s is not None and elapsed_s >= faults.drop_after_s and not self._connection_aborted:
            self._connection_aborted = True
            self._owner.abort_connection()
        if faults.error_after_s is not None and elapsed_s >= faults.error_after_s:
            self._connector.end_session(FAULT_STOP_REASON)
        if elapsed_s >= self._visit.stay_s:
            by_card = self._visit.rng.random() < STOP_BY_CARD_SHARE
            self._connector.end_session("Local" if by_card else "EVDisconnected")

    def _interval_s(self) -> float:
        return self._owner.meter_interval_s() or float("inf")

    def _queue_reading(self) -> None:
        transaction = self._connector.transaction
        if transaction is None:
            return
        reading = self._connector.reading(jitter=self._visit.rng.uniform(0, 0.02))
        message = self._owner.dialect.meter_reading(transaction, reading, offline=not self._owner.connected)
        self._queue(message, self._owner.meter_values_acknowledged, transaction)

    def _stop(self, transaction: Transaction, reason: str) -> None:
        end = self._connector.reading()
        self._connector.transaction_began_s = None
        self._owner.transaction_ended(self._connector.id)
        message = self._owner.dialect.transaction_stopped(transaction, end, reason, offline=not self._owner.connected)
        energy_wh = end.register_wh - transaction.meter_start_wh
        self._queue(message, partial(self._stop_acknowledged, energy_wh), transaction)
        self._connector.no_transaction.set()

    def _queue(
        self,
        message: OutgoingCall,
        acknowledged: Callable[[Payload], None],
        transaction: Transaction,
        *,
        given_up: Callable[[], None] | None = None,
    ) -> None:
        repeat = self._visit.rng.random() < self._owner.faults.repeat
        self._owner.outbox.put(
            Message(
                action=message.action,
                payload=lambda: None if transaction.abandoned else message.payload(),
                acknowledged=acknowledged,
                durable=True,
                repeat=partial(self._repeat_acknowledged, transaction) if repeat else None,
                given_up=given_up,
            )
        )

    def _start_acknowledged(self, transaction: Transaction, answer: Payload) -> None:
        dialect = self._owner.dialect
        assigned_id = dialect.assigned_transaction_id(answer)
        transaction.id = transaction.id if assigned_id is None else assigned_id
        self._owner.figures.starts += 1
        refused = dialect.token_status(answer) not in {None, _ACCEPTED}
        if refused and self._owner.stops_invalid_tags() and self._connector.transaction is transaction:
            self._connector.end_session("DeAuthorized")

    def _stop_acknowledged(self, energy_wh: int, _: Payload) -> None:
        self._owner.figures.stops += 1
        self._owner.figures.energy_wh += energy_wh

    def _repeat_acknowledged(self, transaction: Transaction, answer: Payload) -> None:
        if "transactionId" in answer and answer["transactionId"] != transaction.id:
            self._owner.figures.mismatches += 1


def _abandon(transaction: Transaction) -> None:
    transaction.abandoned = True


def _ignore_answer(_: Payload) -> None:
    """Count nothing."""
