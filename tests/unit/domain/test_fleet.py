"""Transactions through their whole life, and everything else a fleet remembers, at the level of events."""

import pytest

from wattspan.domain import events as ev
from wattspan.domain import fleet
from wattspan.domain.apply import apply
from wattspan.domain.fleet import ORPHANED, Fleet
from wattspan.domain.model import MAX_CONNECTORS, MAX_TIMELINE_ENTRIES, MAX_UNENDED

NOW_TS = 1_800_000_000.0


class Scenario:
    """A fleet of one charge point, and a method for each event. Every event is ten seconds after the one before."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.now_ts = NOW_TS
        self.stopped: list[str] = []
        self.fleet.on_stopped.append(lambda transaction: self.stopped.append(transaction.transaction_id))

    @property
    def cp(self):
        return self.fleet.charge_points["CP1"]

    def connector(self, connector_id="1"):
        return self.cp.connectors[connector_id]

    def apply(self, kind, **fields):
        self.now_ts += 10
        apply(self.fleet, kind(cp_id="CP1", received_ts=self.now_ts, **fields))

    def connect(self):
        self.apply(ev.ChargePointConnected, protocol="ocpp1.6")

    def disconnect(self, *, replaced=False):
        self.apply(ev.ChargePointDisconnected, code=1006, replaced=replaced)

    def boot(self):
        self.apply(ev.ChargePointBooted, vendor="V", model="M")

    def status(self, status, error_code="NoError", connector_id="1"):
        self.apply(ev.ConnectorStatusChanged, connector_id=connector_id, status=status, error_code=error_code)

    def start(self, transaction_id="1", *, connector_id="1", key=None, meter_start_wh=1_000.0, started_ts=None):
        self.apply(
            ev.TransactionStarted,
            connector_id=connector_id,
            transaction_id=transaction_id,
            key=key or f"start {transaction_id}",
            id_token="TAG",
            meter_start_wh=meter_start_wh,
            started_ts=started_ts,
        )

    def stop(self, transaction_id="1", meter_stop_wh=None, **fields):
        fields = {"stopped_ts": None} | fields
        self.apply(ev.TransactionStopped, transaction_id=transaction_id, meter_stop_wh=meter_stop_wh, **fields)

    def values(self, *readings, transaction_id="1", connector_id="1"):
        self.apply(ev.MeterValuesReceived, connector_id=connector_id, transaction_id=transaction_id, readings=readings)


def reading(register_wh=None, charger_ts=None, **figures):
    return ev.Reading(charger_ts=charger_ts, register_wh=register_wh, **figures)


@pytest.fixture
def scenario():
    scenario = Scenario()
    scenario.connect()
    return scenario


def test_a_session_from_start_to_stop(scenario):
    scenario.status("Preparing")
    scenario.start()
    assert scenario.connector().transaction is scenario.cp.transactions["1"]
    scenario.values(reading(1_500.0, current_a=16.0, power_w=3_680.0))
    assert scenario.connector().transaction.meter.energy_wh == 500.0
    assert (scenario.connector().current_a, scenario.connector().power_w) == (16.0, 3_680.0)
    assert scenario.cp.energy_total_wh == 0.0
    scenario.stop(meter_stop_wh=2_000.0)
    assert scenario.cp.energy_total_wh == 1_000.0
    assert (scenario.connector().current_a, scenario.connector().power_w) == (0.0, 0.0)
    assert scenario.connector().transaction is None
    assert scenario.cp.transactions == {}
    assert (scenario.cp.tx_total, scenario.cp.last_tx_ts, scenario.stopped) == (1, scenario.now_ts, ["1"])


def test_a_repeated_start_is_one_transaction(scenario):
    scenario.start()
    scenario.start(key="start 1", transaction_id="1")
    assert (scenario.cp.tx_total, len(scenario.cp.transactions), scenario.fleet.last_number) == (1, 1, 1)


def test_a_start_repeated_after_its_stop_opens_nothing(scenario):
    scenario.start()
    scenario.stop(meter_stop_wh=1_100.0)
    scenario.start()
    assert (scenario.cp.tx_total, scenario.cp.transactions, scenario.connector().transaction) == (1, {}, None)


def test_a_repeated_stop_counts_once(scenario):
    scenario.start()
    for _ in range(3):
        scenario.stop(meter_stop_wh=2_000.0)
    assert (scenario.cp.energy_total_wh, scenario.stopped) == (1_000.0, ["1"])


def test_a_stop_of_an_unknown_id_keeps_the_energy_of_its_own_readings(scenario):
    for _ in range(2):
        scenario.stop("777", 5_700.0, stopped_ts=NOW_TS, readings=(reading(5_000.0, begins=True), reading(5_400.0)))
    assert (scenario.cp.energy_total_wh, scenario.cp.tx_total, scenario.cp.last_tx_ts) == (700.0, 0, NOW_TS + 20)
    assert [row.energy_wh for row in scenario.fleet.changes.readings] == [0.0, 400.0]
    assert scenario.stopped == ["777"]


def test_a_stop_of_an_unknown_id_without_readings_adds_nothing(scenario):
    scenario.stop("777", 5_700.0)
    assert scenario.cp.energy_total_wh == 0.0


@pytest.mark.parametrize("transaction_id", ["0", "-1"])
def test_a_stop_without_an_id_closes_the_only_one_open_once(scenario, transaction_id):
    scenario.start()
    scenario.stop(transaction_id, 1_300.0, id_token="TAG")
    assert (scenario.cp.energy_total_wh, scenario.cp.transactions) == (300.0, {})
    scenario.start("2", meter_start_wh=1_300.0)
    scenario.stop(transaction_id, 1_300.0, id_token="TAG")
    assert "2" in scenario.cp.transactions, "a repeat must not close the next one"


def test_a_stop_without_an_id_from_before_the_open_one_began_is_another(scenario):
    scenario.start()
    scenario.stop("-1", 900.0, stopped_ts=NOW_TS - 7_200)
    assert "1" in scenario.cp.transactions


def test_two_offline_sessions_of_one_id_are_two(scenario):
    for begin_wh in (1_000.0, 2_000.0):
        scenario.stop("-1", begin_wh + 500.0, stopped_ts=begin_wh, readings=(reading(begin_wh),))
    assert scenario.cp.energy_total_wh == 1_000.0


@pytest.mark.parametrize("transaction_id", [None, "0", "-1", "9223372036854775807", "9" * 5_000, "offline-19470"])
def test_meter_values_of_no_known_id_belong_to_the_connectors_transaction(scenario, transaction_id):
    scenario.start()
    scenario.values(reading(1_200.0), transaction_id=transaction_id)
    assert scenario.cp.transactions["1"].meter.energy_wh == 200.0


def test_meter_values_at_connector_0_belong_to_the_transaction_they_name(scenario):
    scenario.start()
    scenario.values(reading(1_200.0), connector_id="0")
    assert scenario.cp.transactions["1"].meter.energy_wh == 200.0


def test_meter_values_after_the_stop_are_kept_but_show_nothing(scenario):
    scenario.start()
    scenario.stop(meter_stop_wh=1_500.0)
    scenario.values(reading(1_600.0, current_a=16.0))
    assert (scenario.connector().current_a, scenario.cp.energy_total_wh) == (0.0, 500.0)
    assert scenario.fleet.changes.readings[-1].transaction_number is None


def test_an_orphan_that_is_stopped_later_adds_only_the_difference(scenario):
    scenario.start()
    scenario.values(reading(1_400.0))
    scenario.stop(reason=ORPHANED)
    assert (scenario.cp.energy_total_wh, scenario.cp.transactions) == (400.0, {})
    for _ in range(2):
        scenario.stop(meter_stop_wh=1_900.0, readings=(reading(1_700.0),))
    assert (scenario.cp.energy_total_wh, scenario.cp.tx_total) == (900.0, 1)
    assert scenario.stopped == ["1", "1"], "its late stop is an end of its own, and a repeat is none"
    scenario.stop(reason=ORPHANED)
    assert scenario.fleet.last_number == 1, "an orphan that is closed already is no transaction of its own"


def test_an_orphan_closed_after_the_next_start_leaves_the_next_ones_figures(scenario):
    scenario.start("1")
    scenario.start("2", meter_start_wh=2_000.0)
    scenario.values(reading(2_100.0, current_a=10.0), transaction_id="2")
    scenario.stop("1", 1_900.0, readings=(reading(1_900.0, current_a=3.0),))
    assert scenario.connector().transaction.transaction_id == "2"
    assert scenario.connector().current_a == 10.0
    assert scenario.cp.energy_total_wh == 900.0


def test_one_outage_counts_once_for_each_open_transaction(scenario):
    scenario.start("1")
    scenario.start("2", connector_id="2")
    scenario.disconnect()
    scenario.connect()
    scenario.boot()
    assert scenario.cp.reconnects_during_tx == 2
    scenario.disconnect()
    scenario.connect()
    assert scenario.cp.reconnects_during_tx == 4


def test_a_reboot_on_the_same_connection_is_an_outage_too(scenario):
    scenario.start("1")
    scenario.boot()
    scenario.boot()
    assert scenario.cp.reconnects_during_tx == 1


def test_a_reboot_during_a_later_transaction_of_the_same_connection_counts(scenario):
    scenario.start("1")
    scenario.disconnect()
    scenario.connect()
    scenario.stop("1", 1_100.0)
    scenario.start("2")
    scenario.boot()
    assert scenario.cp.reconnects_during_tx == 2


def test_coming_back_without_a_transaction_is_no_outage(scenario):
    scenario.disconnect()
    scenario.connect()
    scenario.boot()
    assert (scenario.cp.reconnects_during_tx, scenario.cp.disconnects, scenario.cp.boots) == (0, 1, 1)


def test_the_old_connections_end_leaves_the_new_one_connected(scenario):
    scenario.connect()
    scenario.disconnect(replaced=True)
    assert (scenario.cp.connected, scenario.cp.disconnects) == (True, 1)
    scenario.disconnect()
    scenario.disconnect(replaced=True)
    assert not scenario.cp.connected


def test_replayed_readings_move_no_figures_of_now(scenario):
    scenario.start(started_ts=NOW_TS)
    scenario.values(reading(1_500.0, NOW_TS + 7_200, current_a=16.0))
    scenario.now_ts += 7_200
    scenario.values(reading(1_600.0, scenario.now_ts, current_a=20.0))
    scenario.values(reading(1_300.0, NOW_TS + 60, current_a=6.0))
    assert scenario.connector().current_a == 20.0
    assert scenario.cp.transactions["1"].meter.energy_wh == 600.0


def test_samples_of_the_beginning_come_late_and_change_nothing(scenario):
    scenario.start()
    scenario.values(reading(1_500.0, current_a=16.0))
    scenario.values(reading(1_000.0, current_a=0.0, begins=True))
    assert scenario.connector().current_a == 16.0
    assert scenario.cp.transactions["1"].meter.energy_wh == 500.0


@pytest.mark.parametrize("odd_ts", [10.0, NOW_TS + 1e9], ids=["1970", "far ahead"])
def test_a_clock_that_is_off_for_once_does_not_freeze_the_figures(scenario, odd_ts):
    scenario.start()
    scenario.values(reading(1_100.0, NOW_TS + 20, current_a=1.0))
    scenario.values(reading(1_200.0, odd_ts, current_a=2.0))
    assert (scenario.cp.transactions["1"].meter.energy_wh, scenario.connector().current_a) == (200.0, 2.0)
    scenario.values(reading(1_300.0, NOW_TS + 40, current_a=3.0))
    assert (scenario.cp.transactions["1"].meter.energy_wh, scenario.connector().current_a) == (300.0, 3.0)


def test_a_jump_is_counted(scenario):
    scenario.start()
    scenario.values(reading(1_100.0))
    scenario.values(reading(12_000.0))
    assert scenario.cp.energy_jumps == 1


def test_errors_are_counted_by_code_and_bounded(scenario):
    scenario.status("Faulted", "GroundFailure")
    for number in range(100):
        scenario.status("Faulted", f"Vendor{number}")
    assert scenario.cp.errors["GroundFailure"] == 1
    assert len(scenario.cp.errors) == 22
    assert sum(scenario.cp.errors.values()) == 101


def test_connectors_are_bounded(scenario):
    for number in range(1634030126, 1634030126 + 200):
        scenario.status("Available", connector_id=str(number))
    assert len(scenario.cp.connectors) == MAX_CONNECTORS + 1
    assert "other" in scenario.cp.connectors
    assert scenario.cp.limits_exceeded == {"connectors": 200 - MAX_CONNECTORS}


def _begin_in_2x(scenario, number, connector_id="1", seq_no=0):
    """Begin a transaction whose first message is no start, and which never ends."""
    scenario.apply(
        ev.TransactionEventReceived,
        connector_id=connector_id,
        transaction_id=f"T{number}",
        charging_state="Charging",
        ref=ev.EventRef(seq_no, scenario.now_ts + 10, False),
    )


def test_open_transactions_are_bounded_and_the_oldest_is_closed(scenario):
    scenario.start("kept", connector_id="2")
    for number in range(1_000):
        _begin_in_2x(scenario, number)
    assert len(scenario.cp.transactions) == 2 + MAX_UNENDED
    assert scenario.stopped[:2] == ["T0", "T1"]
    assert scenario.connector().transaction.transaction_id == "T999"
    assert scenario.connector("2").transaction is scenario.cp.transactions["kept"]
    assert scenario.cp.limits_exceeded == {"transactions": 1_001 - 2 - MAX_UNENDED}


def test_a_transaction_closed_as_one_too_many_is_corrected_by_its_end(scenario):
    for number in range(1_000):
        _begin_in_2x(scenario, number)
    about = {"cp_id": "CP1", "received_ts": scenario.now_ts + 10, "transaction_id": "T0", "connector_id": "1"}
    readings = (reading(100.0), reading(500.0))
    stopped = ev.TransactionStopped(**about, meter_stop_wh=500.0, stopped_ts=scenario.now_ts, readings=readings)
    ref = ev.EventRef(1, scenario.now_ts, False)
    apply(scenario.fleet, ev.TransactionEventReceived(**about, ref=ref, stopped=stopped))
    assert scenario.cp.energy_total_wh == 400.0
    assert scenario.cp.tx_total == 1_000


def test_a_transaction_that_is_opened_again_is_no_exception(scenario):
    _begin_in_2x(scenario, 0, connector_id="2")
    scenario.apply(
        ev.TransactionStopped, transaction_id="T0", meter_stop_wh=None, stopped_ts=None, reason=ORPHANED, readings=()
    )
    for number in range(1, 100):
        _begin_in_2x(scenario, number)
    assert len(scenario.cp.transactions) == 2 + MAX_UNENDED
    _begin_in_2x(scenario, 0, connector_id="2", seq_no=1)
    assert scenario.connector("2").transaction is scenario.cp.transactions["T0"]
    assert len(scenario.cp.transactions) == 2 + MAX_UNENDED


def test_open_transactions_are_bounded_where_every_connector_is_busy(scenario):
    for number in range(1_000):
        _begin_in_2x(scenario, number, connector_id=str(number))
    assert len(scenario.cp.transactions) == MAX_CONNECTORS + 1 + MAX_UNENDED
    assert all(connector.transaction.open for connector in scenario.cp.connectors.values())


def test_reasons_of_failed_commands_are_bounded(scenario):
    for number in range(50):
        scenario.apply(ev.CommandFailed, action="Reset", error_type=f"Made{number}", duration_s=1.0)
    scenario.apply(ev.CommandFailed, action="Reset", error_type="Timeout", duration_s=1.0)
    assert scenario.cp.call_errors == {("Reset", "other"): 50, ("Reset", "Timeout"): 1}


def test_a_closed_transaction_that_was_just_asked_for_is_not_the_next_to_be_forgotten(scenario, monkeypatch):
    """Messages of other charge points are applied between `recall` and the use of the transaction."""
    monkeypatch.setattr(fleet, "RECALLED_LIMIT", 2)
    for number in ("1", "2"):
        scenario.start(number)
        scenario.stop(number)
    assert scenario.fleet.find_start("CP1", "start 1") is not None
    scenario.start("3")
    scenario.stop("3")
    assert scenario.fleet.find_start("CP1", "start 1") is not None
    assert not scenario.fleet.knows_transaction("CP1", "2")


def test_what_many_open_transactions_lived_through_together_is_kept_once(scenario):
    for number in range(5):
        _begin_in_2x(scenario, number)
    scenario.disconnect()
    assert len({id(transaction.timeline[-1]) for transaction in scenario.cp.transactions.values()}) == 1


def test_a_session_told_a_thousand_times_stays_bounded(scenario):
    scenario.start()
    for number in range(1_000):
        scenario.status("Charging" if number % 2 else "SuspendedEV")
    assert len(scenario.cp.transactions["1"].timeline) == MAX_TIMELINE_ENTRIES


def test_the_same_status_again_opens_no_new_phase(scenario):
    scenario.status("Finishing")
    scenario.start()
    for status in ("Preparing", "Charging", "Charging", "SuspendedEV", "Charging"):
        scenario.status(status)
    assert [entry.name for entry in scenario.cp.transactions["1"].timeline] == [
        "preparing",
        "charging",
        "suspended by EV",
        "charging",
    ]


def test_an_error_without_a_status_leaves_the_status(scenario):
    scenario.status("Charging")
    scenario.status("", "WeakSignal")
    assert (scenario.cp.status, scenario.cp.errors) == ("Charging", {"WeakSignal": 1})


def profile(profile_id, purpose="TxDefaultProfile", stack_level=0):
    return {"chargingProfileId": profile_id, "chargingProfilePurpose": purpose, "stackLevel": stack_level}


def ids(connector):
    return [profile["chargingProfileId"] for profile in connector.profiles]


def test_a_profile_replaces_its_equal(scenario):
    for connector_id, sent in (("1", profile(1)), ("1", profile(2)), ("1", profile(3, stack_level=1))):
        scenario.apply(ev.ChargingProfileSet, connector_id=connector_id, profile=sent)
    assert ids(scenario.connector()) == [2, 3]
    scenario.apply(ev.ChargingProfileSet, connector_id="2", profile=profile(3))
    assert (ids(scenario.connector("1")), ids(scenario.connector("2"))) == ([2], [3])


@pytest.mark.parametrize(
    ("criteria", "left"),
    [
        ({}, []),
        ({"profile_id": 2}, [1, 3]),
        ({"purpose": "TxProfile"}, [1, 2]),
        ({"stack_level": 5}, [1, 3]),
        ({"purpose": "TxDefaultProfile", "stack_level": 5}, [1, 3]),
        ({"connector_id": "2"}, [1, 2, 3]),
    ],
)
def test_profiles_are_cleared_by_what_is_asked(scenario, criteria, left):
    for sent in (profile(1), profile(2, stack_level=5), profile(3, "TxProfile")):
        scenario.apply(ev.ChargingProfileSet, connector_id="1", profile=sent)
    scenario.apply(ev.ChargingProfilesCleared, **criteria)
    assert ids(scenario.connector()) == left


def test_a_tx_profile_ends_with_its_transaction(scenario):
    scenario.start()
    for sent in (profile(1), profile(2, "TxProfile")):
        scenario.apply(ev.ChargingProfileSet, connector_id="1", profile=sent)
    scenario.stop(meter_stop_wh=1_000.0)
    assert ids(scenario.connector()) == [1]


def test_a_decommissioned_charge_point_stays_gone(scenario):
    scenario.status("Available")
    cp = scenario.cp
    scenario.apply(ev.ChargePointDecommissioned)
    scenario.disconnect()
    scenario.fleet.seen(cp, scenario.now_ts)
    changes = scenario.fleet.changes
    assert scenario.fleet.charge_points == {}
    assert not changes.charge_points
    assert not changes.stale_charge_points
    assert not changes.connectors
    assert changes.decommissioned == ["CP1"]


def test_energy_booked_too_much_is_set_off_against_later_bookings(scenario):
    scenario.boot()
    cp = scenario.cp
    totals = []
    for energy_wh in (500.0, -200.0, 150.0, 100.0):
        cp.book_energy(energy_wh)
        totals.append((cp.energy_total_wh, cp.energy_overbooked_wh))
    assert totals == [(500.0, 0.0), (500.0, 200.0), (500.0, 50.0), (550.0, 0.0)]


def test_a_status_that_is_reported_again_began_when_it_was_first_reported(scenario):
    """Chargers report it again after a boot, and some report a standing fault every few minutes."""
    scenario.status("Faulted", "GroundFailure")
    began_ts = scenario.now_ts
    scenario.status("Faulted", "GroundFailure")
    assert scenario.connector().status_ts == began_ts
    scenario.status("Available")
    assert scenario.connector().status_ts == scenario.now_ts
