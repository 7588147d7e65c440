"""Transactions through their whole life, and everything else a fleet remembers, at the level of events."""

import pytest

from wattspan.domain import events as ev
from wattspan.domain import fleet
from wattspan.domain.apply import apply
from wattspan.domain.fleet import ORPHANED, Fleet
from wattspan.domain.model import MAX_CONNECTORS, MAX_TIMELINE_ENTRIES, MAX_UNENDED

NOW_TS = 1_800_000_000.0


class Story:
    """A fleet of one charge point, and short words for what happens to it. Time moves on ten seconds a word."""

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

    def tell(self, kind, **fields):
        self.now_ts += 10
        apply(self.fleet, kind(cp_id="CP1", received_ts=self.now_ts, **fields))

    def connect(self):
        self.tell(ev.ChargePointConnected, protocol="ocpp1.6")

    def disconnect(self, *, replaced=False):
        self.tell(ev.ChargePointDisconnected, code=1006, replaced=replaced)

    def boot(self):
        self.tell(ev.ChargePointBooted, vendor="V", model="M")

    def status(self, status, error_code="NoError", connector_id="1"):
        self.tell(ev.ConnectorStatusChanged, connector_id=connector_id, status=status, error_code=error_code)

    def start(self, transaction_id="1", *, connector_id="1", key=None, meter_start_wh=1_000.0, started_ts=None):
        self.tell(
            ev.TransactionStarted,
            connector_id=connector_id,
            transaction_id=transaction_id,
            key=key or f"start {transaction_id}",
            id_token="TAG",
            meter_start_wh=meter_start_wh,
            started_ts=started_ts,
        )

    def stop(self, transaction_id="1", meter_stop_wh=None, **fields):
        told = {"stopped_ts": None} | fields
        self.tell(ev.TransactionStopped, transaction_id=transaction_id, meter_stop_wh=meter_stop_wh, **told)

    def values(self, *readings, transaction_id="1", connector_id="1"):
        self.tell(ev.MeterValuesReceived, connector_id=connector_id, transaction_id=transaction_id, readings=readings)


def reading(register_wh=None, charger_ts=None, **figures):
    return ev.Reading(charger_ts=charger_ts, register_wh=register_wh, **figures)


@pytest.fixture
def story():
    story = Story()
    story.connect()
    return story


def test_a_session_from_start_to_stop(story):
    story.status("Preparing")
    story.start()
    assert story.connector().transaction is story.cp.transactions["1"]
    story.values(reading(1_500.0, current_a=16.0, power_w=3_680.0))
    assert story.connector().transaction.meter.energy_wh == 500.0
    assert (story.connector().current_a, story.connector().power_w) == (16.0, 3_680.0)
    assert story.cp.energy_total_wh == 0.0
    story.stop(meter_stop_wh=2_000.0)
    assert story.cp.energy_total_wh == 1_000.0
    assert (story.connector().current_a, story.connector().power_w) == (0.0, 0.0)
    assert story.connector().transaction is None
    assert story.cp.transactions == {}
    assert (story.cp.tx_total, story.cp.last_tx_ts, story.stopped) == (1, story.now_ts, ["1"])


def test_a_repeated_start_is_one_transaction(story):
    story.start()
    story.start(key="start 1", transaction_id="1")
    assert (story.cp.tx_total, len(story.cp.transactions), story.fleet.last_number) == (1, 1, 1)


def test_a_start_repeated_after_its_stop_opens_nothing(story):
    story.start()
    story.stop(meter_stop_wh=1_100.0)
    story.start()
    assert (story.cp.tx_total, story.cp.transactions, story.connector().transaction) == (1, {}, None)


def test_a_repeated_stop_counts_once(story):
    story.start()
    for _ in range(3):
        story.stop(meter_stop_wh=2_000.0)
    assert (story.cp.energy_total_wh, story.stopped) == (1_000.0, ["1"])


def test_a_stop_of_an_unknown_id_keeps_the_energy_of_its_own_readings(story):
    for _ in range(2):
        story.stop("777", 5_700.0, stopped_ts=NOW_TS, readings=(reading(5_000.0, begins=True), reading(5_400.0)))
    assert (story.cp.energy_total_wh, story.cp.tx_total, story.cp.last_tx_ts) == (700.0, 0, NOW_TS + 20)
    assert [row.energy_wh for row in story.fleet.changes.readings] == [0.0, 400.0]
    assert story.stopped == ["777"]


