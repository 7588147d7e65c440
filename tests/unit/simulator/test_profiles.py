import pytest

from wattspan.simulator.profiles import EvaluationTime, Profiles

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z, a Tuesday
IN_TRANSACTION = EvaluationTime(NOW, 7, NOW - 100)


def profile(*periods, number=1, level=0, purpose="TxDefaultProfile", kind="Relative", unit="A", schedule=None, **more):
    return {
        "chargingProfileId": number,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": {
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [{"startPeriod": start, "limit": limit} for start, limit in periods],
        }
        | (schedule or {}),
    } | more


def limit(*installed, at=IN_TRANSACTION, connector_id=1):
    profiles = Profiles()
    for place, one in installed:
        assert profiles.set(place, one)
    return profiles.limit_a(connector_id, at, 32.0)


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ([], 32),
        ([(1, profile((0, 10)))], 10),
        ([(0, profile((0, 10)))], 10),
        ([(2, profile((0, 10)))], 32),
        ([(1, profile((0, 10))), (0, profile((0, 8), number=2))], 10),
        ([(1, profile((0, 10))), (1, profile((0, 12), number=2, level=1))], 12),
        ([(1, profile((0, 10))), (1, profile((0, 20), number=2, purpose="TxProfile"))], 20),
        ([(1, profile((0, 20))), (0, profile((0, 9), number=2, purpose="ChargePointMaxProfile"))], 9),
        ([(1, profile((0, 10), (50, 11), (150, 12)))], 11),
        ([(1, profile((0, 10), schedule={"duration": 100}))], 32),
        ([(1, profile((0, 6_900), unit="W"))], 10),
        ([(1, profile((0, 10), purpose="TxProfile", transactionId=8))], 32),
        ([(1, profile((0, 10), purpose="TxProfile", transactionId=7))], 10),
        ([(1, profile((0, 10), validFrom="2024-01-01T00:00:00Z"))], 32),
        ([(1, profile((0, 10), validTo="2023-01-01T00:00:00Z"))], 32),
        (
            [(1, profile((0, 10), (3600, 11), kind="Absolute", schedule={"startSchedule": "2023-11-14T21:00:00Z"}))],
            11,
        ),
        (
            [
                (
                    1,
                    profile(
                        (0, 10),
                        (22 * 3600, 11),
                        kind="Recurring",
                        recurrencyKind="Daily",
                        schedule={"startSchedule": "2020-01-01T00:00:00Z"},
                    ),
                )
            ],
            11,
        ),
    ],
)
def test_the_limit_in_force(installed, expected):
    assert limit(*installed) == pytest.approx(expected)


def test_the_same_id_or_the_same_key_replaces():
    assert limit((1, profile((0, 10))), (1, profile((0, 20)))) == 20
    assert limit((1, profile((0, 10))), (1, profile((0, 20), number=2))) == 20


def test_a_composite_schedule_has_every_change():
    profiles = Profiles()
    profiles.set(1, profile((0, 10), (200, 12)))
    profiles.set(0, profile((0, 11), number=2, purpose="ChargePointMaxProfile", validTo="2023-11-14T22:16:40Z"))
    assert profiles.composite(1, IN_TRANSACTION, 600, 32.0) == [
        {"startPeriod": 0, "limit": 10},
        {"startPeriod": 100, "limit": 11},
        {"startPeriod": 200, "limit": 12},
    ]


def test_a_transactions_profile_ends_with_it():
    profiles = Profiles()
    profiles.set(1, profile((0, 10), purpose="TxProfile"))
    profiles.remove_transaction_profile(1)
    assert profiles.limit_a(1, IN_TRANSACTION, 32.0) == 32


@pytest.mark.parametrize(
    "broken",
    [
        {},
        profile((0, "much")),
        profile((0, 10), kind="Sometimes"),
        profile((0, 10), unit="V"),
        profile((0, 10), validTo="tomorrow"),
        profile((0, 10), kind="Recurring", recurrencyKind="Hourly"),
    ],
)
def test_an_invalid_profile_is_refused_when_it_is_set(broken):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Profiles().set(1, broken)
