"""Sequence numbers: each counts once, in whatever order they come."""

from hypothesis import given
from hypothesis import strategies as st

from wattspan.domain.sequence import MAX_RUNS, SeqNos

NUMBERS = st.lists(st.integers(0, 40))


@given(NUMBERS)
def test_a_number_is_new_once(numbers):
    received, seen = SeqNos(), set()
    for number in numbers:
        assert received.add(number) == (number not in seen)
        seen.add(number)
    assert received.highest == max(seen, default=-1)


@given(NUMBERS, NUMBERS)
def test_what_is_written_is_read_again(before, after):
    received = SeqNos()
    for number in before:
        received.add(number)
    again = SeqNos.parse(str(received))
    assert [again.add(number) for number in after] == [received.add(number) for number in after]
    assert str(again) == str(received)


def test_in_order_it_is_one_run():
    received = SeqNos()
    assert all(received.add(number) for number in range(1000))
    assert str(received) == "0-999"


def test_numbers_at_random_do_not_fill_the_memory():
    received = SeqNos()
    for number in range(0, 10 * MAX_RUNS, 2):
        received.add(number)
    assert len(str(received).split()) <= MAX_RUNS + 1


def test_what_was_skipped_is_missing_until_it_comes():
    received = SeqNos()
    missing = []
    for number in (7, 8, 12, 10, 9, 11):
        received.add(number)
        missing.append(received.missing)
    assert missing == [0, 0, 3, 2, 1, 0]
