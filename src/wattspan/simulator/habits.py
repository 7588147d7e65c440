"""When cars come, which cars, and how long they stay. Pure chance from a given `Random`; no clock, no wire."""

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
"""Battery in Wh, phases, most current a phase in A."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What is usual around these charge points; times in simulated seconds."""

    sessions_per_day: float = 6.0
    """Arrivals a connector; who finds it taken drives on."""
    busy_at_start: float = 0.3
    """Share of connectors where a car stands from the beginning."""
    meter_interval_s: float = 60.0
    """Between MeterValues of a transaction, until the central system configures another."""
    stay_s: tuple[float, float] = (1_200.0, 14_400.0)
    """Shortest and longest stay."""
    suspensions: float = 0.4
    """Share of sessions in which the car, and in which the charge point, suspends for a while."""


class Pause(NamedTuple):
    """A suspension, in seconds from the start of the transaction."""

    from_s: float
    to_s: float
    by_vehicle: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """All that chance decides about one session, drawn beforehand so that timing can't change it."""

    vehicle: Vehicle
    id_tag: str
    stay_s: float
    fumbling_s: float
    """From plugging in to holding up the card."""
    unplugging_s: float
    """From the end of the transaction to the cable being out."""
    pauses: tuple[Pause, ...]
    faults: SessionFaults
    rng: Random
    """For what is decided on the way: jitter, repetitions."""


def next_arrival_s(rng: Random, habits: Habits, hour: int) -> float:
    """Seconds to the next arrival: exponential, at this hour's rate, an hour at most (then the next hour's holds)."""
    rate = habits.sessions_per_day / (sum(_ARRIVALS) * 3600) * _ARRIVALS[hour % 24]
    return rng.expovariate(rate) if rate > 0 else float("inf")


def draw_visit(rng: Random, habits: Habits, faults: FaultRates, id_tags: tuple[str, ...]) -> Visit:
    """Draws one session. Takes one number from `rng`, so that later visits do not hang on what this one uses."""
    own = Random(rng.getrandbits(64))
    battery_wh, phases, most_a = own.choice(_MODELS)
    vehicle = Vehicle(battery_wh=battery_wh, phases=phases, most_a=most_a, soc=own.uniform(0.1, 0.7))
    stay_s = own.triangular(*habits.stay_s)
    return Visit(
        vehicle=vehicle,
        id_tag=own.choice(id_tags),
        stay_s=stay_s,
        fumbling_s=own.uniform(5, 40),
        unplugging_s=own.uniform(10, 300),
        pauses=tuple(_pause(own, stay_s, by) for by in (True, False) if own.random() < habits.suspensions),
        faults=SessionFaults.draw(own, faults, stay_s),
        rng=own,
    )


def _pause(rng: Random, stay_s: float, by_vehicle: bool) -> Pause:
    from_s = rng.uniform(0.1, 0.8) * stay_s
    return Pause(from_s, from_s + rng.uniform(0.03, 0.15) * stay_s, by_vehicle)
