from random import Random

import pytest

from wattspan.simulator import ArrivalPattern, FaultRates
from wattspan.simulator.arrivals import draw_visit, next_arrival_s


def visits(seed, count=200, rates=None):
    rng = Random(seed)
    return [draw_visit(rng, ArrivalPattern(), rates or FaultRates(), ("A", "B")) for _ in range(count)]


def test_the_same_seed_draws_the_same_sessions():
    def plans(drawn):
        return [(v.id_tag, v.stay_s, v.pauses, v.vehicle, v.faults) for v in drawn]

    assert plans(visits(1)) == plans(visits(1)) != plans(visits(2))


def test_without_rates_there_are_no_faults():
    assert not any(v.faults.offline or v.faults.drop_after_s or v.faults.error_after_s for v in visits(1))
    assert FaultRates().clock_offset_s(Random(1)) == 0


def test_a_rate_is_a_share_of_sessions():
    drawn = visits(1, 1_000, FaultRates.all(0.25))
    assert 180 < sum(v.faults.offline for v in drawn) < 320
    assert 180 < sum(v.faults.drop_after_s is not None for v in drawn) < 320


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_is_a_probability(rate):
    with pytest.raises(ValueError, match="drop"):
        FaultRates(drop=rate)


def test_arrivals_depend_on_the_hour():
    rng = Random(1)
    night, morning = (sum(next_arrival_s(rng, ArrivalPattern(), hour) for _ in range(500)) for hour in (3, 8))
    assert night > 20 * morning
    assert next_arrival_s(rng, ArrivalPattern(sessions_per_day=0), 8) == float("inf")
