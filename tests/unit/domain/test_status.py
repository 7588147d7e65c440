"""Status words and error labels."""

import pytest

from wattspan.domain.status import MAX_VENDOR_ERRORS, bounded_call_error, bounded_error, numeric, state

WORDS = ["Available", "Preparing", "Charging", "SuspendedEVSE", "SuspendedEV", "Finishing"]
WORDS += ["Reserved", "Unavailable", "Faulted"]


def test_the_numbers_are_those_of_the_requirement():
    assert [numeric(word) for word in WORDS] == list(range(9))


@pytest.mark.parametrize("word", ["", None, "available", "Occupied", "Sleeping"])
def test_any_other_word_is_minus_one(word):
    assert numeric(word) == -1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["Available"], "available"),
        (["Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing"], "charging"),
        (["Unavailable", "Faulted", "Reserved", "", None, "Sleeping"], "unavailable"),
    ],
)
def test_states_of_the_station_view(words, expected):
    assert {state(word) for word in words} == {expected}


def test_vendor_codes_are_kept_apart_up_to_a_limit():
    known: dict[str, int] = {"GroundFailure": 1, "FormationViolation": 1}
    for number in range(3 * MAX_VENDOR_ERRORS):
        label = bounded_error(f"E{number}", known)
        known[label] = known.get(label, 0) + 1
    assert sum(label.startswith("E") for label in known) == MAX_VENDOR_ERRORS
    assert known["other"] == 2 * MAX_VENDOR_ERRORS
    assert bounded_error("E3", known) == "E3"
    assert bounded_error("WeakSignal", known) == "WeakSignal"


@pytest.mark.parametrize("code", ["", "x" * 51, "line\nbreak"])
def test_odd_codes_are_other(code):
    assert bounded_error(code, {}) == "other"


def test_a_made_up_callerror_code_is_other():
    assert bounded_call_error("OccurenceConstraintViolation") == "OccurenceConstraintViolation"
    assert bounded_call_error("Timeout") == "Timeout"
    assert bounded_call_error("Whatever7") == "other"
