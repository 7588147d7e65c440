"""Times as chargers send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattspan.domain.timestamps import charger_ts, wire_time

TEN_TS = 1704103200.0


@pytest.mark.parametrize(
    ("sent", "ts"),
    [
        ("2024-01-01T10:00:00Z", TEN_TS),
        ("2024-01-01T10:00:00", TEN_TS),
        ("2024-01-01 10:00:00", TEN_TS),
        ("2024-01-01T11:00:00+01:00", TEN_TS),
        ("2024-01-01T11:00:00+0100", TEN_TS),
        ("2024-01-01T10:00:00.5Z", TEN_TS + 0.5),
        ("2024-01-01T10:00:00.Z", TEN_TS),
        ("2024-01-01T10:00:00,25 +00:00", TEN_TS + 0.25),
        ("2024-1-1T10:0:0z", TEN_TS),
        (" 2024-01-01T10:00Z ", TEN_TS),
        (1704103200, TEN_TS),
        (1704103200000, TEN_TS),
        ("1970-01-01T00:00:10Z", 10.0),
    ],
)
def test_a_time_is_understood(sent, ts):
    assert charger_ts(sent) == ts


def test_nanoseconds_are_understood():
    assert charger_ts("2024-01-01T10:00:00.123456789Z") == pytest.approx(TEN_TS + 0.123456, abs=1e-5)


@pytest.mark.parametrize(
    "sent", ["", "now", "2024-13-01T00:00:00Z", "0000-00-00T00:00:00Z", None, True, [], {}, -1, 1e30]
)
def test_what_is_no_time_is_none(sent):
    assert charger_ts(sent) is None


@given(
    st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.from_regex(r"\d{4}-\d\d?-\d\d?T\d\d?:\d\d.{0,9}"))
)
def test_nothing_raises(sent):
    assert isinstance(charger_ts(sent), float | None)


@given(st.integers(0, 4_000_000_000_000))
def test_our_own_times_come_back(milliseconds):
    assert charger_ts(wire_time(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, abs=1e-3)
