"""Commands and reports of 2.x that say what a charger may draw, and what the limit is then."""

import pytest

from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.domain.fleet import Fleet
from wattspan.domain.limits import limit_a
from wattspan.versions import VERSIONS

NOW_TS = 1_790_000_000.0
OK = {"status": "Accepted"}
V201, V21 = VERSIONS["ocpp2.0.1"], VERSIONS["ocpp2.1"]


def profile(limit=16.0, *, number=1, purpose="TxDefaultProfile", unit="A", kind="Absolute", period=None, **more):
    schedule = {
        "id": 1,
        "chargingRateUnit": unit,
        "startSchedule": "2026-01-01T00:00:00Z",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit} if period is None else period],
    }
    return {
        "id": number,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [schedule, {**schedule, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 1.0}]}],
    } | more


class Station:
    """A fleet of one, with one EVSE, fed by conversations."""

    def __init__(self, version=V201):
        self.version = version
        self.fleet = Fleet()
        self.fleet.charge_point("CP1", NOW_TS).connector("1")

    def command(self, action, call, answer=None):
        self._apply(self.version.commands[action].observe(call, OK if answer is None else answer, "CP1", NOW_TS))
        return self

    def observe(self, action, call):
        self._apply(self.version.requests[action].observe(call, {}, "CP1", NOW_TS))
        return self

    def _apply(self, events):
        for event in events:
            apply(self.fleet, event)

    @property
    def limit(self):
        cp = self.fleet.charge_points["CP1"]
        return limit_a(cp, cp.connectors["1"], NOW_TS)


def with_profile(*profiles, evse_id=1, version=V201):
    station = Station(version)
    for each in profiles:
        station.command("SetChargingProfile", {"evseId": evse_id, "chargingProfile": each})
    return station


def test_the_first_schedule_of_a_profile_is_the_limit():
    assert with_profile(profile(16.0)).limit == 16.0
    assert with_profile(profile(20.0), evse_id=0).limit == 20.0


def test_a_profile_that_was_refused_is_none():
    call = {"evseId": 1, "chargingProfile": profile()}
    assert Station().command("SetChargingProfile", call, {"status": "Rejected"}).limit is None


def test_a_station_s_maximum_caps_the_rest():
    maximum = profile(10.0, number=2, purpose="ChargingStationMaxProfile")
    assert with_profile(profile(16.0), maximum).limit == 10.0


def test_a_profile_of_the_same_id_or_place_is_replaced():
    assert with_profile(profile(16.0), profile(8.0, purpose="ChargingStationMaxProfile")).limit == 8.0
    assert with_profile(profile(16.0), profile(18.0, number=2)).limit == 18.0


@pytest.mark.parametrize(
    "criteria",
    [
        {"chargingProfileId": 1},
        {"chargingProfileCriteria": {"evseId": 1}},
        {"chargingProfileCriteria": {"chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0}},
        {},
    ],
)
def test_a_profile_is_cleared_by_any_criterion_that_it_meets(criteria):
    assert with_profile(profile()).command("ClearChargingProfile", criteria).limit is None


@pytest.mark.parametrize(
    "criteria", [{"chargingProfileId": 9}, {"chargingProfileCriteria": {"evseId": 2}}, {"chargingProfileId": "1"}]
)
def test_a_profile_that_does_not_meet_them_stays(criteria):
    expected = None if criteria.get("chargingProfileId") == "1" else 16.0
    assert with_profile(profile()).command("ClearChargingProfile", criteria).limit == expected


def test_a_remote_start_s_profile_counts_where_an_evse_is_named():
    call = {"evseId": 1, "remoteStartId": 1, "idToken": {}, "chargingProfile": profile(12.0)}
    assert Station().command("RequestStartTransaction", call).limit == 12.0
    del call["evseId"]
    assert Station().command("RequestStartTransaction", call).limit is None


def test_a_limit_from_outside_binds_until_it_is_cleared():
    """OCPP 2.0.1 K12, K13."""
    outside = profile(6.0)["chargingSchedule"][:1]
    station = with_profile(profile(16.0))
    station.observe(
        "NotifyChargingLimit", {"chargingLimit": {"chargingLimitSource": "SO"}, "chargingSchedule": outside}
    )
    assert station.limit == 6.0
    station.observe("ClearedChargingLimit", {"chargingLimitSource": "EMS"})
    assert station.limit == 6.0
    station.observe("ClearedChargingLimit", {"chargingLimitSource": "SO"})
    assert station.limit == 16.0


def test_reported_profiles_are_known():
    call = {"requestId": 1, "chargingLimitSource": "CSO", "evseId": 1, "chargingProfile": [profile(9.0), None]}
    assert Station().observe("ReportChargingProfiles", call).limit == 9.0


def test_a_dynamic_profile_s_limit_moves():
    """OCPP 2.1 K28."""
    station = with_profile(profile(16.0, kind="Dynamic"), version=V21)
    assert station.limit == 16.0
    call = {"chargingProfileId": 1, "scheduleUpdate": {"limit": 11.0}}
    assert station.command("UpdateDynamicSchedule", call, {"status": "Rejected"}).limit == 16.0
    assert station.command("UpdateDynamicSchedule", call).limit == 11.0


def test_of_limits_for_each_phase_the_lowest_binds_and_a_setpoint_is_none():
    phases = {"startPeriod": 0, "limit": 16.0, "limit_L2": 10.0, "limit_L3": 12.0}
    assert with_profile(profile(period=phases), version=V21).limit == 10.0
    watts = {"startPeriod": 0, "limit": 3680.0, "limit_L2": 2300.0}
    assert with_profile(profile(period=watts, unit="W"), version=V21).limit == pytest.approx(10.0)
    setpoint = {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": -5.0, "dischargeLimit": -8.0}
    assert with_profile(profile(period=setpoint), version=V21).limit is None


def test_a_reservation_is_made_and_ends():
    call = {
        "id": 5,
        "expiryDateTime": "2026-11-21T10:00:00Z",
        "idToken": {"idToken": "TAG1", "type": "Central"},
        "evseId": 2,
        "groupIdToken": {"idToken": "GROUP", "type": "Central"},
    }
    (made,) = V201.commands["ReserveNow"].observe(call, OK, "CP1", NOW_TS)
    assert (made.reservation_id, made.connector_id, made.id_token, made.parent_id_token) == (5, "2", "TAG1", "GROUP")
    assert list(V201.commands["ReserveNow"].observe(call, {"status": "Occupied"}, "CP1", NOW_TS)) == []
    ended = ev.ReservationCancelled(cp_id="CP1", received_ts=NOW_TS, reservation_id=5)
    assert list(V201.commands["CancelReservation"].observe({"reservationId": 5}, OK, "CP1", NOW_TS)) == [ended]
    update = {"reservationId": 5, "reservationUpdateStatus": "Expired"}
    assert list(V201.requests["ReservationStatusUpdate"].observe(update, {}, "CP1", NOW_TS)) == [ended]
