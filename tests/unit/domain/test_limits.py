"""The current limit: what is offered, and what the accepted profiles say about now."""

import pytest

from wattspan.domain.limits import limit_a
from wattspan.domain.model import ChargePoint
from wattspan.domain.timestamps import charger_ts

NOON_TS = charger_ts("2026-03-02T12:00:00Z")
assert NOON_TS is not None


def profile(limit=16.0, *, purpose="TxDefaultProfile", stack=0, unit="A", kind="Absolute", **more):
    schedule = {"chargingRateUnit": unit, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    return {
        "chargingProfileId": 1,
        "stackLevel": stack,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": schedule | more.pop("schedule", {}),
    } | more


def limit(*profiles, offered_a=None, whole=(), at_ts=NOON_TS):
    cp = ChargePoint(cp_id="CP1", known_since_ts=0.0)
    connector = cp.connector("1")
    connector.offered_a, connector.profiles = offered_a, list(profiles)
    cp.connector("0").profiles = list(whole)
    return limit_a(cp, connector, at_ts)


def test_nothing_known_is_none():
    assert limit() is None


def test_the_lower_of_offered_and_profile():
    assert limit(offered_a=32.0) == 32.0
    assert limit(profile(16.0), offered_a=32.0) == 16.0
    assert limit(profile(16.0), offered_a=10.0) == 10.0


def test_watts_become_amperes_per_phase():
    assert limit(profile(11_040.0, unit="W")) == pytest.approx(16.0)
    one_phase = {"chargingSchedulePeriod": [{"startPeriod": 0, "limit": 3_680.0, "numberPhases": 1}]}
    assert limit(profile(unit="W", schedule=one_phase)) == pytest.approx(16.0)


def test_connector_0_applies_to_each_unless_the_connector_has_its_own_default():
    assert limit(whole=[profile(20.0)]) == 20.0
    assert limit(profile(25.0), whole=[profile(20.0)]) == 25.0
    assert limit(profile(25.0), whole=[profile(20.0, purpose="ChargePointMaxProfile")]) == 20.0


def test_the_highest_stack_level_in_force_wins():
    assert limit(profile(10.0, stack=1), profile(20.0, stack=2)) == 20.0
    assert limit(profile(10.0, stack=1), profile(20.0, stack=2, validTo="2026-03-02T11:59:59Z")) == 10.0
    assert limit(profile(10.0, stack=1), profile(20.0, stack=2, validFrom="2026-03-02T12:00:01Z")) == 10.0


def test_the_period_in_force_counts():
    periods = {
        "startSchedule": "2026-03-02T11:00:00Z",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}, {"startPeriod": 3600, "limit": 6.0}],
    }
    assert limit(profile(schedule=periods), at_ts=NOON_TS - 1) == 10.0
    assert limit(profile(schedule=periods)) == 6.0
    assert limit(profile(schedule=periods | {"duration": 3600})) is None
    assert limit(profile(schedule=periods), at_ts=NOON_TS - 3601) is None


def test_daily_and_weekly_profiles_recur():
    monday = {
        "startSchedule": "2026-02-23T11:00:00Z",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}],
        "duration": 7200,
    }
    assert limit(profile(kind="Recurring", recurrencyKind="Weekly", schedule=monday)) == 10.0
    assert limit(profile(kind="Recurring", recurrencyKind="Daily", schedule=monday), at_ts=NOON_TS + 86_400) == 10.0
    assert limit(profile(kind="Recurring", recurrencyKind="Weekly", schedule=monday), at_ts=NOON_TS + 86_400) is None


def test_a_tx_profile_needs_a_transaction():
    assert limit(profile(6.0, purpose="TxProfile")) is None


@pytest.mark.parametrize(
    "odd", [{}, {"chargingSchedule": []}, {"chargingSchedule": {"chargingSchedulePeriod": [3, {}]}}]
)
def test_a_profile_that_says_nothing_limits_nothing(odd):
    assert limit({"chargingProfilePurpose": "TxDefaultProfile", **odd}) is None
