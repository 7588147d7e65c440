"""The energy of a transaction, from registers as meters really send them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattspan.domain.energy import EnergyMeter


def energies(start_wh: float, *registers_wh: float) -> list[float]:
    meter = EnergyMeter(start_wh)
    found = []
    for register_wh in registers_wh:
        meter.read(register_wh)
        found.append(pytest.approx(meter.energy_wh))
    return found


@given(
    st.integers(0, 10**9),
    st.lists(st.integers(0, 900_000), min_size=1, max_size=20),
)
def test_a_well_behaved_register_gives_exactly_its_difference(start_wh, steps_wh):
    meter = EnergyMeter(float(start_wh))
    register_wh = float(start_wh)
    for step_wh in steps_wh:
        register_wh += step_wh
        meter.read(register_wh)
        assert meter.energy_wh == register_wh - start_wh
        assert meter.register_wh == register_wh


@given(st.floats(), st.lists(st.floats(), max_size=30))
def test_energy_is_never_negative_and_never_falls(start_wh, registers_wh):
    meter = EnergyMeter(start_wh)
    before_wh = 0.0
    for register_wh in registers_wh:
        meter.read(register_wh)
        assert meter.energy_wh >= before_wh
        assert math.isfinite(meter.energy_wh)
        before_wh = meter.energy_wh


@given(st.integers(100_000, 10**9), st.lists(st.integers(0, 5_000), min_size=1, max_size=20))
def test_kwh_labelled_wh_gives_the_same_energy(start_wh, steps_wh):
    meter = EnergyMeter(float(start_wh))
    register_wh = float(start_wh)
    for step_wh in steps_wh:
        register_wh += step_wh
        meter.read(register_wh / 1000.0)
    stop = EnergyMeter.restore(meter.start_wh, meter.energy_wh, meter.register_wh)
    stop.read(register_wh)
    assert stop.energy_wh == pytest.approx(register_wh - start_wh, abs=1e-3)


@given(st.integers(2_000_000, 10**9), st.lists(st.integers(0, 5_000), min_size=1, max_size=20))
def test_wh_labelled_kwh_gives_the_same_energy(start_wh, steps_wh):
    meter = EnergyMeter(float(start_wh))
    register_wh = float(start_wh)
    for step_wh in steps_wh:
        register_wh += step_wh
        meter.read(register_wh * 1000.0)
    assert meter.energy_wh == pytest.approx(register_wh - start_wh, abs=1e-3)


@given(
    st.floats(0, 1e8),
    st.lists(st.floats(0, 1e8), max_size=10),
    st.lists(st.floats(0, 1e8), max_size=10),
)
def test_a_restored_meter_goes_on_as_if_nothing_had_been(start_wh, before, after):
    whole = EnergyMeter(start_wh)
    for register_wh in before:
        whole.read(register_wh)
    restored = EnergyMeter.restore(whole.start_wh, whole.energy_wh, whole.register_wh)
    for register_wh in after:
        assert restored.read(register_wh) == whole.read(register_wh)
        assert (restored.energy_wh, restored.register_wh) == (whole.energy_wh, whole.register_wh)


@pytest.mark.parametrize(
    ("claim", "start_wh", "registers_wh", "energies_wh"),
    [
        ("slightly negative at the start", 10_000, (9_995, 10_020), [0, 20]),
        ("lifetime at the start, relative later", 1_234_567, (0, 150, 300), [0, 150, 300]),
        ("relative later, lifetime at the stop", 1_234_567, (150, 300, 1_234_867), [150, 300, 300]),
        ("relative before its first reading", 1_234_567, (150,), [150]),
        ("reset at boot", 1_000, (1_500, 20, 120), [500, 500, 620]),
        ("reset of a register that began at 0", 0, (5_000, 20, 120), [5_000, 5_000, 5_120]),
        ("a zero for once", 10_000, (10_500, 0, 10_600), [500, 500, 600]),
        ("a zero for once, from 0", 0, (5_000, 0, 5_100), [5_000, 5_000, 5_100]),
        ("meterStop below meterStart", 5_000, (4_000,), [0]),
        ("meterStop 0", 5_000, (5_600, 0), [600, 600]),
        ("meterStart 0 and a register of its lifetime", 0, (27_651_034, 27_651_534), [0, 500]),
        ("another register in between", 27_651_034, (27_651_534, 30_513_000, 27_652_034), [500, 500, 1_000]),
        ("whole kWh labelled Wh", 30_513_400, (30_513, 30_514), [0, 600]),
        ("kWh labelled Wh, a young meter", 1_000, (1.5, 2.25), [500, 1_250]),
        ("negative, infinite, no number", 1_000, (-5, math.inf, math.nan, 1_100), [0, 0, 0, 100]),
    ],
)
def test_registers_as_they_come(claim, start_wh, registers_wh, energies_wh):
    assert energies(start_wh, *registers_wh) == energies_wh, claim


def test_a_jump_is_over_ten_kwh_between_two_readings():
    meter = EnergyMeter(0.0)
    assert not meter.read(20_000.0), "the first reading has none before it"
    assert not meter.read(30_000.0)
    assert meter.read(40_001.0)


def test_units_made_equal_are_no_jump():
    meter = EnergyMeter(30_000_000.0)
    assert not any([meter.read(30_000_500.0), meter.read(30_001.0), meter.read(30_001_500.0)])
    assert meter.energy_wh == 1_500.0
