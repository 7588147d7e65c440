"""What the meter of an outlet shows. Pure: facts in, a reading out."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from wattspan.simulator.facts import Sample
from wattspan.simulator.vehicle import VOLTAGE_V, Vehicle

REGISTER = "Energy.Active.Import.Register"
MEASURANDS = (REGISTER, "Current.Import", "Voltage", "Power.Active.Import", "Current.Offered", "SoC")


def samples(
    vehicle: Vehicle | None, offered_a: float, measurands: AbstractSet[str], jitter: float
) -> tuple[Sample, ...]:
    """Current and voltage a phase, power, offered current, state of charge: of these the configured `measurands`.

    `jitter` is how unlike the phases are, e.g. 0.01.
    """
    return tuple(sample for sample in _all(vehicle, offered_a, jitter) if sample.measurand in measurands)


def _all(vehicle: Vehicle | None, offered_a: float, jitter: float) -> Iterator[Sample]:
    phases = vehicle.phases if vehicle else 3
    current_a = vehicle.current_a if vehicle else 0.0
    for phase in range(phases):
        unlike = 1 + jitter * (phase - 1)
        yield Sample("Current.Import", "A", f"L{phase + 1}", current_a * unlike)
        yield Sample("Voltage", "V", f"L{phase + 1}-N", VOLTAGE_V / unlike)
    yield Sample("Power.Active.Import", "W", "", current_a * VOLTAGE_V * phases)
    yield Sample("Current.Offered", "A", "", offered_a)
    if vehicle:
        yield Sample("SoC", "Percent", "", vehicle.soc * 100)
