"""The energy of a transaction, from registers as meters really send them."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattspan.domain.energy import EnergyMeter
from wattspan.domain.settlement import CORRECTIONS

NOW_TS = 1_800_000_000.0


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
def test_energy_is_finite_and_never_negative(start_wh, registers_wh):
    meter = EnergyMeter(start_wh)
    for register_wh in registers_wh:
        meter.read(register_wh)
        assert 0.0 <= meter.energy_wh < math.inf
    for stop_wh in (*registers_wh, None):
        reason = meter.settle(stop_wh)
        assert 0.0 <= meter.energy_wh < math.inf
        assert reason in {"", *CORRECTIONS}


@given(st.integers(100_000, 10**9), st.lists(st.integers(0, 5_000), min_size=1, max_size=20))
def test_kwh_labelled_wh_gives_the_same_energy(start_wh, steps_wh):
    meter = EnergyMeter(float(start_wh))
    register_wh = float(start_wh)
    for step_wh in steps_wh:
        register_wh += step_wh
        meter.read(register_wh / 1000.0)
    assert meter.energy_wh == pytest.approx(register_wh - start_wh, abs=1e-3)
    assert meter.settle(register_wh) == ""
    assert meter.energy_wh == register_wh - start_wh


@given(st.integers(2_000_000, 10**9), st.lists(st.integers(0, 5_000), min_size=1, max_size=20))
def test_wh_labelled_kwh_gives_the_same_energy(start_wh, steps_wh):
    meter = EnergyMeter(float(start_wh))
    register_wh = float(start_wh)
    for step_wh in steps_wh:
        register_wh += step_wh
        meter.read(register_wh * 1000.0)
    assert meter.energy_wh == pytest.approx(register_wh - start_wh, abs=1e-3)


READINGS = st.lists(
    st.tuples(st.floats(0, 1e8), st.none() | st.integers(0, 3600), st.none() | st.floats(0, 50_000)), max_size=12
)


@given(st.none() | st.floats(0, 1e8), READINGS, READINGS, st.none() | st.floats(0, 1e8), st.booleans())
def test_a_restored_meter_goes_on_as_if_nothing_had_been(start_wh, before, after, stop_wh, ends_labelled):
    whole = EnergyMeter(start_wh, start_ts=NOW_TS, ends_labelled=ends_labelled)
    at_ts = NOW_TS
    for register_wh, after_s, power_w in before:
        at_ts += after_s or 0
        whole.read(register_wh, None if after_s is None else at_ts, power_w)
    dumped = json.loads(json.dumps(whole.dump()))
    restored = EnergyMeter.load(whole.start_wh, whole.energy_wh, start_known=whole.start_known, dumped=dumped)
    for register_wh, after_s, power_w in after:
        at_ts += after_s or 0
        ts = None if after_s is None else at_ts
        assert restored.read(register_wh, ts, power_w) == whole.read(register_wh, ts, power_w)
        assert (restored.energy_wh, restored.register_wh) == (whole.energy_wh, whole.register_wh)
    assert restored.dump() == whole.dump()
    assert restored.settle(stop_wh) == whole.settle(stop_wh)
    assert restored.energy_wh == whole.energy_wh


@pytest.mark.parametrize(
    ("claim", "start_wh", "registers_wh", "energies_wh"),
    [
        ("slightly negative at the start", 10_000, (9_995, 10_020), [0, 20]),
        ("lifetime at the start, relative later", 1_234_567, (0, 150, 300), [0, 150, 300]),
        ("relative later, lifetime at the stop", 1_234_567, (150, 300, 1_234_867), [150, 300, 300]),
        ("relative before its first reading", 1_234_567, (150,), [150]),
        ("reset at boot", 1_000, (1_500, 20, 120), [500, 500, 620]),
        ("reset of a register that began at 0", 0, (1_000, 5_000, 20, 120), [1_000, 5_000, 5_000, 5_120]),
        ("one value too high, from 0", 0, (5_000, 20, 120), [5_000, 20, 120]),
        ("a zero for once", 10_000, (10_500, 0, 10_600), [500, 500, 600]),
        ("a zero for once, from 0", 0, (5_000, 0, 5_100), [5_000, 0, 5_100]),
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


ENDS = [
    ("1 Wh from 0, where a reading of 0 proves nothing about kWh", 0, (0,), 1, 1, ""),
    ("start and stop", 1_000, (1_500,), 2_000, 1_000, ""),
    ("no reading", 1_000, (), 2_000, 1_000, ""),
    ("lifetime at the start and the stop, relative between", 1_234_567, (150, 300), 1_234_900, 333, ""),
    ("relative, the stop too", 1_234_567, (150, 300), 350, 350, "session_relative"),
    ("relative after one reading", 1_234_567, (150,), 350, 350, "session_relative"),
    ("reset", 5_000, (6_000, 8_000, 400, 1_000), 1_300, 4_300, "register_reset"),
    ("reset seen once", 5_000, (8_000, 400), 1_300, 4_300, "register_reset"),
    ("reset from 0", 0, (1_000, 3_000, 5_000, 20, 120), 300, 5_300, "register_reset"),
    (
        "reset, and past the old register",
        5_000,
        (6_000, 7_000, 400, *range(1_400, 9_000, 1_000)),
        9_000,
        11_000,
        "register_reset",
    ),
    ("reset and back", 5_000, (6_000, 7_000, 8_000, 40, 140, 8_100), 8_200, 3_200, ""),
    ("lifetime and a start of 0", 0, (27_651_034, 27_651_534), 27_652_034, 1_000, "start_unreachable"),
    ("stop of 0", 5_000, (5_600,), 0, 600, "stop_unreachable"),
    ("stop far too high", 5_000, (5_600, 5_900), 2_000_000_000, 900, "stop_unreachable"),
    ("no stop", 5_000, (5_600, 5_900), None, 900, "stop_missing"),
    ("no start", None, (5_600, 5_900), 6_000, 400, "start_missing"),
    ("no start, no reading", None, (), 6_000, 0, "start_missing"),
    ("0 and 0", 0, (100, 2_000, 3_000), 0, 3_000, "no_energy"),
    ("0 and 0, and no energy", 0, (0, 0), 0, 0, ""),
    ("a little below", 100_000, (), 99_950, 0, ""),
    ("another register for a while", 1_000, (2_000, 5_000_000, 5_000_500, 5_001_000), 3_000, 2_000, ""),
    ("net register below the start", 10_000, (9_500, 9_000, 8_500, 9_000, 9_500), 10_500, 500, ""),
]


@pytest.mark.parametrize("interval_s", [None, 60.0])
@pytest.mark.parametrize(("claim", "start_wh", "registers_wh", "stop_wh", "energy_wh", "reason"), ENDS)
def test_ends(claim, start_wh, registers_wh, stop_wh, energy_wh, reason, interval_s):
    at = [None if interval_s is None else NOW_TS + number * interval_s for number in range(len(registers_wh) + 2)]
    meter = EnergyMeter(start_wh, start_ts=at[0])
    for register_wh, ts in zip(registers_wh, at[1:], strict=False):
        meter.read(register_wh, ts)
    assert meter.settle(stop_wh, start_ts=at[0], stop_ts=at[-1]) == reason, claim
    assert meter.energy_wh == pytest.approx(energy_wh), claim


def test_a_clock_on_which_nothing_is_possible_proves_nothing():
    meter = EnergyMeter(1_000.0, start_ts=NOW_TS)
    for number in range(1, 9):
        meter.read(1_000.0 + 100_000 * number, NOW_TS + 60 * number)
    assert meter.energy_wh == 800_000
    assert meter.settle(901_000.0, start_ts=NOW_TS, stop_ts=NOW_TS + 540) == ""
    assert meter.energy_wh == 900_000
