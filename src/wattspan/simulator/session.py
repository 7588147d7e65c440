"""One car's stay at a connector, from the plug going in to the plug coming out."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from wattspan.simulator.dialects.base import EventRef
from wattspan.simulator.facts import FAULT, Summons, Transaction
from wattspan.simulator.habits import Visit
from wattspan.simulator.link import Payload
from wattspan.simulator.outbox import Message
from wattspan.simulator.vehicle import LEAST_A

if TYPE_CHECKING:
    from wattspan.simulator.connector import Connector

_FAULT_LASTS_S = 300.0
_LOOKS_EVERY_S = 60.0
"""How often a session looks at the limit by itself: a charging profile's next period pokes nobody."""
_ACCEPTED = "Accepted"


class Session:
    """Charges for the driver's own card, once it is authorized, or for a remote start's, which is good already."""

    def __init__(self, connector: "Connector", visit: Visit) -> None:
        self._connector = connector
        self._home = connector.home
        self._visit = visit
        self._summons: Summons | None = None
        self._began_s = 0.0
        self._advanced_s = 0.0
        self._dropped = False

    async def run(self) -> None:
        """Plays it through. The messages are queued, not awaited: a session does not hang on the connection."""
        back_online: Callable[[], None] | None = None
        if self._visit.faults.offline:
            self._home.figures.offline_sessions += 1
            back_online = self._home.go_offline()
        try:
            await self._stay()
        finally:
            self._connector.vehicle = None
            self._connector.quiet.set()
            if back_online is not None:
                back_online()

    async def _stay(self) -> None:
        connector, clock = self._connector, self._home.clock
        connector.poked.clear()
        connector.become("Preparing")
        await clock.wait(connector.poked, self._visit.fumbling_s)
        if not await self._authorized() or connector.stop_reason is not None:
            return
        transaction = self._start()
        try:
            reason = await self._charge()
        finally:
            connector.vehicle = None
            connector.transaction = None
        self._stop(transaction, reason)
        if reason == FAULT:
            connector.become("Faulted", self._visit.faults.error_code)
            await clock.sleep(_FAULT_LASTS_S)
        else:
            connector.become("Finishing")
            await clock.sleep(self._visit.unplugging_s)

    async def _authorized(self) -> bool:
        """Whether somebody may charge, and who. A remote start may come in while the driver's card is being judged."""
        self._summons = self._connector.take_summons()
        good = self._summons is not None or await self._home.authorize(self._visit.id_tag)
        self._summons = self._summons or self._connector.take_summons()
        return good or self._summons is not None

    def _start(self) -> Transaction:
        connector, summons = self._connector, self._summons
        id_tag = self._visit.id_tag if summons is None else summons.id_tag
        connector.vehicle = self._visit.vehicle
        begin = connector.reading()
        transaction = Transaction(
            connector_id=connector.id,
            id=self._home.dialect.new_transaction_id(),
            id_tag=id_tag,
            meter_start_wh=begin.register_wh,
            started_ts=begin.ts,
            phases=self._visit.vehicle.phases,
            remote_start_id=None if summons is None else summons.remote_start_id,
            signed=self._visit.rng.random() < _SIGNED,
        )
        if connector.reservation is not None and connector.reservation.id_tag == id_tag:
            transaction.reservation_id, connector.reservation = connector.reservation.id, None
        connector.transaction = transaction
        connector.quiet.clear()
        telling = self._home.dialect.started(transaction, begin, offline=not self._home.connected)
        self._send(telling, partial(self._started, transaction), transaction, given_up=partial(_abandon, transaction))
        self._began_s = self._advanced_s = self._home.clock.simulated_s()
        return transaction

    async def _charge(self) -> str:
        """Charges until something ends it, and says what."""
        connector, clock = self._connector, self._home.clock
        next_reading_s = self._began_s + self._interval_s()
        while connector.stop_reason is None:
            connector.poked.clear()
            self._show()
            offered_a = self._offered_a()
            due_s = min(next_reading_s, self._began_s + self._next_turn_s(), self._advanced_s + _LOOKS_EVERY_S)
            await clock.wait(connector.poked, due_s - clock.simulated_s())
            self._advance(offered_a)
            if self._advanced_s >= next_reading_s:
                self._read_meter()
                next_reading_s = self._advanced_s + self._interval_s()
            self._suffer()
        return connector.stop_reason

    def _advance(self, offered_a: float) -> None:
        """Lets the car take what it was offered since the last time."""
        now_s = self._home.clock.simulated_s()
        taken_wh = self._visit.vehicle.charge(now_s - self._advanced_s, offered_a)
        self._connector.register_wh += taken_wh
        self._advanced_s = now_s

    def _show(self) -> None:
        """The status that belongs to what car and charge point do now."""
        if self._offered_a(by_vehicle=False) < LEAST_A:
            self._become("SuspendedEVSE")
        elif self._offered_a() < LEAST_A or self._visit.vehicle.full:
            self._become("SuspendedEV")
        else:
            self._become("Charging")

    def _become(self, status: str) -> None:
        connector, home = self._connector, self._home
        if status == connector.status or connector.transaction is None:
            return
        connector.become(status)
        transaction = connector.transaction
        telling = home.dialect.changed(transaction, status, home.now_ts(), offline=not home.connected)
        if telling is not None:
            self._send(telling, _heard, transaction)

    def _offered_a(self, *, by_vehicle: bool = True) -> float:
        """What flows at most: nothing in a pause (`by_vehicle` False: the car's own pauses left aside)."""
        stayed_s = self._home.clock.simulated_s() - self._began_s
        paused = any(
            pause.from_s <= stayed_s < pause.to_s and (by_vehicle or not pause.by_vehicle)
            for pause in self._visit.pauses
        )
        return 0.0 if paused else self._home.offered_a(self._connector.id, self._connector.transaction)

    def _next_turn_s(self) -> float:
        """When the plan has something in store next, in seconds from the beginning."""
        visit, stayed_s = self._visit, self._advanced_s - self._began_s
        turns = [edge for pause in visit.pauses for edge in (pause.from_s, pause.to_s)]
        turns += [at for at in (visit.faults.drop_after_s, visit.faults.error_after_s) if at is not None]
        return min((turn for turn in turns if stayed_s < turn < visit.stay_s), default=visit.stay_s)

    def _suffer(self) -> None:
        """What the plan brings, once its moment has passed."""
        stayed_s, faults = self._advanced_s - self._began_s, self._visit.faults
        if faults.drop_after_s is not None and stayed_s >= faults.drop_after_s and not self._dropped:
            self._dropped = True
            self._home.drop()
        if faults.error_after_s is not None and stayed_s >= faults.error_after_s:
            self._connector.end_session(FAULT)
        if stayed_s >= self._visit.stay_s:
            self._connector.end_session("Local" if self._visit.rng.random() < _TAPS_OUT else "EVDisconnected")

    def _interval_s(self) -> float:
        return self._home.meter_interval_s() or float("inf")

    def _read_meter(self) -> None:
        transaction = self._connector.transaction
        if transaction is None:
            return
        reading = self._connector.reading(jitter=self._visit.rng.uniform(0, 0.02))
        telling = self._home.dialect.metered(transaction, reading, offline=not self._home.connected)
        self._send(telling, self._home.metered, transaction)

    def _stop(self, transaction: Transaction, reason: str) -> None:
        end = self._connector.reading()
        self._home.transaction_ended(self._connector.id)
        telling = self._home.dialect.stopped(transaction, end, reason, offline=not self._home.connected)
        energy_wh = end.register_wh - transaction.meter_start_wh
        self._send(telling, partial(self._stopped, energy_wh), transaction)
        self._connector.quiet.set()

    def _send(
        self,
        telling: EventRef,
        acknowledged: Callable[[Payload], None],
        of: Transaction,
        *,
        given_up: Callable[[], None] | None = None,
    ) -> None:
        repeat = self._visit.rng.random() < self._home.faults.repeat
        self._home.outbox.put(
            Message(
                action=telling.action,
                payload=lambda: None if of.abandoned else telling.payload(),
                acknowledged=acknowledged,
                durable=True,
                repeat=partial(self._repeated, of) if repeat else None,
                given_up=given_up,
            )
        )

    def _started(self, transaction: Transaction, answer: Payload) -> None:
        dialect = self._home.dialect
        given_id = dialect.given_transaction_id(answer)
        transaction.id = transaction.id if given_id is None else given_id
        self._home.figures.starts += 1
        refused = dialect.token_status(answer) not in {None, _ACCEPTED}
        if refused and self._home.stops_invalid_tags() and self._connector.transaction is transaction:
            self._connector.end_session("DeAuthorized")

    def _stopped(self, energy_wh: int, _: Payload) -> None:
        self._home.figures.stops += 1
        self._home.figures.energy_wh += energy_wh

    def _repeated(self, transaction: Transaction, answer: Payload) -> None:
        if "transactionId" in answer and answer["transactionId"] != transaction.id:
            self._home.figures.mismatches += 1


def _abandon(transaction: Transaction) -> None:
    transaction.abandoned = True


def _heard(_: Payload) -> None:
    """Nothing is counted."""


_TAPS_OUT = 0.5
"""Share of drivers who hold up their card to leave; the others just pull the cable."""
_SIGNED = 0.2
"""Share of sessions whose meter signs, where the version has a place for it."""
