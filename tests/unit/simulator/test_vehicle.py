import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattspan.simulator.vehicle import VOLTAGE_V, Vehicle


def car(**changed):
    return Vehicle(**({"battery_wh": 50_000, "phases": 3, "max_current_a": 16, "soc": 0.2} | changed))


def test_it_ramps_up_and_then_takes_what_it_is_offered():
    vehicle = car()
    vehicle.charge(10, offered_a=10)
    assert vehicle.current_a == pytest.approx(5)
    vehicle.charge(60, offered_a=10)
    assert vehicle.current_a == pytest.approx(10)


def test_a_steady_hour_is_power_times_time():
    vehicle = car(soc=0.0, current_a=10.0)
    assert vehicle.charge(3_600, offered_a=10) == pytest.approx(10 * VOLTAGE_V * 3)


def test_it_takes_no_more_than_it_can():
    vehicle = car()
    vehicle.charge(300, offered_a=32)
    assert vehicle.current_a == 16


def test_it_tapers_when_nearly_full():
    vehicle = car(soc=0.9)
    vehicle.charge(60, offered_a=16)
    assert 0 < vehicle.current_a < 16 * 0.7


def test_below_six_ampere_it_stops():
    vehicle = car(current_a=10.0)
    assert vehicle.charge(60, offered_a=5.9) == 0
    assert vehicle.current_a == 0


def test_full_is_full():
    vehicle = car(soc=0.5)
    assert vehicle.charge(100 * 3_600, offered_a=16) == pytest.approx(25_000)
    assert vehicle.full
    assert vehicle.power_w == 0


@given(st.lists(st.tuples(st.floats(0, 4_000), st.floats(0, 40)), max_size=20), st.floats(0, 1))
def test_energy_is_what_the_battery_gained_and_never_negative(steps, soc):
    vehicle = car(soc=soc)
    taken = [vehicle.charge(seconds, offered) for seconds, offered in steps]
    assert all(wh >= 0 for wh in taken)
    assert sum(taken) == pytest.approx((vehicle.soc - soc) * vehicle.battery_wh, abs=0.01)
    assert vehicle.soc <= 1
