"""One connector: its status, its meter, and the cars that arrive at it.

It owns its state and the sequence of its sessions. It must not know the connection or any OCPP version: what it needs
from outside is in `ConnectorOwner`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from wattspan.simulator import meter
from wattspan.simulator.arrivals import ArrivalPattern, Visit, draw_visit, next_arrival_s
from wattspan.simulator.clock import Clock
from wattspan.simulator.dialects.base import Dialect
from wattspan.simulator.faults import FaultRates
from wattspan.simulator.initial_state import InitialConnector, SessionUnderWay
from wattspan.simulator.ledger import Figures
from wattspan.simulator.model import NO_ERROR, ConnectorState, Reading, RemoteStartRequest, Transaction
from wattspan.simulator.outbox import Outbox
from wattspan.simulator.rpc import Payload
from wattspan.simulator.session import ChargingSession
from wattspan.simulator.vehicle import Vehicle

_HOUR_S = 3600.0


class ConnectorOwner(Protocol):
    """The part of a charge point that a connector needs."""

    clock: Clock
    dialect: Dialect
    figures: Figures
    arrivals: ArrivalPattern
    faults: FaultRates
    outbox: Outbox
    id_tags: tuple[str, ...]

    @property
    def connected(self) -> bool:
        """Whether the central system accepted the charge point on the current connection."""

    async def authorize(self, id_tag: str) -> bool:
        """Return whether the card may charge, by the central system or, offline, by the local list."""

    def now_ts(self) -> float:
        """Return Unix seconds by the charge point's clock, which may be wrong."""

    def offered_a(self, connector_id: int, transaction: Transaction | None) -> float:
        """Return the maximum current per phase now, in A."""

    def meter_interval_s(self) -> float:
        """Return the simulated seconds between readings; 0: none are sent."""

    def measurands(self) -> set[str]:
        """Return the measurands that readings contain."""

    def stops_invalid_tags(self) -> bool:
        """Return whether a start that is answered with anything but Accepted ends the transaction."""

    def report_status(self, connector: "Connector", before: ConnectorState | None) -> None:
        """Send what changed since `before`, if there is a connection; None: the whole status."""

    def meter_values_acknowledged(self, answer: Payload) -> None:
        """Count a reading that was answered."""

    def transaction_ended(self, connector_id: int) -> None:
        """Remove the charging profile of the transaction."""

    def abort_connection(self) -> None:
        """Abort the connection, as a fault."""

    def go_offline(self) -> Callable[[], None]:
        """End the connection and stay offline until the returned function is called, once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A connector reserved for an id tag until `expires_ts`, Unix seconds."""

    id: int
    id_tag: str
    expires_ts: float


