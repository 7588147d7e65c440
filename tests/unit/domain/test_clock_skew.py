"""A replay of the past, distinguished from a clock that is behind."""

import pytest

from wattspan.domain.clock_skew import ClockOffset, ClockSkew, clock_offset

NOW = 1_790_000_000.0
DAY_S = 86_400.0


def past(*measured: tuple[float, float]) -> list[bool]:
    """Return for each (charger's time, ours), in seconds after NOW, whether it is past."""
    skew = ClockSkew()
    return [skew.is_past(NOW + measured_s, NOW + passed_s) for measured_s, passed_s in measured]


def test_a_clock_that_is_right_or_a_little_off_is_of_now():
    assert past((0, 0), (60, 60), (120, 400), (500, 450)) == [False] * 4


def test_no_credible_time_is_of_now():
    assert not ClockSkew().is_past(None, NOW)


@pytest.mark.parametrize("every_s", [1.0, 10.0, 60.0, 900.0])
def test_a_replay_is_past_however_it_was_sampled(every_s):
    measured = [(number * every_s - DAY_S, number * 0.05) for number in range(50)]
    assert past(*measured) == [True] * 50


def test_a_replay_is_past_right_after_a_live_one():
    assert past((0, 0), (60, DAY_S), (120, DAY_S + 0.1)) == [False, True, True]


@pytest.mark.parametrize("every_s", [10.0, 60.0, 900.0])
def test_a_clock_that_is_hours_behind_is_of_now_from_its_second_message_on(every_s):
    measured = [(number * every_s - 5 * 3600, number * every_s + number % 3) for number in range(20)]
    assert past(*measured) == [True] + [False] * 19


def test_several_readings_of_one_message_of_a_clock_behind_end_in_the_one_of_now():
    behind = [(minute * 60 + second - 7200, minute * 60 + 60) for minute in range(4) for second in (20, 40, 60)]
    assert past(*behind)[5::3] == [False] * 3


def test_a_replay_after_another_one_is_past():
    assert past((-2 * DAY_S, 0), (-2 * DAY_S + 60, 0.1), (9 * DAY_S, 10 * DAY_S)) == [True] * 3


def test_a_clock_set_back_is_of_now_again_from_its_second_message_on():
    assert past((-1000, 0), (-940, 60), (-4000, 120), (-3940, 180)) == [True, False, True, False]


def offsets(*messages: tuple[float, float]) -> ClockOffset | None:
    """The offset after messages of (our time, seconds that the charger's clock is ahead)."""
    found = None
    for received_ts, ahead_s in messages:
        found = clock_offset(found, received_ts + ahead_s, received_ts)
    return found


def test_a_clock_within_a_minute_is_right():
    assert offsets((1000.0, 59.0), (1100.0, -60.0)) is None
    assert offsets((1000.0, 3600.0), (1001.0, 0.0)) is None


def test_a_clock_that_is_ahead_is_known_at_once():
    found = offsets((1000.0, 3600.0))
    assert found is not None
    assert (found.ahead_s, found.is_certain) == (3600.0, True)


def test_a_clock_that_is_behind_is_known_when_a_second_message_is_as_old():
    first, soon, later = (
        offsets((1000.0, -3600.0), *more) for more in ((), ((1004.0, -3601.0),), ((1005.0, -3599.0),))
    )
    assert [each.is_certain for each in (first, soon, later) if each is not None] == [False, False, True]


def test_messages_that_were_kept_while_offline_are_no_clock_that_is_behind():
    found = offsets((1000.0, -7200.0), (1003.0, -3600.0), (1006.0, -600.0))
    assert found is not None
    assert not found.is_certain
