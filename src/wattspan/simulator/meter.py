"""The sampled values of a connector's meter. Pure: it must not know OCPP messages or time."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from wattspan.simulator.model import Sample
from wattspan.simulator.vehicle import VOLTAGE_V, Vehicle

REGISTER = "Energy.Active.Import.Register"
MEASURANDS = (REGISTER, "Current.Import", "Voltage", "Power.Active.Import", "Current.Offered", "SoC")


def samples(
    vehicle: Vehicle | None, offered_a: float, measurands: AbstractSet[str], jitter: float
) -> tuple[Sample, ...]:
    """Return the configured `measurands` among current and voltage per phase, power, offered current, state of charge.

    `jitter` is the relative difference between neighbouring phases, e.g. 0.01. `vehicle` None: nothing is plugged in.
    """
    return tuple(sample for sample in _all(vehicle, offered_a, jitter) if sample.measurand in measurands)


def _all(vehicle: Vehicle | None, offered_a: float, jitter: float) -> Iterator[Sample]:
    phases = vehicle.phases if vehicle else 3
    current_a = vehicle.current_a if vehicle else 0.0
    for phase in range(phases):
        imbalance = 1 + jitter * (phase - 1)
        yield Sample("Current.Import", "A", f"L{phase + 1}", current_a * imbalance)
        yield Sample("Voltage", "V", f"L{phase + 1}-N", VOLTAGE_V / imbalance)
    yield Sample("Power.Active.Import", "W", "", current_a * VOLTAGE_V * phases)
    yield Sample("Current.Offered", "A", "", offered_a)
    if vehicle:
        yield Sample("SoC", "Percent", "", vehicle.soc * 100)