def test_a_stop_of_an_unknown_id_without_readings_adds_nothing(story):
    story.stop("777", 5_700.0)
    assert story.cp.energy_total_wh == 0.0


@pytest.mark.parametrize("transaction_id", ["0", "-1"])
def test_a_stop_without_an_id_closes_the_only_one_open_once(story, transaction_id):
    story.start()
    story.stop(transaction_id, 1_300.0, id_token="TAG")
    assert (story.cp.energy_total_wh, story.cp.transactions) == (300.0, {})
    story.start("2", meter_start_wh=1_300.0)
    story.stop(transaction_id, 1_300.0, id_token="TAG")
    assert "2" in story.cp.transactions, "a repeat must not close the next one"


def test_a_stop_without_an_id_from_before_the_open_one_began_is_another(story):
    story.start()
    story.stop("-1", 900.0, stopped_ts=NOW_TS - 7_200)
    assert "1" in story.cp.transactions


def test_two_offline_sessions_of_one_id_are_two(story):
    for begin_wh in (1_000.0, 2_000.0):
        story.stop("-1", begin_wh + 500.0, stopped_ts=begin_wh, readings=(reading(begin_wh),))
    assert story.cp.energy_total_wh == 1_000.0


@pytest.mark.parametrize("transaction_id", [None, "0", "-1", "9223372036854775807", "9" * 5_000, "offline-19470"])
def test_meter_values_of_no_known_id_belong_to_the_connectors_transaction(story, transaction_id):
    story.start()
    story.values(reading(1_200.0), transaction_id=transaction_id)
    assert story.cp.transactions["1"].meter.energy_wh == 200.0


def test_meter_values_at_connector_0_belong_to_the_transaction_they_name(story):
    story.start()
    story.values(reading(1_200.0), connector_id="0")
    assert story.cp.transactions["1"].meter.energy_wh == 200.0


def test_meter_values_after_the_stop_are_kept_but_show_nothing(story):
    story.start()
    story.stop(meter_stop_wh=1_500.0)
    story.values(reading(1_600.0, current_a=16.0))
    assert (story.connector().current_a, story.cp.energy_total_wh) == (0.0, 500.0)
    assert story.fleet.changes.readings[-1].transaction_number is None


def test_an_orphan_that_is_stopped_later_adds_only_the_difference(story):
    story.start()
    story.values(reading(1_400.0))
    story.stop(reason=ORPHANED)
    assert (story.cp.energy_total_wh, story.cp.transactions) == (400.0, {})
    for _ in range(2):
        story.stop(meter_stop_wh=1_900.0, readings=(reading(1_700.0),))
    assert (story.cp.energy_total_wh, story.stopped) == (900.0, ["1"])
    story.stop(reason=ORPHANED)
    assert story.fleet.last_number == 1, "an orphan that is closed already is no transaction of its own"


def test_an_orphan_closed_after_the_next_start_leaves_the_next_ones_figures(story):
    story.start("1")
    story.start("2", meter_start_wh=2_000.0)
    story.values(reading(2_100.0, current_a=10.0), transaction_id="2")
    story.stop("1", 1_900.0, readings=(reading(1_900.0, current_a=3.0),))
    assert story.connector().transaction.transaction_id == "2"
    assert story.connector().current_a == 10.0
    assert story.cp.energy_total_wh == 900.0


def test_one_outage_counts_once_for_each_open_transaction(story):
    story.start("1")
    story.start("2", connector_id="2")
    story.disconnect()
    story.connect()
    story.boot()
    assert story.cp.reconnects_during_tx == 2
    story.disconnect()
    story.connect()
    assert story.cp.reconnects_during_tx == 4


def test_a_reboot_on_the_same_connection_is_an_outage_too(story):
    story.start("1")
    story.boot()
    story.boot()
    assert story.cp.reconnects_during_tx == 1


def test_a_reboot_during_a_later_transaction_of_the_same_connection_counts(story):
    story.start("1")
    story.disconnect()
    story.connect()
    story.stop("1", 1_100.0)
    story.start("2")
    story.boot()
    assert story.cp.reconnects_during_tx == 2


