from typing import Any

import pytest

from wattspan.domain.composite import MAX_CHANGES, composite
from wattspan.domain.limits import limit_a
from wattspan.domain.model import ChargePoint, Connector

NOW_TS = 1_795_262_400.0  # 2026-11-21T12:00:00Z


def profile(*periods: tuple[int, float], start: str = "2026-11-21T11:00:00Z", **more: Any) -> dict[str, Any]:
    schedule = {
        "chargingRateUnit": "A",
        "startSchedule": start,
        "chargingSchedulePeriod": [{"startPeriod": at, "limit": limit} for at, limit in periods],
        **more.pop("schedule", {}),
    }
    return {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
        **more,
    }


def at(*profiles: dict[str, Any], offered_a: float | None = None) -> tuple[ChargePoint, Connector]:
    cp = ChargePoint(cp_id="CP1", known_since_ts=0.0)
    connector = cp.connector("1")
    connector.profiles, connector.offered_a = list(profiles), offered_a
    return cp, connector


def test_without_profiles_there_is_one_period_without_a_limit_whatever_is_offered_now() -> None:
    assert composite(*at(offered_a=32.0), NOW_TS, 3600) == [(0.0, None)]


def test_a_schedule_is_told_from_where_it_stands_now() -> None:
    found = at(profile((0, 32.0), (1800, 16.0), (5400, 8.0), schedule={"duration": 9000}))
    assert composite(*found, NOW_TS, 86_400) == [(0.0, 16.0), (1800.0, 8.0), (5400.0, None)]


def test_a_daily_schedule_comes_again() -> None:
    daily = profile((0, 6.0), (3600, 20.0), chargingProfileKind="Recurring", recurrencyKind="Daily")
    found = composite(*at(daily), NOW_TS, 2 * 86_400)
    assert found == [(0.0, 20.0), (82_800.0, 6.0), (86_400.0, 20.0), (169_200.0, 6.0)]


def test_a_cap_on_the_whole_charge_point_and_its_end_show() -> None:
    cp, connector = at(profile((0, 32.0)))
    cap = profile((0, 10.0), chargingProfilePurpose="ChargePointMaxProfile", validTo="2026-11-21T13:00:00Z")
    cp.connector("0").profiles = [cap]
    assert composite(cp, connector, NOW_TS, 7200) == [(0.0, 10.0), (3600.0, 32.0)]
    assert composite(cp, cp.connectors["0"], NOW_TS, 7200) == [(0.0, 10.0), (3600.0, None)]


def test_at_every_moment_it_is_the_limit_of_that_moment() -> None:
    cp, connector = at(
        profile((0, 32.0), (600, 12.0), (4000, 24.0)),
        profile((0, 6.0), start="2026-11-21T12:20:00Z", stackLevel=1, schedule={"duration": 900}),
    )
    periods = composite(cp, connector, NOW_TS, 7200)
    for second in range(0, 7200, 97):
        (_, limit) = [period for period in periods if period.start_s <= second][-1]
        assert limit == limit_a(cp, connector, NOW_TS + second)


@pytest.mark.parametrize("odd", [None, {}, [], "x", {"chargingSchedulePeriod": [None, {"startPeriod": "a"}]}])
def test_what_makes_no_sense_limits_nothing(odd: Any) -> None:
    cp, connector = at({"chargingProfilePurpose": "TxDefaultProfile", "chargingSchedule": odd})
    assert composite(cp, connector, NOW_TS, 3600) == [(0.0, None)]


def test_a_profile_of_endless_periods_is_bounded() -> None:
    many = [
        profile(*((second, float(second % 32)) for second in range(index, 4000, 7)), stackLevel=index)
        for index in range(20)
    ]
    assert len(composite(*at(*many), NOW_TS, 86_400)) <= MAX_CHANGES
