"""Failed handshakes by source and identity, with a clock of the test's own."""

import pytest

from wattspan.gateway import throttle
from wattspan.gateway.throttle import FORGET_S, FREE, FREE_OF_SOURCE, LONGEST_S, Hold, Throttle, source_of


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> Throttle:
    return Throttle(clock)


def fail(limits: Throttle, times: int, source: str = "1.2.3.4", cp_id: str = "cp1") -> None:
    for _ in range(times):
        limits.failed(source, cp_id)


def test_a_few_failures_are_without_consequence(limits):
    fail(limits, FREE - 1)
    assert limits.hold("1.2.3.4", "cp1") == (Hold.NOT, 0.0)


def test_further_ones_wait_twice_as_long_each_time_up_to_a_minute(limits, clock):
    waits = []
    fail(limits, FREE - 1)
    for _ in range(9):
        fail(limits, 1)
        hold, wait_s = limits.hold("1.2.3.4", "cp1")
        assert hold is Hold.ALL
        waits.append(wait_s)
        clock.now_s += wait_s
        assert limits.hold("1.2.3.4", "cp1")[0] is Hold.NOT
    assert waits == [1, 2, 4, 8, 16, 32, LONGEST_S, LONGEST_S, LONGEST_S]


def test_neither_others_from_there_nor_it_from_elsewhere_have_to_wait(limits):
    fail(limits, FREE + 5)
    assert limits.hold("1.2.3.4", "cp2")[0] is Hold.NOT
    assert limits.hold("9.9.9.9", "cp1")[0] is Hold.NOT


def test_one_that_was_right_before_is_still_heard_when_others_fail_in_its_name(limits):
    limits.succeeded("1.2.3.4", "cp1")
    fail(limits, FREE + 5)
    assert limits.hold("1.2.3.4", "cp1")[0] is Hold.GUESSING


def test_an_address_that_fails_under_many_names_is_heard_only_where_nothing_can_be_guessed(limits):
    for number in range(FREE_OF_SOURCE):
        limits.failed("1.2.3.4", f"cp{number}")
    assert limits.hold("1.2.3.4", "another")[0] is Hold.GUESSING
    assert limits.hold("9.9.9.9", "another")[0] is Hold.NOT


def test_success_forgets_the_pairs_failures_but_not_the_addresss(limits):
    for number in range(FREE_OF_SOURCE - 1):
        limits.failed("1.2.3.4", f"cp{number}")
    limits.succeeded("1.2.3.4", "cp0")
    limits.failed("1.2.3.4", "cp0")
    assert limits.hold("1.2.3.4", "other")[0] is Hold.GUESSING


def test_after_a_quiet_while_it_begins_anew(limits, clock):
    fail(limits, FREE + 5)
    clock.now_s += FORGET_S + 1
    fail(limits, 1)
    assert limits.hold("1.2.3.4", "cp1") == (Hold.NOT, 0.0)


def test_no_more_is_remembered_than_fits(clock, monkeypatch):
    monkeypatch.setattr(throttle, "KEPT", 100)
    limits = Throttle(clock)
    for number in range(1000):
        limits.failed(f"source {number}", f"cp{number}")
        limits.succeeded(f"source {number}", f"cp{number}")
        limits.failed(f"source {number}", f"cp{number}")
    assert len(limits._pairs) == len(limits._sources) == len(limits._good) == 100


@pytest.mark.parametrize(
    ("address", "source"),
    [
        (("192.0.2.7", 4711), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 4711, 0, 0), "2001:db8:1:2::/64"),
        (("::ffff:192.0.2.7", 4711, 0, 0), "192.0.2.7"),
        (("fe80::1%eth0", 4711, 0, 3), "fe80::/64"),
        (None, ""),
    ],
)
def test_a_source_is_an_address_or_the_network_that_one_customer_has(address, source):
    assert source_of(address) == source
