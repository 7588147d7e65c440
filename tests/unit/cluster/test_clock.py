"""The clock of a node, corrected to PostgreSQL's where it is off."""

import pytest

from wattspan.cluster.clock import NodeClock

NOW_NS = 1_790_000_000_000_000_000


@pytest.fixture
def clock() -> NodeClock:
    return NodeClock(lambda: NOW_NS)


@pytest.mark.parametrize("ahead_s", [180.0, -180.0])
def test_a_clock_that_is_off_is_corrected_and_left_alone_once_it_is_set(clock: NodeClock, ahead_s: float) -> None:
    clock.measured(ahead_s, 0.001)
    assert clock() == NOW_NS - ahead_s * 1e9
    assert clock.own() == NOW_NS / 1e9
    clock.measured(0.003, 0.001)
    assert clock() == NOW_NS


def test_small_differences_do_not_make_it_jump(clock: NodeClock) -> None:
    clock.measured(0.9, 0.0)
    assert clock() == NOW_NS
    clock.measured(180.0, 0.0)
    clock.measured(180.9, 0.0)
    assert clock() == NOW_NS - 180 * 10**9


def test_a_measurement_that_took_long_is_not_believed(clock: NodeClock) -> None:
    clock.measured(3.0, 2.5)
    assert clock() == NOW_NS
