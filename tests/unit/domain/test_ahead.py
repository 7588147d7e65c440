"""The effect of a large message is the same, computed ahead or at once."""

from dataclasses import replace

import pytest

from support.fleet_events import NOW, connected, metered, started, stopped
from wattspan.domain import effect
from wattspan.domain import events as ev
from wattspan.domain.ahead import Ahead
from wattspan.domain.apply import apply
from wattspan.domain.fleet import Fleet

RESET = [1_100.0, 1_400.0, 2.0, 300.0, 290.0, 900.0]


def readings(at: float = NOW) -> tuple[ev.Reading, ...]:
    """Return readings of a register that is reset, the last one replayed."""
    found = [metered(wh, at + 60 * n).readings[0] for n, wh in enumerate(RESET)]
    return (*found, found[1])


def event(kind: str, transaction_id: str, seq_no: int | None = 2, at: float = NOW) -> ev.Event:
    """Return an event with the readings of `readings`."""
    where = {"cp_id": "CP1", "received_ts": at + 600, "transaction_id": transaction_id}
    if kind == "MeterValues":
        return ev.MeterValuesReceived(**where, connector_id="1", readings=readings(at))
    stop = replace(stopped(transaction_id=transaction_id, at=at + 600), readings=readings(at), meter_stop_wh=None)
    if kind == "StopTransaction":
        return stop
    ref, is_end = ev.EventRef(seq_no, at + 600, offline=False), kind == "Ended"
    return ev.TransactionEventReceived(
        **where,
        connector_id="1",
        ref=ref,
        readings=() if is_end else readings(at),
        charging_state="",
        stopped=replace(stop, connector_id="1", ref=ref) if is_end else None,
    )


def fleet_before() -> Fleet:
    """Return a fleet with an open transaction of 1.6 and one of 2.x."""
    fleet = Fleet()
    for each in (connected(), started(), metered(1_050.0, NOW), event("Updated", "T1", 1)):
        apply(fleet, each)
    fleet.changes.readings.clear()
    return fleet


def everything(fleet: Fleet) -> object:
    """Return the state and the rows, without transaction numbers, of which one computed ahead reserves its own."""
    (cp,) = fleet.charge_points.values()
    plain = effect.state_of(cp)
    closed = [(tx.key, tx.meter.energy_wh, tx.stopped_ts, tx.reason) for tx in fleet._recalled.values()]
    rows = [row._replace(transaction_number=None) for row in fleet.changes.readings]
    digests = [each.last_meter_values.digest for each in cp.connectors.values()]
    return plain, closed, rows, digests, cp.energy_total_wh, cp.energy_jumps, cp.tx_total, cp.energy_corrections


EVENTS = [
    ("MeterValues", "1", None),
    ("StopTransaction", "1", None),
    ("StopTransaction", "77", None),
    ("Updated", "T1", 2),
    ("Updated", "T1", 1),
    ("Updated", "T1", None),
    ("Ended", "T1", 2),
    ("Ended", "T2", 0),
]


@pytest.mark.parametrize(("kind", "transaction_id", "seq_no"), EVENTS)
@pytest.mark.parametrize("at", [NOW, NOW + 3_600])
def test_an_effect_computed_ahead_is_that_of_the_event(kind, transaction_id, seq_no, at):
    sent = event(kind, transaction_id, seq_no, at)
    at_once, fleet = fleet_before(), fleet_before()
    apply(at_once, sent)
    ahead = Ahead(fleet, sent)
    before = everything(fleet)
    ahead.compute()
    assert everything(fleet) == before
    assert ahead.is_current()
    ahead.apply(fleet)
    assert everything(fleet) == everything(at_once)
    assert fleet.effect is None


@pytest.mark.parametrize(("kind", "transaction_id", "seq_no"), EVENTS)
def test_what_changed_meanwhile_makes_the_readings_be_measured_again(kind, transaction_id, seq_no):
    sent = event(kind, transaction_id, seq_no)
    between = [metered(1_060.0, NOW + 1), stopped(at=NOW + 2), event("Ended", "T1", 9), started(transaction_id="5")]
    at_once, fleet = fleet_before(), fleet_before()
    ahead = Ahead(fleet, sent)
    at_once.last_number += 1  # as `Ahead` reserves a number
    ahead.compute()
    for each in between:
        apply(fleet, each)
        apply(at_once, each)
    assert not ahead.is_current()
    ahead.apply(fleet)
    apply(at_once, sent)
    assert everything(fleet) == everything(at_once)


def test_a_transaction_that_begins_meanwhile_has_a_number_of_its_own():
    fleet = fleet_before()
    ahead = Ahead(fleet, event("Ended", "T2", 0))
    ahead.compute()
    apply(fleet, started(transaction_id="5", connector_id="2"))
    ahead.apply(fleet)
    transactions = {id(each): each for each in fleet.changes.transactions.values()}
    assert len({each.number for each in transactions.values()}) == len(transactions) == 4


def test_taking_the_effect_over_reads_no_register(monkeypatch):
    fleet = fleet_before()
    ahead = Ahead(fleet, event("StopTransaction", "1"))
    ahead.compute()
    monkeypatch.setattr("wattspan.domain.energy.EnergyMeter.read", None)
    ahead.apply(fleet)
    assert len(fleet.changes.readings) == len(readings())