class Connector:
    """A connector. `run` plays its sessions; commands change it by the other methods."""

    def __init__(
        self, connector_id: int, owner: ConnectorOwner, rng: Random, initial: InitialConnector | None = None
    ) -> None:
        self.id = connector_id
        self.owner = owner
        self.state = ConnectorState("Available")
        self.fault_reported = False
        """Whether the central system has acknowledged the fault that the connector is in."""
        self.operative = True
        self.register_wh = float(rng.randrange(0, 5_000_000)) if initial is None else initial.register_wh
        self.transaction: Transaction | None = None
        self.transaction_began_s: float | None = None
        self.vehicle: Vehicle | None = None
        self.reservation: Reservation | None = None
        self.wake_up = asyncio.Event()
        """Set when a session must check its state at once: a limit changed, or it must end."""
        self.stop_reason: str | None = None
        self._rng = rng
        self._visits = Random(rng.getrandbits(64))
        """For the visits alone: how many numbers the arrivals take depends on the time of day."""
        self._initial = initial
        self._retired = False
        self._start_request: RemoteStartRequest | None = None
        self.busy = False
        """Whether a session is under way, from plugging in to unplugging."""
        self.no_transaction = asyncio.Event()
        """Set while no transaction is open."""
        self.no_transaction.set()
        if initial is not None and initial.session is not None:
            self._resume(initial.session)

    @property
    def status(self) -> str:
        """Status of the connector, as OCPP 1.6 names it."""
        return self.state.status

    @property
    def free(self) -> bool:
        """Whether a transaction could start now; a car may already be plugged in."""
        vacant = not self.busy or (self.status == "Preparing" and self.stop_reason is None)
        return self.operative and vacant and not self._retired and self._start_request is None

    async def run(self) -> None:
        """Run one session after another, until `retire`."""
        if self._initial is not None:
            if self._initial.session is not None:
                await self._play(ChargingSession(self, self._initial.session.visit, self._initial.session))
        elif self._rng.random() < self.owner.arrivals.busy_at_start and not self._retired:
            await self._run_session(self._draw_visit())
        while not self._retired:
            clock = self.owner.clock
            wait_s = next_arrival_s(self._rng, self.owner.arrivals, clock.hour())
            arrives = wait_s < _HOUR_S
            self.wake_up.clear()
            if self._start_request is None and not self._retired:
                await clock.wait(self.wake_up, min(wait_s, _HOUR_S))
            if self._start_request is not None:
                await self._run_session(self._draw_visit())
            elif arrives and not self.wake_up.is_set() and self.free:
                await self._handle_arrival()

    def retire(self) -> None:
        """Accept no more cars and end the session under way."""
        self._retired = True
        self.end_session("Local")
        self.wake_up.set()

    def request_start(self, request: RemoteStartRequest) -> None:
        """Start a session for this card without authorization. Call only when `free`."""
        self._start_request = request
        self.wake_up.set()

    @property
    def start_requested(self) -> bool:
        """Whether a remote start is pending."""
        return self._start_request is not None

    def take_start_request(self) -> RemoteStartRequest | None:
        """Return the pending remote start and clear it; None: there is none."""
        request, self._start_request = self._start_request, None
        return request

    def end_session(self, reason: str) -> None:
        """Stop the session under way, if there is one; the first `reason` counts."""
        if self.busy and self.stop_reason is None:
            self.stop_reason = reason
            self.wake_up.set()

    def set_status(self, status: str, error_code: str = NO_ERROR) -> None:
        """Change the status and report the change; an unchanged status is not reported."""
        before, self.state = self.state, ConnectorState(status, error_code)
        if self.state != before:
            self.fault_reported = False
            self.owner.report_status(self, before)

    def set_idle_status(self) -> None:
        """Set the status of a connector without a car: Available, Reserved or Unavailable."""
        idle = "Available" if self.operative else "Unavailable"
        self.set_status("Reserved" if self.operative and self.reservation else idle)

    def set_operative(self, operative: bool) -> None:
        """Put the connector into service or out of it; a session under way continues to its end first."""
        self.operative = operative
        if not self.busy:
            self.set_idle_status()

    def reserve(self, reservation: Reservation | None) -> None:
        """Reserve the connector; None: cancel the reservation."""
        self.reservation = reservation
        if not self.busy:
            self.set_idle_status()

    def meter_wh(self) -> int:
        """Return the energy register in whole Wh."""
        return int(self.register_wh)

    def reading(self, jitter: float = 0.0) -> Reading:
        """Return a meter reading of now; `jitter` is the relative difference between phases.

        Its time passes as fast as the car charges, so that power and energy agree: see `Clock.ahead_s`.
        """
        offered_a = self.owner.offered_a(self.id, self.transaction)
        samples = meter.samples(self.vehicle, offered_a, self.owner.measurands(), jitter)
        ahead_s = 0.0 if self.transaction_began_s is None else self.owner.clock.ahead_s(self.transaction_began_s)
        return Reading(self.owner.now_ts() + ahead_s, self.meter_wh(), samples)

    def _resume(self, session: SessionUnderWay) -> None:
        """Take over a transaction that the central system knows, before the connection reports the status."""
        self.busy = True
        self.state = ConnectorState(session.status)
        self.vehicle = session.visit.vehicle
        self.transaction = session.transaction
        self.no_transaction.clear()

    def _draw_visit(self) -> Visit:
        return draw_visit(self._visits, self.owner.arrivals, self.owner.faults, self.owner.id_tags)

    async def _handle_arrival(self) -> None:
        """Let an arriving car charge, unless the connector is reserved for another card."""
        visit = self._draw_visit()
        if self.reservation is None or self.reservation.id_tag == visit.id_tag:
            await self._run_session(visit)

    async def _run_session(self, visit: Visit) -> None:
        self.stop_reason = None
        await self._play(ChargingSession(self, visit))

    async def _play(self, session: ChargingSession) -> None:
        self.busy = True
        try:
            await session.run()
        finally:
            self.busy = False
        self.set_idle_status()
