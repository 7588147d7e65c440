"""Log records of events of charge points: their fields, and when there is none. test_evidence.py causes each kind."""

import logging
from typing import Any

import pytest

from wattspan.csms.event_log import EventLog
from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.domain.fleet import Fleet
from wattspan.telemetry import logs

NOW_TS = 1_800_000_000.0
NS = 1_000_000_000


class NoCauses:
    boots: dict[str, Any] = {}  # noqa: RUF012


@pytest.fixture
def put(caplog):
    """Apply an event, put it, and return the records of it."""
    caplog.set_level(logging.INFO)
    logs._line_limiter._reasons.clear()
    fleet = Fleet()
    causes: Any = NoCauses()
    sink = EventLog(fleet, causes, lambda: round(NOW_TS * NS))

    def put(event: ev.Event) -> list[logging.LogRecord]:
        caplog.clear()
        apply(fleet, event)
        sink.put(event)
        return list(caplog.records)

    return put


def status(cp_id: str, received_ts: float = NOW_TS, **more: Any) -> ev.Event:
    return ev.ConnectorStatusChanged(cp_id=cp_id, received_ts=received_ts, connector_id="1", status="Faulted", **more)


def test_a_fault_has_what_the_charger_reported_and_no_empty_field(put):
    (record,) = put(status("CP1", error_code="GroundFailure", vendor_error_code="E42"))
    fields = vars(record)
    assert (fields["event.name"], fields["cp_id"], fields["connector_id"]) == ("fault reported", "CP1", "1")
    assert (fields["ocpp.error_code"], fields["ocpp.vendor_error_code"]) == ("GroundFailure", "E42")
    assert "ocpp.error_info" not in fields


def test_a_status_without_a_fault_is_no_news(put):
    assert put(status("CP1")) == []


def test_what_happened_in_the_past_is_no_news(put):
    assert put(status("CP1", received_ts=NOW_TS - 3600, error_code="GroundFailure")) == []


def test_an_id_token_is_in_no_record(put):
    refused = ev.Authorized(cp_id="CP1", received_ts=NOW_TS, status="Blocked")
    (record,) = put(refused)
    assert vars(record)["ocpp.status"] == "Blocked"
    started = ev.TransactionStarted(
        cp_id="CP2",
        received_ts=NOW_TS,
        connector_id="1",
        transaction_id="7",
        key="k",
        id_token="SECRET-CARD",
        meter_start_wh=0.0,
        started_ts=NOW_TS,
    )
    (record,) = put(started)
    assert "SECRET-CARD" not in str(vars(record))


def test_a_charging_profile_of_2x_has_its_first_limit(put):
    periods = [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 60, "limit": 8.0}]
    profile = {
        "id": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": periods}],
    }
    event = ev.ChargingProfileSet(cp_id="CP1", received_ts=NOW_TS, connector_id="1", profile=profile)
    (record,) = put(event)
    fields = vars(record)
    assert (fields["ocpp.charging_profile.limit"], fields["ocpp.charging_profile.unit"]) == (16.0, "A")


def test_a_certificate_that_lasts_is_no_news(put):
    assert put(ev.CertificateHeld(cp_id="CP1", received_ts=NOW_TS, expires_ts=NOW_TS + 100 * 86_400)) == []


@pytest.mark.parametrize(
    "schedule",
    [
        None,
        [],
        5,
        {"chargingSchedulePeriod": 1.5},
        {"chargingSchedulePeriod": []},
        {"chargingSchedulePeriod": [7]},
        {"chargingSchedulePeriod": [{"limit": "x"}], "chargingRateUnit": ["A"]},
        {"chargingSchedulePeriod": [{"limit": True}]},
    ],
)
def test_a_charging_profile_that_is_invalid_is_recorded(put, schedule):
    profile = {"chargingProfileId": 1, "chargingSchedule": schedule}
    (record,) = put(ev.ChargingProfileSet(cp_id="CP1", received_ts=NOW_TS, connector_id="1", profile=profile))
    assert vars(record)["event.name"] == "charging profile set"
