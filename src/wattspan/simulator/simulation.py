"""Many virtual charge points in one process: the package's entry point.

It owns their life cycle and the progress figures. It must not know OCPP.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle

from wattspan.simulator.arrivals import ArrivalPattern
from wattspan.simulator.charge_point import ChargePoint
from wattspan.simulator.clock import Clock
from wattspan.simulator.context import SimulationContext
from wattspan.simulator.dialects import DIALECTS
from wattspan.simulator.faults import FaultRates
from wattspan.simulator.initial_state import InitialStates
from wattspan.simulator.ledger import Ledger
from wattspan.simulator.model import Hardware
from wattspan.simulator.reachability import CentralSystemUnreachable, FirstAttempts

ID_TAGS = tuple(f"SIM-TAG-{number:02}" for number in range(1, 21))
MIX = tuple(DIALECTS)
"""All OCPP versions."""
_MAX_HANDSHAKES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The state of a simulation at one time."""

    charge_points: int
    connected: int
    charging: int
    """Open transactions."""
    sessions: int
    """Transactions whose start was acknowledged."""
    energy_wh: float
    """Energy delivered in acknowledged stops and in open transactions."""
    errors: int
    """Events that should not happen (`Figures.errors`)."""


@dataclass(slots=True, kw_only=True, eq=False)
class Simulation:
    """Virtual charge points for the central system at `url` (`ws://host:port/path`, no identity).

    The same seed gives the same cars, drivers and faults, but not the same timing. Call `run` once.
    """

    url: str
    charge_points: int = 10
    connectors: int = 2
    """Per charge point."""
    versions: tuple[str, ...] = MIX
    """OCPP versions, keys of `DIALECTS`; charge points use them in turn."""
    hardware: tuple[Hardware, ...] = (Hardware(),)
    """What charge points say of themselves when they boot, in turn."""
    seed: int = 0
    time_factor: float = 1.0
    """Simulated seconds in a real second; the package's docstring describes what runs in simulated time."""
    faults: FaultRates = field(default_factory=FaultRates)
    arrivals: ArrivalPattern = field(default_factory=ArrivalPattern)
    password: str | None = field(default=None, repr=False)
    """Shared by all charge points, for HTTP basic authentication; None: none is sent."""
    id_tags: tuple[str, ...] = ID_TAGS
    """Id tags of the cards, 20 characters at most."""
    duration_s: float | None = None
    """Real seconds until the simulation finishes; None: it runs until `finish`."""
    prefix: str = "SIM"
    """Prefix of the identities: SIM0001, SIM0002, …"""
    initial_states: InitialStates = field(default_factory=dict, repr=False)
    """The charge points that have booted before, and the sessions that are under way at their connectors."""
    clock: Clock | None = None
    """Overrides `time_factor`; None: a clock with `time_factor`."""
    fail_if_unreachable: bool = False
    """Whether `run` raises if nothing listens at `url` at the start; False: charge points keep trying."""
    ledger: Ledger = field(default_factory=Ledger, init=False)
    fleet: tuple[ChargePoint, ...] = field(default=(), init=False, repr=False)
    _finish: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)
    _unreachable_reason: str | None = field(default=None, init=False, repr=False)

    async def run(self) -> Ledger:
        """Run until `finish` or for `duration_s` and return the ledger.

        At the end, sessions are stopped, what is queued is sent (for at most 30 s), and the connections are closed.
        Charge points reconnect while the central system is unavailable; the ledger counts the attempts.
        Cancellation: closes the connections and leaves the sessions open.

        Raises:
            CentralSystemUnreachable: the first attempt of every charge point failed because nothing listens, and
                `fail_if_unreachable` is set.
        """
        context = self._context()
        self.fleet = tuple(
            ChargePoint(cp_id, context, self.ledger.figures(cp_id), DIALECTS[version], hardware)
            for cp_id, version, hardware in zip(
                self._identities(), cycle(self.versions), cycle(self.hardware), strict=False
            )
        )
        async with asyncio.TaskGroup() as tasks:
            for charge_point in self.fleet:
                tasks.create_task(charge_point.run(self._finish))
            try:
                async with asyncio.timeout(self.duration_s):
                    await self._finish.wait()
            except TimeoutError:
                self.finish()
        if self._unreachable_reason is not None:
            raise CentralSystemUnreachable(self.url, self._unreachable_reason)
        return self.ledger

    def finish(self) -> None:
        """Make `run` end the sessions and return."""
        self._finish.set()

    def progress(self) -> Progress:
        """Return the current progress; cheap enough to call every second."""
        total = self.ledger.total
        charging = [c for cp in self.fleet for c in cp.connectors if c.transaction is not None]
        open_wh = sum(c.register_wh - c.transaction.meter_start_wh for c in charging if c.transaction is not None)
        return Progress(
            charge_points=self.charge_points,
            connected=sum(charge_point.connected for charge_point in self.fleet),
            charging=len(charging),
            sessions=total.starts,
            energy_wh=total.energy_wh + open_wh,
            errors=total.errors,
        )

    def _identities(self) -> Iterator[str]:
        return (f"{self.prefix}{number:04}" for number in range(1, self.charge_points + 1))

    def _stop_unreachable(self, reason: str) -> None:
        if self.fail_if_unreachable:
            self._unreachable_reason = reason
            self.finish()

    def _context(self) -> SimulationContext:
        return SimulationContext(
            url=self.url,
            clock=self.clock or Clock(time_factor=self.time_factor),
            seed=self.seed,
            connectors=self.connectors,
            faults=self.faults,
            arrivals=self.arrivals,
            id_tags=self.id_tags,
            initial_states=self.initial_states,
            password=self.password,
            first_attempts=FirstAttempts(self.charge_points, self._stop_unreachable),
            handshake_slots=asyncio.Semaphore(_MAX_HANDSHAKES),
        )
