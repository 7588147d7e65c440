"""The demo's past: the simulated fleet's own cars, whose sessions go on in the simulator."""

from itertools import pairwise

import pytest

from wattspan.cli.demo import ARRIVALS, FAULTED_S, FAULTS
from wattspan.cli.demo_past import LENGTH_S, STEP_S, Past, PastChargePoint
from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.domain.fleet import Fleet

UNTIL_TS = 1_800_000_030.5
VERSIONS = ("1.6", "2.0.1", "2.1")


def past_of(*charge_points: PastChargePoint) -> Past:
    return Past(
        charge_points, UNTIL_TS, arrivals=ARRIVALS, faults=FAULTS, id_tags=("TAG-1", "TAG-2"), reading_interval_s=300.0
    )


def played(past: Past) -> tuple[list[ev.Event], Fleet]:
    """Return all events, and the fleet after them."""
    fleet, events = Fleet(), []
    for _, step in past.steps():
        for event in step:
            apply(fleet, event)
            events.append(event)
    return events, fleet


@pytest.fixture(scope="module")
def usual() -> tuple[Past, list[ev.Event], Fleet]:
    past = past_of(*(PastChargePoint(cp_id=f"CP{i}", version=VERSIONS[i % 3]) for i in range(9)))
    return past, *played(past)


def test_events_are_in_order_and_fill_the_time(usual: tuple[Past, list[ev.Event], Fleet]) -> None:
    _, events, _ = usual
    times = [event.received_ts for event in events]
    assert all(before <= after for before, after in pairwise(times))
    assert UNTIL_TS - LENGTH_S - STEP_S <= times[0] < times[-1] <= UNTIL_TS


def test_sessions_under_way_are_open_with_the_energy_of_the_simulated_meter(
    usual: tuple[Past, list[ev.Event], Fleet],
) -> None:
    past, _, fleet = usual
    under_way = 0
    for cp_id, connectors in past.initial_states.items():
        cp = fleet.charge_points[cp_id]
        assert len(cp.transactions) == sum(each.session is not None for each in connectors)
        for number, connector in enumerate(connectors, 1):
            transaction = cp.connectors[str(number)].transaction
            assert (transaction is None) == (connector.session is None)
            if connector.session is None or transaction is None:
                continue
            under_way += 1
            assert transaction.transaction_id == str(connector.session.transaction.id)
            energy_wh = connector.register_wh - connector.session.transaction.meter_start_wh
            assert 0 <= energy_wh - transaction.meter.energy_wh < 22_100 * 300 / 3600 + 2
    assert under_way > 0


def test_power_at_the_end_is_that_of_the_hours_before(usual: tuple[Past, list[ev.Event], Fleet]) -> None:
    """As many connectors charge at the end as do on average: no step where the live fleet takes over."""
    past, _, _ = usual
    charging = sum(each.session is not None for states in past.initial_states.values() for each in states)
    assert 0.2 < charging / 18 < 0.9


def test_a_faulted_charge_point_has_no_cars_since_its_fault() -> None:
    past = past_of(PastChargePoint(cp_id="CP1", faulted_from_s=FAULTED_S))
    events, fleet = played(past)
    (fault_ts,) = [
        each.received_ts
        for each in events
        if isinstance(each, ev.ConnectorStatusChanged) and each.error_code == "GroundFailure"
    ]
    assert fault_ts >= UNTIL_TS - FAULTED_S
    assert not any(isinstance(each, ev.TransactionStarted) and each.received_ts > fault_ts for each in events)
    cp = fleet.charge_points["CP1"]
    assert {number: connector.status for number, connector in cp.connectors.items()} == {
        "1": "Faulted",
        "2": "Available",
    }
    assert all(each.session is None for each in past.initial_states["CP1"])


def test_a_flapping_charge_point_loses_its_connection_again_and_again() -> None:
    events, _ = played(past_of(PastChargePoint(cp_id="CP1", is_flapping=True)))
    lost = [each for each in events if isinstance(each, ev.ChargePointDisconnected) and each.code == 1006]
    assert len(lost) > 10
