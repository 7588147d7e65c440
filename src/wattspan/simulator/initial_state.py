"""The state in which charge points of a simulation may begin: meters that have counted, sessions that are under way.

Pure data; it must not know where the state comes from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wattspan.simulator.arrivals import Visit
from wattspan.simulator.model import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUnderWay:
    """A session whose transaction the central system knows already. The visit's vehicle is as full as it is by now."""

    visit: Visit
    transaction: Transaction
    elapsed_s: float
    """Simulated seconds since the transaction began."""
    status: str
    """Status of the connector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialConnector:
    """A connector's energy register, and its session. `session` None: no car is plugged in."""

    register_wh: float
    session: SessionUnderWay | None = None


InitialStates = Mapping[str, Sequence[InitialConnector]]
"""The connectors of a charge point by its identity, in their order. Such a charge point has booted already."""
