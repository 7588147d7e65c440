"""Readings from samples as meters really send them."""

import pytest

from wattspan.domain import readings as readings_module
from wattspan.domain.events import Reading
from wattspan.domain.readings import readings
from wattspan.domain.transactions.common import most_offered

ENERGY = "Energy.Active.Import.Register"
CURRENT = "Current.Import"
POWER = "Power.Active.Import"


def sample(measurand: str, value: float, **fields: str):
    names = ("phase", "location", "context", "unit")
    phase, location, context, unit = (fields.get(name, "") for name in names)
    return (measurand, phase, location, context, unit), value


def read(*samples) -> Reading:
    kinds, values = [kind for kind, _ in samples], [value for _, value in samples]
    *_, found = readings(1.0, kinds, values, [])
    return found


def test_outlet_in_wh_and_inlet_in_kwh_in_one_message():
    found = read(
        sample(ENERGY, 30_513.0, unit="kWh", location="Inlet"),
        sample(ENERGY, 27_651_034.0, unit="Wh", location="Outlet"),
    )
    assert found.register_wh == 27_651_034.0


def test_no_location_is_the_outlet():
    assert read(sample(ENERGY, 5.0, location="EV"), sample(ENERGY, 7.0)).register_wh == 7.0


@pytest.mark.parametrize(
    ("unit", "register_wh"), [("", 3.0), ("Wh", 3.0), ("kWh", 3000.0), ("KWH", 3000.0), ("Hz", None)]
)
def test_units_of_energy(unit, register_wh):
    assert read(sample(ENERGY, 3.0, unit=unit)).register_wh == register_wh


def test_energy_of_phases_is_summed_and_the_neutral_left_out():
    phases = [sample(ENERGY, 10.0, phase=phase) for phase in ("L1", "L2", "L3", "N")]
    assert read(*phases).register_wh == 30.0
    assert read(*phases, sample(ENERGY, 33.0)).register_wh == 33.0


def test_the_highest_phase_is_the_current():
    phases = [sample(CURRENT, 14.0, phase="L1"), sample(CURRENT, 16.0, phase="L2"), sample(CURRENT, 40.0, phase="N")]
    assert read(*phases).current_a == 16.0
    assert read(*phases, sample(CURRENT, 30.0)).current_a == 16.0


def test_a_lone_neutral_is_no_current():
    assert read(sample(CURRENT, 3.0, phase="N")).current_a is None


def test_power_is_summed_once_a_phase():
    phases = [sample(POWER, 1.0, phase=phase, unit="kW") for phase in ("L1", "L2", "L3", "L1-N")]
    assert read(*phases).power_w == 3000.0


def test_power_from_voltage_and_current():
    currents = [sample(CURRENT, 10.0, phase="L1"), sample(CURRENT, 5.0, phase="L2"), sample(CURRENT, 9.0, phase="N")]
    volts = [sample("Voltage", 230.0, phase="L1-N"), sample("Voltage", 240.0, phase="L2-N")]
    assert read(*currents, *volts).power_w == 3500.0
    assert read(*currents, sample("Voltage", 230.0)).power_w == 3450.0
    assert read(sample(CURRENT, 10.0), sample("Voltage", 400.0, phase="L1-L2")).power_w == pytest.approx(
        2309.4, abs=0.1
    )


def test_power_that_was_sent_wins():
    assert read(sample(POWER, 7.0), sample(CURRENT, 10.0), sample("Voltage", 230.0)).power_w == 7.0


def test_a_power_factor_is_nothing():
    assert read(sample("Power.Factor", 0.9, phase="L1")) == Reading(charger_ts=1.0, samples=[])


def test_samples_of_the_beginning_alone_begin():
    begun = sample(ENERGY, 100.0, context="Transaction.Begin")
    assert read(begun).begins
    assert read(begun).register_wh == 100.0


def test_live_samples_win_over_those_of_the_beginning():
    found = read(sample(ENERGY, 200.0, context="Sample.Periodic"), sample(ENERGY, 100.0, context="Transaction.Begin"))
    assert (found.register_wh, found.begins) == (200.0, False)


def test_samples_of_the_end_are_live():
    found = read(sample(ENERGY, 200.0, context="Transaction.End"), sample(ENERGY, 1.0, context="Transaction.Begin"))
    assert (found.register_wh, found.begins) == (200.0, False)


def test_offered_current_and_state_of_charge():
    found = read(sample("Current.Offered", 32.0, unit="A"), sample("SoC", 55.0, unit="Percent", location="EV"))
    assert (found.offered_a, found.soc_percent) == (32.0, 55.0)


def test_shapes_that_are_never_the_same_twice_take_little_memory_and_keep_nobody_out():
    for n in range(3 * readings_module.MAX_PLANS):
        read(sample(f"M{n}", 1.0))
    assert len(readings_module._plans) <= readings_module.MAX_PLANS
    read(*[sample("Voltage", 1.0)] * 2_000)
    assert max(map(len, readings_module._plans)) <= readings_module.MAX_PLANNED_SAMPLES
    read(sample(ENERGY, 1.0, unit="kWh"))
    assert (("Energy.Active.Import.Register", "", "", "", "kWh"),) in readings_module._plans


def test_no_samples_are_an_empty_reading():
    assert read() == Reading(charger_ts=1.0, samples=[])


@pytest.mark.parametrize(
    ("before_a", "offered_a", "most_a"),
    [(None, None, None), (None, 32.0, 32.0), (16.0, None, 16.0), (16.0, 32.0, 32.0), (32.0, 6.0, 32.0)],
)
def test_either_offered_current_held_between_two_readings(before_a, offered_a, most_a):
    assert most_offered(before_a, offered_a) == most_a
