"""Random arrivals of cars: when they come, which cars, and how long they stay.

It owns the distributions and draws from a given `Random`. It must not know the clock, OCPP or the connection.
"""

from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from wattspan.simulator.faults import FaultRates, SessionFaults
from wattspan.simulator.vehicle import Vehicle

# Arrivals in each hour of the day as a share of the busiest hour: commuters in the morning and the evening.
_ARRIVALS = (
    0.05, 0.03, 0.02, 0.02, 0.05, 0.15, 0.40, 0.80, 1.00, 0.80, 0.55, 0.50,
    0.60, 0.55, 0.50, 0.55, 0.70, 0.90, 0.95, 0.70, 0.45, 0.30, 0.20, 0.10,
)  # fmt: skip
_MODELS: tuple[tuple[float, int, float], ...] = ((40_000, 1, 32), (52_000, 3, 16), (77_000, 3, 16), (95_000, 3, 32))
"""Battery in Wh, phases, maximum current per phase in A."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalPattern:
    """How often cars arrive and how long they stay; times in simulated seconds."""

    sessions_per_day: float = 6.0
    """Arrivals per connector; a car that finds the connector occupied leaves."""
    busy_at_start: float = 0.3
    """Share of connectors that start with a car plugged in."""
    meter_interval_s: float = 60.0
    """Interval between MeterValues of a transaction, until the central system configures another."""
    stay_s: tuple[float, float] = (1_200.0, 14_400.0)
    """Shortest and longest charging time."""
    quietest: float = 0.0
    """Arrivals in the quietest hours as a share of those in the busiest, at least; 0: as commuters arrive."""
    suspensions: float = 0.4
    """Share of sessions that the car suspends once, and share that the charge point suspends once."""


class Pause(NamedTuple):
    """A suspension of charging, in simulated seconds from the start of the transaction."""

    from_s: float
    to_s: float
    by_vehicle: bool
    """True: SuspendedEV, False: SuspendedEVSE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """The plan of one session, drawn in advance so that timing cannot change it; times in simulated seconds."""

    vehicle: Vehicle
    id_tag: str
    stay_s: float
    authorize_delay_s: float
    """From plugging in to presenting the card."""
    unplug_delay_s: float
    """From the end of the transaction to unplugging the cable."""
    pauses: tuple[Pause, ...]
    faults: SessionFaults
    rng: Random
    """For decisions during the session: jitter, repeated messages."""


def next_arrival_s(rng: Random, arrivals: ArrivalPattern, hour: int) -> float:
    """Return the simulated seconds until the next arrival, exponentially distributed at the rate of `hour`.

    A result over an hour means that no car arrives within the hour: draw again, at the next hour's rate.
    """
    shares = [max(share, arrivals.quietest) for share in _ARRIVALS]
    rate = arrivals.sessions_per_day / (sum(shares) * 3600) * shares[hour % 24]
    return rng.expovariate(rate) if rate > 0 else float("inf")


def draw_visit(rng: Random, arrivals: ArrivalPattern, faults: FaultRates, id_tags: tuple[str, ...]) -> Visit:
    """Return the plan of one session. Draws one number from `rng`, so that visits are independent of each other."""
    own = Random(rng.getrandbits(64))
    battery_wh, phases, max_current_a = own.choice(_MODELS)
    vehicle = Vehicle(battery_wh=battery_wh, phases=phases, max_current_a=max_current_a, soc=own.uniform(0.1, 0.7))
    stay_s = own.triangular(*arrivals.stay_s)
    return Visit(
        vehicle=vehicle,
        id_tag=own.choice(id_tags),
        stay_s=stay_s,
        authorize_delay_s=own.uniform(5, 40),
        unplug_delay_s=own.uniform(10, 300),
        pauses=tuple(
            _pause(own, stay_s, by_vehicle=by_vehicle)
            for by_vehicle in (True, False)
            if own.random() < arrivals.suspensions
        ),
        faults=SessionFaults.draw(own, faults, stay_s),
        rng=own,
    )


def _pause(rng: Random, stay_s: float, *, by_vehicle: bool) -> Pause:
    from_s = rng.uniform(0.1, 0.8) * stay_s
    return Pause(from_s, from_s + rng.uniform(0.03, 0.15) * stay_s, by_vehicle)
