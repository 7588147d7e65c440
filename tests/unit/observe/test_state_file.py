"""The state file of an instrumented program gives back what was saved, and nothing that belongs to the last run."""

import sqlite3
import threading
from dataclasses import fields

import pytest

from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.errors import SettingsError
from wattspan.instrumentation.state_file import StateFile

AT = {"cp_id": "CP1", "received_ts": 1_772_438_400.0}
READINGS = (ev.Reading(1_772_438_400.0, register_wh=1000.0), ev.Reading(1_772_438_460.0, register_wh=4000.0))
EVENTS = [
    ev.ChargePointConnected(**AT, protocol="ocpp2.0.1"),
    ev.ChargePointBooted(**AT, vendor="Acme", model="One"),
    ev.ConnectorStatusChanged(**AT, connector_id="1", status="Occupied", outlet="1"),
    ev.ProblemReported(**AT, error_type="Overload", connector_id="1"),
    ev.TransactionEventReceived(
        **AT,
        connector_id="1",
        transaction_id="T1",
        ref=ev.EventRef(0, 1_772_438_400.0),
        readings=READINGS,
        charging_state="Charging",
    ),
    ev.CommandFailed(**AT, action="Reset", error_type="Timeout", duration_s=1.0, connector_id=None),
]


def saved(path, fleet, counters):
    file = StateFile.open(path)
    key = file.token_key()
    file.save(fleet, counters, threading.Lock())
    file.close()
    again = StateFile.open(path)
    restored = again.restore()
    assert again.token_key() == key
    again.close()
    return restored


def test_a_fleet_comes_back_as_it_was_but_not_connected(tmp_path):
    fleet, counters = Fleet(assigns_ids=False), ServerCounters(started_ts=1.0)
    for event in EVENTS:
        apply(fleet, event)
    counters.messages["in", "Heartbeat"] = 3
    counters.sockets = 1
    again, counted = saved(tmp_path / "state.db", fleet, counters)
    before, after = fleet.charge_points["CP1"], again.charge_points["CP1"]
    assert (before.connected, after.connected) == (True, False)
    for field in fields(before):
        if field.name not in ("connected", "outage_counted", "clock_offset", "connectors", "transactions"):
            assert getattr(after, field.name) == getattr(before, field.name), field.name
    assert after.call_errors == {("Reset", "Timeout"): 1}
    one, other = before.connectors["1"], after.connectors["1"]
    assert (other.status, other.outlets, other.problem) == (one.status, one.outlets, one.problem)
    transaction = after.transactions["T1"]
    assert after.connectors["1"].transaction is transaction
    assert repr(transaction) == repr(before.transactions["T1"])
    assert again.last_number == fleet.last_number
    assert (counted.messages, counted.sockets) == ({("in", "Heartbeat"): 3}, 0)
    assert not saved(tmp_path / "state.db", again, counted)[0].changes.due


def test_a_transaction_that_ended_and_a_charge_point_that_was_removed_are_not_kept(tmp_path):
    fleet, counters = Fleet(assigns_ids=False), ServerCounters(started_ts=1.0)
    for event in EVENTS:
        apply(fleet, event)
    again, counted = saved(tmp_path / "state.db", fleet, counters)
    (transaction,) = again.charge_points["CP1"].transactions.values()
    stop = ev.TransactionStopped(
        **AT, transaction_id=transaction.transaction_id, meter_stop_wh=5000.0, stopped_ts=None, reason="Local"
    )
    apply(again, stop)
    again, counted = saved(tmp_path / "state.db", again, counted)
    assert again.charge_points["CP1"].transactions == {}
    assert again.charge_points["CP1"].energy_total_wh == 4000.0
    apply(again, ev.ChargePointDecommissioned(**AT))
    assert saved(tmp_path / "state.db", again, counted)[0].charge_points == {}


def test_what_could_not_be_written_is_written_by_the_next_save(tmp_path):
    fleet, counters, lock = Fleet(assigns_ids=False), ServerCounters(started_ts=1.0), threading.Lock()
    file = StateFile.open(tmp_path / "state.db")
    file._connection.execute("PRAGMA query_only = 1")
    for event in EVENTS:
        apply(fleet, event)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        file.save(fleet, counters, lock)
    file._connection.execute("PRAGMA query_only = 0")
    file.save(fleet, counters, lock)
    again, _ = file.restore()
    assert list(again.charge_points) == ["CP1"]
    file.close()


def test_a_database_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "theirs.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(SettingsError, match="of another program or version"):
        StateFile.open(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    connection.close()


def test_a_folder_that_does_not_exist_is_a_settings_error(tmp_path):
    with pytest.raises(SettingsError, match="state file"):
        StateFile.open(tmp_path / "nowhere" / "state.db")
