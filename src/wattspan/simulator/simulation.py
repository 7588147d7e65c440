"""Many charge points in one process, and what can be seen of them from outside."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle

from wattspan.simulator.charge_point import ChargePoint
from wattspan.simulator.clock import Clock
from wattspan.simulator.dialects import DIALECTS
from wattspan.simulator.faults import FaultRates
from wattspan.simulator.habits import Habits
from wattspan.simulator.ledger import Ledger
from wattspan.simulator.world import World

ID_TAGS = tuple(f"SIM-TAG-{number:02}" for number in range(1, 21))
MIX = tuple(DIALECTS)
"""All versions."""
_HANDSHAKES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A simulation at one moment."""

    charge_points: int
    connected: int
    charging: int
    """Transactions open now."""
    sessions: int
    """Transactions whose start was acknowledged, so far."""
    energy_wh: float
    """Delivered so far: in acknowledged stops, and in transactions still open."""
    errors: int
    """What should not have happened (`Figures.errors`)."""


@dataclass(slots=True, kw_only=True, eq=False)
class Simulation:
    """Virtual charge points for the central system at `url` (`ws://host:port/path`, no identity).

    The same seed gives the same cars, drivers and faults, though not the same milliseconds. `run` once.
    """

    url: str
    charge_points: int = 10
    connectors: int = 2
    """A charge point."""
    versions: tuple[str, ...] = MIX
    """OCPP versions, keys of `DIALECTS`: the charge points have them in turn."""
    seed: int = 0
    time_factor: float = 1.0
    """Simulated seconds in a real one; what that means for the central system is told in the package's docstring."""
    faults: FaultRates = field(default_factory=FaultRates)
    habits: Habits = field(default_factory=Habits)
    password: str | None = field(default=None, repr=False)
    """Of all, for HTTP basic authentication; None: none."""
    id_tags: tuple[str, ...] = ID_TAGS
    """Cards, of 20 characters at most."""
    duration_s: float | None = None
    """Real seconds until it finishes by itself; None: until `finish`."""
    prefix: str = "SIM"
    """Identities are this and a number: SIM0001, …"""
    clock: Clock | None = None
    """None: one with `time_factor`, which a given clock overrides."""
    ledger: Ledger = field(default_factory=Ledger, init=False)
    fleet: tuple[ChargePoint, ...] = field(default=(), init=False, repr=False)
    _finish: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    async def run(self) -> Ledger:
        """Runs until `finish` or for `duration_s`: then ends sessions, sends what is queued (30 s at most), hangs up.

        Cancelled, it closes the connections and leaves the sessions open. A central system that is away is no error:
        charge points dial until it is there, and the ledger tells.
        """
        world = self._world()
        self.fleet = tuple(
            ChargePoint(cp_id, world, self.ledger.of(cp_id), DIALECTS[version])
            for cp_id, version in zip(self._names(), cycle(self.versions), strict=False)
        )
        async with asyncio.TaskGroup() as tasks:
            for charge_point in self.fleet:
                tasks.create_task(charge_point.run(self._finish))
            try:
                async with asyncio.timeout(self.duration_s):
                    await self._finish.wait()
            except TimeoutError:
                self.finish()
        return self.ledger

    def finish(self) -> None:
        """Lets `run` come to its end."""
        self._finish.set()

    def progress(self) -> Progress:
        """How it stands now; cheap enough for every second."""
        total = self.ledger.total
        open_now = [c for cp in self.fleet for c in cp.connectors if c.transaction is not None]
        running_wh = sum(c.register_wh - c.transaction.meter_start_wh for c in open_now if c.transaction is not None)
        return Progress(
            charge_points=self.charge_points,
            connected=sum(charge_point.connected for charge_point in self.fleet),
            charging=len(open_now),
            sessions=total.starts,
            energy_wh=total.energy_wh + running_wh,
            errors=total.errors,
        )

    def _names(self) -> Iterator[str]:
        return (f"{self.prefix}{number:04}" for number in range(1, self.charge_points + 1))

    def _world(self) -> World:
        return World(
            url=self.url,
            clock=self.clock or Clock(time_factor=self.time_factor),
            seed=self.seed,
            connectors=self.connectors,
            faults=self.faults,
            habits=self.habits,
            id_tags=self.id_tags,
            password=self.password,
            doors=asyncio.Semaphore(_HANDSHAKES),
        )