def test_coming_back_without_a_transaction_is_no_outage(story):
    story.disconnect()
    story.connect()
    story.boot()
    assert (story.cp.reconnects_during_tx, story.cp.disconnects, story.cp.boots) == (0, 1, 1)


def test_the_old_connections_end_leaves_the_new_one_connected(story):
    story.connect()
    story.disconnect(replaced=True)
    assert (story.cp.connected, story.cp.disconnects) == (True, 1)
    story.disconnect()
    story.disconnect(replaced=True)
    assert not story.cp.connected


def test_replayed_readings_move_no_figures_of_now(story):
    story.start(started_ts=NOW_TS)
    story.values(reading(1_500.0, NOW_TS + 7_200, current_a=16.0))
    story.now_ts += 7_200
    story.values(reading(1_600.0, story.now_ts, current_a=20.0))
    story.values(reading(1_300.0, NOW_TS + 60, current_a=6.0))
    assert story.connector().current_a == 20.0
    assert story.cp.transactions["1"].meter.energy_wh == 600.0


def test_samples_of_the_beginning_come_late_and_change_nothing(story):
    story.start()
    story.values(reading(1_500.0, current_a=16.0))
    story.values(reading(1_000.0, current_a=0.0, begins=True))
    assert story.connector().current_a == 16.0
    assert story.cp.transactions["1"].meter.energy_wh == 500.0


@pytest.mark.parametrize("odd_ts", [10.0, NOW_TS + 1e9], ids=["1970", "far ahead"])
def test_a_clock_that_is_off_for_once_does_not_freeze_the_figures(story, odd_ts):
    story.start()
    story.values(reading(1_100.0, NOW_TS + 20, current_a=1.0))
    story.values(reading(1_200.0, odd_ts, current_a=2.0))
    assert (story.cp.transactions["1"].meter.energy_wh, story.connector().current_a) == (200.0, 2.0)
    story.values(reading(1_300.0, NOW_TS + 40, current_a=3.0))
    assert (story.cp.transactions["1"].meter.energy_wh, story.connector().current_a) == (300.0, 3.0)


def test_a_jump_is_counted(story):
    story.start()
    story.values(reading(1_100.0))
    story.values(reading(12_000.0))
    assert story.cp.energy_jumps == 1


def test_errors_are_counted_by_code_and_bounded(story):
    story.status("Faulted", "GroundFailure")
    for number in range(100):
        story.status("Faulted", f"Vendor{number}")
    assert story.cp.errors["GroundFailure"] == 1
    assert len(story.cp.errors) == 22
    assert sum(story.cp.errors.values()) == 101


def test_connectors_are_bounded(story):
    for number in range(1634030126, 1634030126 + 200):
        story.status("Available", connector_id=str(number))
    assert len(story.cp.connectors) == MAX_CONNECTORS + 1
    assert "other" in story.cp.connectors
    assert story.cp.limits_exceeded == {"connectors": 200 - MAX_CONNECTORS}


def _begin_in_2x(story, number, connector_id="1"):
    """A transaction whose first word is no start, and whose end never comes."""
    story.tell(
        ev.ChargingStateChanged,
        connector_id=connector_id,
        transaction_id=f"T{number}",
        state="Charging",
        ref=ev.EventRef(0, story.now_ts + 10, False),
    )


def test_open_transactions_are_bounded_and_the_oldest_is_closed(story):
    story.start("kept", connector_id="2")
    for number in range(1_000):
        _begin_in_2x(story, number)
    assert len(story.cp.transactions) == 2 + MAX_UNENDED
    assert story.stopped[:2] == ["T0", "T1"]
    assert story.connector().transaction.transaction_id == "T999"
    assert story.connector("2").transaction is story.cp.transactions["kept"]
    assert story.cp.limits_exceeded == {"transactions": 1_001 - 2 - MAX_UNENDED}


def test_a_transaction_closed_as_one_too_many_is_corrected_by_its_end(story):
    for number in range(1_000):
        _begin_in_2x(story, number)
    ended = ev.EventRef(1, story.now_ts, False)
    story.stop("T0", 500.0, stopped_ts=story.now_ts, ref=ended, readings=(reading(100.0), reading(500.0)))
    assert story.cp.energy_total_wh == 400.0
    assert story.cp.tx_total == 1_000


