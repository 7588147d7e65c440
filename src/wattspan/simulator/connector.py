"""One outlet: its status, its meter, and the cars that come to it. Reaches the wire only through its `Home`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from wattspan.simulator import meter
from wattspan.simulator.clock import Clock
from wattspan.simulator.dialects.base import Dialect
from wattspan.simulator.facts import NO_ERROR, Reading, State, Summons, Transaction
from wattspan.simulator.faults import FaultRates
from wattspan.simulator.habits import Habits, Visit, draw_visit, next_arrival_s
from wattspan.simulator.ledger import Figures
from wattspan.simulator.link import Payload
from wattspan.simulator.outbox import Outbox
from wattspan.simulator.session import Session
from wattspan.simulator.vehicle import Vehicle


class Home(Protocol):
    """What a connector needs of its charge point."""

    clock: Clock
    dialect: Dialect
    figures: Figures
    habits: Habits
    faults: FaultRates
    outbox: Outbox
    id_tags: tuple[str, ...]

    @property
    def connected(self) -> bool:
        """Whether the central system can be spoken to."""

    async def authorize(self, id_tag: str) -> bool:
        """Whether the card may charge: asks the central system, or offline the local list."""

    def now_ts(self) -> float:
        """Unix seconds by the charge point's own clock, which may be off."""

    def offered_a(self, connector_id: int, transaction: Transaction | None) -> float:
        """What may flow a phase now."""

    def meter_interval_s(self) -> float:
        """Simulated seconds between readings; 0: none."""

    def measurands(self) -> set[str]:
        """What readings tell."""

    def stops_invalid_tags(self) -> bool:
        """Whether a start answered with anything but Accepted ends the transaction."""

    def report_status(self, connector: "Connector", before: State | None) -> None:
        """Tells what is new since `before`, if there is a connection."""

    def metered(self, answer: Payload) -> None:
        """A reading was answered."""

    def transaction_ended(self, connector_id: int) -> None:
        """Forgets what belonged to the transaction alone."""

    def drop(self) -> None:
        """Aborts the connection."""

    def go_offline(self) -> Callable[[], None]:
        """Ends the connection, and keeps it so until the returned function is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A connector kept for somebody until `expires_ts`."""

    id: int
    id_tag: str
    expires_ts: float


class Connector:
    """Its `drive` is one endless day; commands reach in through the other methods."""

    def __init__(self, connector_id: int, home: Home, rng: Random) -> None:
        self.id = connector_id
        self.home = home
        self.state = State("Available")
        self.operative = True
        self.register_wh = float(rng.randrange(0, 5_000_000))
        self.transaction: Transaction | None = None
        self.vehicle: Vehicle | None = None
        self.reservation: Reservation | None = None
        self.poked = asyncio.Event()
        """Something changed that a session must look at: a limit, an end."""
        self.stop_reason: str | None = None
        self._rng = rng
        self._retired = False
        self._summoned: Summons | None = None
        self.busy = False
        """A session is under way, from plug to plug."""
        self.quiet = asyncio.Event()
        """Set while no transaction is open here."""
        self.quiet.set()

    @property
    def status(self) -> str:
        """In OCPP 1.6's words."""
        return self.state.status

    @property
    def free(self) -> bool:
        """Whether a transaction could begin now; a car may be plugged in already."""
        vacant = not self.busy or (self.status == "Preparing" and self.stop_reason is None)
        return self.operative and vacant and not self._retired and self._summoned is None

    async def drive(self) -> None:
        """Takes the cars as they come, until `retire`."""
        if self._rng.random() < self.home.habits.busy_at_start and not self._retired:
            await self._host(self._visit())
        while not self._retired:
            clock = self.home.clock
            wait_s = next_arrival_s(self._rng, self.home.habits, clock.hour())
            came = wait_s < _HOUR_S
            self.poked.clear()
            if self._summoned is None and not self._retired:
                await clock.wait(self.poked, min(wait_s, _HOUR_S))
            if self._summoned is not None:
                await self._host(self._visit())
            elif came and not self.poked.is_set() and self.free:
                await self._welcome()

    def retire(self) -> None:
        """No more cars; a session under way ends."""
        self._retired = True
        self.end_session("Local")
        self.poked.set()

    def summon(self, summons: Summons) -> None:
        """A session begins now, for this card, without asking. Only when `free`."""
        self._summoned = summons
        self.poked.set()

    def take_summons(self) -> Summons | None:
        """A remote start that waits, once; None: there is none."""
        summons, self._summoned = self._summoned, None
        return summons

    def end_session(self, reason: str) -> None:
        """The session under way stops, if there is one."""
        if self.busy and self.stop_reason is None:
            self.stop_reason = reason
            self.poked.set()

    def become(self, status: str, error_code: str = NO_ERROR) -> None:
        """Changes the status and tells it; nothing is told twice."""
        before, self.state = self.state, State(status, error_code)
        if self.state != before:
            self.home.report_status(self, before)

    def rest(self) -> None:
        """The status of a connector without a car."""
        resting = "Available" if self.operative else "Unavailable"
        self.become("Reserved" if self.operative and self.reservation else resting)

    def set_operative(self, operative: bool) -> None:
        """In service or out of it; a session under way is played to its end first."""
        self.operative = operative
        if not self.busy:
            self.rest()

    def reserve(self, reservation: Reservation | None) -> None:
        """Keeps it for somebody; None: no longer."""
        self.reservation = reservation
        if not self.busy:
            self.rest()

    def meter_wh(self) -> int:
        """The register as it is shown."""
        return int(self.register_wh)

    def reading(self, jitter: float = 0.0) -> Reading:
        """What the meter shows now."""
        offered_a = self.home.offered_a(self.id, self.transaction)
        shown = meter.samples(self.vehicle, offered_a, self.home.measurands(), jitter)
        return Reading(self.home.now_ts(), self.meter_wh(), shown)

    def _visit(self) -> Visit:
        return draw_visit(self._rng, self.home.habits, self.home.faults, self.home.id_tags)

    async def _welcome(self) -> None:
        """A driver arrives; at a reserved connector only the one it is kept for may charge."""
        visit = self._visit()
        if self.reservation is None or self.reservation.id_tag == visit.id_tag:
            await self._host(visit)

    async def _host(self, visit: Visit) -> None:
        self.busy = True
        self.stop_reason = None
        try:
            await Session(self, visit).run()
        finally:
            self.busy = False
        self.rest()


_HOUR_S = 3600.0
