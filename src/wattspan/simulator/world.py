"""What all charge points of a simulation share."""

import asyncio
from dataclasses import dataclass, field

from wattspan.simulator.clock import Clock
from wattspan.simulator.faults import FaultRates
from wattspan.simulator.habits import Habits


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Where they are, and what happens to them there."""

    url: str
    clock: Clock
    seed: int
    connectors: int
    faults: FaultRates
    habits: Habits
    id_tags: tuple[str, ...]
    password: str | None = field(default=None, repr=False)
    doors: asyncio.Semaphore
    """Bounds the handshakes under way, or thousands at once would time out."""