def test_open_transactions_are_bounded_where_every_connector_is_busy(story):
    for number in range(1_000):
        _begin_in_2x(story, number, connector_id=str(number))
    assert len(story.cp.transactions) == MAX_CONNECTORS + 1 + MAX_UNENDED
    assert all(connector.transaction.open for connector in story.cp.connectors.values())


def test_reasons_of_failed_commands_are_bounded(story):
    for number in range(50):
        story.tell(ev.CommandFailed, action="Reset", error_type=f"Made{number}", duration_s=1.0)
    story.tell(ev.CommandFailed, action="Reset", error_type="Timeout", duration_s=1.0)
    assert story.cp.call_errors == {("Reset", "other"): 50, ("Reset", "Timeout"): 1}


def test_a_closed_transaction_that_was_just_asked_for_is_not_the_next_to_be_forgotten(story, monkeypatch):
    """Between `recall` and what comes of it the message is judged, and other charge points go on."""
    monkeypatch.setattr(fleet, "RECALLED_LIMIT", 2)
    for number in ("1", "2"):
        story.start(number)
        story.stop(number)
    assert story.fleet.find_start("CP1", "start 1") is not None
    story.start("3")
    story.stop("3")
    assert story.fleet.find_start("CP1", "start 1") is not None
    assert not story.fleet.knows_transaction("CP1", "2")


def test_what_many_open_transactions_lived_through_together_is_kept_once(story):
    for number in range(5):
        _begin_in_2x(story, number)
    story.disconnect()
    assert len({id(transaction.timeline[-1]) for transaction in story.cp.transactions.values()}) == 1


def test_a_session_told_a_thousand_times_stays_bounded(story):
    story.start()
    for number in range(1_000):
        story.status("Charging" if number % 2 else "SuspendedEV")
    assert len(story.cp.transactions["1"].timeline) == MAX_TIMELINE_ENTRIES


def test_the_same_status_again_opens_no_new_phase(story):
    story.status("Finishing")
    story.start()
    for status in ("Preparing", "Charging", "Charging", "SuspendedEV", "Charging"):
        story.status(status)
    assert [moment.name for moment in story.cp.transactions["1"].timeline] == [
        "preparing",
        "charging",
        "suspended by EV",
        "charging",
    ]


def test_an_error_without_a_status_leaves_the_status(story):
    story.status("Charging")
    story.status("", "WeakSignal")
    assert (story.cp.status, story.cp.errors) == ("Charging", {"WeakSignal": 1})


def profile(profile_id, purpose="TxDefaultProfile", stack_level=0):
    return {"chargingProfileId": profile_id, "chargingProfilePurpose": purpose, "stackLevel": stack_level}


def ids(connector):
    return [profile["chargingProfileId"] for profile in connector.profiles]


def test_a_profile_replaces_its_equal(story):
    for connector_id, told in (("1", profile(1)), ("1", profile(2)), ("1", profile(3, stack_level=1))):
        story.tell(ev.ChargingProfileSet, connector_id=connector_id, profile=told)
    assert ids(story.connector()) == [2, 3]
    story.tell(ev.ChargingProfileSet, connector_id="2", profile=profile(3))
    assert (ids(story.connector("1")), ids(story.connector("2"))) == ([2], [3])


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
def test_profiles_are_cleared_by_what_is_asked(story, criteria, left):
    for told in (profile(1), profile(2, stack_level=5), profile(3, "TxProfile")):
        story.tell(ev.ChargingProfileSet, connector_id="1", profile=told)
    story.tell(ev.ChargingProfilesCleared, **criteria)
    assert ids(story.connector()) == left


def test_a_tx_profile_ends_with_its_transaction(story):
    story.start()
    for told in (profile(1), profile(2, "TxProfile")):
        story.tell(ev.ChargingProfileSet, connector_id="1", profile=told)
    story.stop(meter_stop_wh=1_000.0)
    assert ids(story.connector()) == [1]


def test_a_decommissioned_charge_point_stays_gone(story):
    story.status("Available")
    cp = story.cp
    story.tell(ev.ChargePointDecommissioned)
    story.disconnect()
    story.fleet.seen(cp, story.now_ts)
    changes = story.fleet.changes
    assert story.fleet.charge_points == {}
    assert not changes.charge_points
    assert not changes.stale_charge_points
    assert not changes.connectors
    assert changes.decommissioned == ["CP1"]
