"""The settings and limits that all charge points of a simulation share. It must not know any single charge point."""

import asyncio
from dataclasses import dataclass, field

from wattspan.simulator.arrivals import ArrivalPattern
from wattspan.simulator.clock import Clock
from wattspan.simulator.faults import FaultRates
from wattspan.simulator.initial_state import InitialStates
from wattspan.simulator.reachability import FirstAttempts


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationContext:
    """What every charge point of one simulation is created with."""

    url: str
    """The central system's, without the identity."""
    clock: Clock
    seed: int
    connectors: int
    """Per charge point."""
    faults: FaultRates
    arrivals: ArrivalPattern
    id_tags: tuple[str, ...]
    initial_states: InitialStates = field(default_factory=dict, repr=False)
    password: str | None = field(default=None, repr=False)
    """For HTTP basic authentication; None: none is sent."""
    first_attempts: FirstAttempts
    handshake_slots: asyncio.Semaphore
    """Limits concurrent handshakes; thousands at once would time out."""
