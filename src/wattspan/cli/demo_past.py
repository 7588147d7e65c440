"""The demo's past two days: what the simulated fleet would have sent, so that every page shows something.

Cars, drivers and messages are those of the simulator, and sessions that are under way at the end go on in it. It knows
nothing of the server that records them.
"""

import heapq
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from operator import attrgetter
from random import Random
from types import MappingProxyType
from typing import Any

from wattspan.domain import events as ev
from wattspan.simulator import DIALECTS, ArrivalPattern, FaultRates, Hardware, InitialConnector, SessionUnderWay, meter
from wattspan.simulator.arrivals import Visit, draw_visit, next_arrival_s
from wattspan.simulator.dialects.base import Dialect, OutgoingCall
from wattspan.simulator.model import FAULT_STOP_REASON, ConnectorState, Reading, Transaction
from wattspan.simulator.session import FAULT_DURATION_S, SIGNED_METER_SHARE, STOP_BY_CARD_SHARE
from wattspan.simulator.vehicle import MIN_CURRENT_A
from wattspan.versions import VERSIONS

STEP_S = 60
"""Events are recorded in steps of this length."""
DAY_S = 86_400
LENGTH_S = 2 * DAY_S
HOUR_S = 3_600.0
HEARTBEAT_S = 300.0
RESOLUTION_S = 0.001
CONNECTORS = 2
OFFERED_A = 32.0
MEASURANDS = frozenset(meter.MEASURANDS)
HARDWARE = (
    Hardware("Alfen", "Eve Double", "6.4.1"),
    Hardware("Keba", "P40", "1.9.0"),
    Hardware("ABB", "Terra AC", "1.8.32"),
)
NO_FIELDS: Mapping[str, Any] = MappingProxyType({})
FLAPPING_EVERY_S, FLAPPING_DOWN_S = (600.0, 7_200.0), (20.0, 200.0)
NO_CARS_S = 21_600.0
"""For so long before the end no car came to a charge point that loses its connection again and again."""


@dataclass(slots=True, kw_only=True)
class PastChargePoint:
    """A charge point of the past. `is_flapping`: it loses its connection every now and then."""

    cp_id: str
    version: str = "1.6"
    is_flapping: bool = False
    faulted_from_s: float | None = None
    """Seconds before the end at which its connector 1 reports a ground fault; None: never."""


@dataclass(slots=True)
class _Outlet:
    """A connector and the time up to which its past has been made."""

    number: int
    rng: Random
    register_wh: float
    ts: float
    state: ConnectorState = field(default_factory=lambda: ConnectorState("Available"))
    session: SessionUnderWay | None = None


