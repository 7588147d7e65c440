from hashlib import blake2b

import pytest

from support.fleet_events import NOW, connected, metered, started, stopped
from wattspan.domain.apply import apply
from wattspan.domain.events import MeterValuesReceived, Reading
from wattspan.domain.fleet import Fleet
from wattspan.domain.repeats import LastMeterValues, digest_of


def stored(*events) -> int:
    """Return how many readings go to the store."""
    fleet = Fleet()
    for event in (connected(), started(), *events):
        apply(fleet, event)
    return len(fleet.changes.readings)


def of(*readings: Reading) -> MeterValuesReceived:
    return MeterValuesReceived(
        cp_id="CP1", received_ts=NOW, connector_id="1", transaction_id="1", readings=tuple(readings)
    )


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_digest_is_that_of_the_whole_message(count):
    """Digests that earlier releases stored must still match."""
    message = [(NOW + n, [{"value": f"{n}\ud800", "unit": "Wh"}, 1]) for n in range(count)]
    content = [(ts, [sorted(samples[0].items()), 1]) for ts, samples in message]
    assert digest_of(message) == blake2b(repr(content).encode(errors="replace"), digest_size=16).hexdigest()


def test_meter_values_that_come_again_are_stored_once():
    assert stored(metered(1500.0, NOW, charger_ts=NOW), metered(1500.0, NOW + 9, charger_ts=NOW)) == 1


def test_the_same_values_of_another_moment_are_another_measurement():
    assert stored(metered(1500.0, NOW), metered(1500.0, NOW + 1)) == 2


def test_without_the_chargers_time_equal_values_are_two_measurements():
    again = metered(1500.0, NOW, charger_ts=None)
    assert stored(again, again) == 2


def test_two_messages_of_one_moment_that_measure_different_things_are_both_kept():
    volts = Reading(charger_ts=NOW, samples=[{"measurand": "Voltage", "value": "230"}])
    hertz = Reading(charger_ts=NOW, samples=[{"measurand": "Frequency", "value": "50"}])
    assert stored(of(volts), of(hertz)) == 2


def test_a_message_of_several_moments_is_repeated_as_a_whole():
    first, second = (Reading(charger_ts=NOW + n, samples=[{"value": str(n)}]) for n in (1, 2))
    assert stored(of(first, second), of(first, second)) == 2
    assert stored(of(first), of(first, second)) == 3


def test_another_transaction_measures_anew_even_the_same():
    same = {"charger_ts": NOW}
    after = (stopped(meter_stop_wh=1500.0), started(transaction_id="2"))
    assert stored(metered(1500.0, NOW, **same), *after, metered(1500.0, NOW, transaction_id="2", **same)) == 2


def test_a_repeat_is_recognised_by_its_digest_when_the_values_are_gone():
    sample = {"value": "1", "measurand": "Voltage"}
    turned = dict(reversed(sample.items()))
    before = LastMeterValues.of((Reading(charger_ts=NOW, samples=[sample]),))
    after = LastMeterValues(before.digest)
    assert after.equals((Reading(charger_ts=NOW, samples=[turned]),))
    assert not after.equals((Reading(charger_ts=NOW + 1, samples=[turned]),))
    assert not LastMeterValues().equals((Reading(charger_ts=NOW),))