class Past:
    """The events of two days until `until_ts`. `initial_states` is how the fleet is at its end, once they are used up.

    Cars and drivers are the same for the same seed. `reading_interval_s`: between the readings of a transaction.
    """

    def __init__(
        self,
        charge_points: Sequence[PastChargePoint],
        until_ts: float,
        *,
        arrivals: ArrivalPattern,
        faults: FaultRates,
        id_tags: tuple[str, ...],
        reading_interval_s: float = 60.0,
        seed: int = 7,
    ) -> None:
        self._charge_points = charge_points
        self._first_ts = float((int(until_ts) - LENGTH_S) // STEP_S * STEP_S)
        self._until_ts = until_ts
        self._arrivals = arrivals
        self._faults = faults
        self._id_tags = id_tags
        self._interval_s = reading_interval_s
        self._seed = seed
        self._ids = count(1)
        self.initial_states: dict[str, tuple[InitialConnector, ...]] = {}

    def steps(self) -> Iterator[tuple[int, list[ev.Event]]]:
        """Yield the begin of each step with its events, oldest first."""
        merged = heapq.merge(*map(self._events, range(len(self._charge_points))), key=attrgetter("received_ts"))
        event = next(merged, None)
        for start_ts in range(int(self._first_ts), int(self._until_ts) + 1, STEP_S):
            events = []
            while event is not None and event.received_ts < start_ts + STEP_S:
                events.append(event)
                event = next(merged, None)
            yield start_ts, events

    def _events(self, index: int) -> Iterator[ev.Event]:
        """Yield the events of a charge point in order."""
        cp = self._charge_points[index]
        rng = self._rng(cp.cp_id)
        recorder = _Recorder(cp.cp_id, DIALECTS[cp.version])
        outlets = [
            _Outlet(number, self._rng(cp.cp_id, number), rng.randint(200, 9_000) * 1_000.0, self._first_ts + 3)
            for number in range(1, CONNECTORS + 1)
        ]
        yield from recorder.connected(self._first_ts)
        yield from recorder.booted(self._first_ts + 1, HARDWARE[index % len(HARDWARE)])
        for outlet in outlets:
            yield from recorder.status(outlet, None, self._first_ts + 2)
        parts = [self._outlet(cp, recorder, outlet) for outlet in outlets]
        yield from heapq.merge(self._connection(cp, recorder, rng), *parts, key=attrgetter("received_ts"))
        self.initial_states[cp.cp_id] = tuple(
            InitialConnector(register_wh=outlet.register_wh, session=outlet.session) for outlet in outlets
        )

    def _rng(self, *parts: object) -> Random:
        """Return a generator of its own for a charge point or a connector."""
        return Random("/".join(map(str, (self._seed, *parts))))  # noqa: S311

    def _connection(self, cp: PastChargePoint, recorder: "_Recorder", rng: Random) -> Iterator[ev.Event]:
        """Yield heartbeats, and the connections that are lost without a reason."""
        lost_ts = self._first_ts + rng.uniform(*FLAPPING_EVERY_S) if cp.is_flapping else float("inf")
        ts = self._first_ts + 3
        while ts < self._until_ts:
            if lost_ts < ts:
                back_ts = lost_ts + rng.uniform(*FLAPPING_DOWN_S)
                yield ev.ChargePointDisconnected(cp_id=cp.cp_id, received_ts=lost_ts, code=1006)
                yield from recorder.connected(min(back_ts, self._until_ts))
                ts, lost_ts = max(ts, back_ts), back_ts + rng.uniform(*FLAPPING_EVERY_S)
            else:
                yield ev.HeartbeatReceived(cp_id=cp.cp_id, received_ts=ts)
                ts += HEARTBEAT_S

    def _outlet(self, cp: PastChargePoint, recorder: "_Recorder", outlet: _Outlet) -> Iterator[ev.Event]:
        """Yield the events of the cars at a connector, one after the other."""
        rng = outlet.rng
        cars_until_ts = self._until_ts - (NO_CARS_S if cp.is_flapping else cp.faulted_from_s or 0.0)
        if rng.random() < self._arrivals.busy_at_start:
            yield from self._visit(recorder, outlet, cars_until_ts)
        while outlet.session is None and outlet.ts < cars_until_ts:
            wait_s = next_arrival_s(rng, self._arrivals, int(outlet.ts % DAY_S // HOUR_S))
            outlet.ts += min(wait_s, HOUR_S)
            if wait_s < HOUR_S and outlet.ts < cars_until_ts:
                yield from self._visit(recorder, outlet, cars_until_ts)
        if cp.faulted_from_s is not None and outlet.number == 1:
            yield from recorder.change(
                outlet, ConnectorState("Faulted", "GroundFailure"), max(outlet.ts, cars_until_ts)
            )

    def _visit(self, recorder: "_Recorder", outlet: _Outlet, cars_until_ts: float) -> Iterator[ev.Event]:
        """Yield the events of one car, from plugging in to unplugging."""
        visit = draw_visit(outlet.rng, self._arrivals, self._faults, self._id_tags)
        start_ts = outlet.ts + visit.authorize_delay_s
        if start_ts >= cars_until_ts:
            outlet.ts = cars_until_ts
            return
        yield from recorder.change(outlet, ConnectorState("Preparing"), outlet.ts)
        session = _PastSession(recorder, outlet, visit, start_ts, next(self._ids), self._interval_s)
        yield from session.start()
        # A car is still there at the end; where the charge point gets into trouble, it leaves.
        may_go_on = cars_until_ts == self._until_ts
        reason = yield from session.charge(cars_until_ts, may_go_on=may_go_on)
        if reason is None:
            outlet.session = session.under_way()
            return
        yield from session.stop(reason)
        if reason == FAULT_STOP_REASON:
            yield from recorder.change(outlet, ConnectorState("Faulted", visit.faults.error_code), outlet.ts)
            outlet.ts += FAULT_DURATION_S
        else:
            yield from recorder.change(outlet, ConnectorState("Finishing"), outlet.ts)
            outlet.ts += visit.unplug_delay_s
        outlet.ts = min(outlet.ts, self._until_ts)
        yield from recorder.change(outlet, ConnectorState("Available"), outlet.ts)


class _PastSession:
    """The course of one transaction (`simulator.session` in real time), made at once."""

    def __init__(
        self, recorder: "_Recorder", outlet: _Outlet, visit: Visit, start_ts: float, number: int, interval_s: float
    ) -> None:
        self._recorder = recorder
        self._outlet = outlet
        self._visit = visit
        self._start_ts = start_ts
        self._interval_s = interval_s
        outlet.ts = start_ts
        self._transaction = Transaction(
            connector_id=outlet.number,
            id=recorder.dialect.new_transaction_id() or number,
            id_tag=visit.id_tag,
            meter_start_wh=int(outlet.register_wh),
            started_ts=start_ts,
            phases=visit.vehicle.phases,
            signed=visit.rng.random() < SIGNED_METER_SHARE,
        )

    def start(self) -> Iterator[ev.Event]:
        """Yield the start."""
        call = self._recorder.dialect.transaction_started(self._transaction, self._reading(0.0), offline=False)
        answer = {"transactionId": self._transaction.id, "idTagInfo": {"status": "Accepted"}}
        yield from self._recorder.sent(call, self._start_ts, answer)

    def charge(self, until_ts: float, *, may_go_on: bool) -> Generator[ev.Event, None, str | None]:
        """Yield what happens until `until_ts` or the end; return the stop reason, None if it goes on after it."""
        visit, outlet = self._visit, self._outlet
        next_reading_ts = self._start_ts + self._interval_s
        while True:
            offered_a = self._offered_a()
            yield from self._update_status(offered_a)
            due_ts = min(next_reading_ts, self._next_change_ts(), until_ts)
            outlet.register_wh += visit.vehicle.charge(due_ts - outlet.ts, offered_a)
            outlet.ts = due_ts
            if due_ts >= until_ts:
                return None if may_go_on else "Local"
            if due_ts >= next_reading_ts:
                reading = self._reading(visit.rng.uniform(0, 0.02))
                yield from self._recorder.sent(
                    self._recorder.dialect.meter_reading(self._transaction, reading, offline=False), due_ts
                )
                next_reading_ts = due_ts + self._interval_s
            elapsed_s = self._elapsed_s()
            if visit.faults.error_after_s is not None and elapsed_s >= visit.faults.error_after_s:
                return FAULT_STOP_REASON
            if elapsed_s >= visit.stay_s:
                return "Local" if visit.rng.random() < STOP_BY_CARD_SHARE else "EVDisconnected"

    def stop(self, reason: str) -> Iterator[ev.Event]:
        """Yield the stop."""
        call = self._recorder.dialect.transaction_stopped(self._transaction, self._reading(0.0), reason, offline=False)
        yield from self._recorder.sent(call, self._outlet.ts)

    def under_way(self) -> SessionUnderWay:
        """Return the session as it is, to go on with."""
        return SessionUnderWay(
            visit=self._visit,
            transaction=self._transaction,
            elapsed_s=self._outlet.ts - self._start_ts,
            status=self._outlet.state.status,
        )

    def _update_status(self, offered_a: float) -> Iterator[ev.Event]:
        outlet = self._outlet
        status = "Charging"
        if self._is_paused(by_vehicle=False):
            status = "SuspendedEVSE"
        elif offered_a < MIN_CURRENT_A or self._visit.vehicle.full:
            status = "SuspendedEV"
        if status != outlet.state.status:
            yield from self._recorder.change(outlet, ConnectorState(status), outlet.ts)
            call = self._recorder.dialect.charging_state_changed(self._transaction, status, outlet.ts, offline=False)
            if call is not None:
                yield from self._recorder.sent(call, outlet.ts)

    def _elapsed_s(self) -> float:
        """Return the time since the start, rounded up: a time that is due has come, whatever Unix seconds can hold."""
        return self._outlet.ts - self._start_ts + RESOLUTION_S

    def _offered_a(self) -> float:
        return 0.0 if self._is_paused() or self._is_paused(by_vehicle=False) else OFFERED_A

    def _is_paused(self, *, by_vehicle: bool = True) -> bool:
        elapsed_s = self._elapsed_s()
        return any(
            pause.from_s <= elapsed_s < pause.to_s for pause in self._visit.pauses if pause.by_vehicle is by_vehicle
        )

    def _next_change_ts(self) -> float:
        """Return when the next pause begins or ends, or the session ends."""
        visit, elapsed_s = self._visit, self._elapsed_s()
        edges_s = [edge for pause in visit.pauses for edge in (pause.from_s, pause.to_s)]
        edges_s += [visit.stay_s] if visit.faults.error_after_s is None else [visit.stay_s, visit.faults.error_after_s]
        return self._start_ts + min(edge for edge in edges_s if edge > elapsed_s)

    def _reading(self, jitter: float) -> Reading:
        outlet = self._outlet
        samples = meter.samples(self._visit.vehicle, self._offered_a(), MEASURANDS, jitter)
        return Reading(outlet.ts, int(outlet.register_wh), samples)


class _Recorder:
    """Makes events of a charge point's messages, as the central system does."""

    def __init__(self, cp_id: str, dialect: Dialect) -> None:
        self.dialect = dialect
        self._cp_id = cp_id
        self._requests = VERSIONS[dialect.subprotocol].requests

    def sent(self, call: OutgoingCall, ts: float, answer: Mapping[str, Any] = NO_FIELDS) -> Iterator[ev.Event]:
        """Yield the events of a message."""
        yield from self._requests[call.action].observe(call.payload(), dict(answer), self._cp_id, ts)

    def connected(self, ts: float) -> Iterator[ev.Event]:
        """Yield that the charge point connected."""
        yield ev.ChargePointConnected(cp_id=self._cp_id, received_ts=ts, protocol=self.dialect.subprotocol)

    def booted(self, ts: float, hardware: Hardware) -> Iterator[ev.Event]:
        """Yield that the charge point booted."""
        yield ev.ChargePointBooted(
            cp_id=self._cp_id,
            received_ts=ts,
            vendor=hardware.vendor,
            model=hardware.model,
            serial_number=self._cp_id,
            firmware=hardware.firmware,
        )

    def status(self, outlet: _Outlet, before: ConnectorState | None, ts: float) -> Iterator[ev.Event]:
        """Yield what changed in the status of a connector since `before`; None: the whole status."""
        for call in self.dialect.connector_status(outlet.number, outlet.state, before, ts):
            yield from self.sent(call, ts)

    def change(self, outlet: _Outlet, state: ConnectorState, ts: float) -> Iterator[ev.Event]:
        """Change the status of a connector, and yield the events of that."""
        before, outlet.state = outlet.state, state
        yield from self.status(outlet, before, ts)
