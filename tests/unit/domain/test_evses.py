"""The status of an EVSE: requirements of section 1, as a table."""

import pytest

from wattspan.domain.energy import EnergyMeter
from wattspan.domain.evses import status_after_end, status_for_state, update_outlet
from wattspan.domain.model import Connector, Transaction
from wattspan.domain.status import numeric


def transaction(state=""):
    return Transaction(
        number=1,
        cp_id="CS1",
        connector_id="1",
        transaction_id="T",
        key="told T",
        id_token="",
        meter=EnergyMeter(None),
        started_ts=None,
        started_received_ts=1.0,
        charging_state=state,
    )


@pytest.mark.parametrize(
    ("state", "number"), [("Charging", 2), ("EVConnected", 1), ("SuspendedEVSE", 3), ("SuspendedEV", 4), ("Idle", 5)]
)
def test_occupied_is_refined_by_the_charging_state(state, number):
    connector = Connector(connector_id="1", transaction=transaction(state))
    assert numeric(update_outlet(connector, "1", "Occupied")) == number
    assert numeric(status_for_state(connector, state, is_past=False)) == number


def test_occupied_before_a_transaction_and_after_it():
    connector = Connector(connector_id="1")
    connector.status = update_outlet(connector, "1", "Occupied")
    assert numeric(connector.status) == 1
    connector.status = status_after_end(connector, is_past=False)
    assert numeric(connector.status) == 5
    assert numeric(update_outlet(connector, "1", "Occupied")) == 5
    connector.status = update_outlet(connector, "1", "Available")
    assert numeric(connector.status) == 0
    assert numeric(update_outlet(connector, "1", "Occupied")) == 1


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["Available", "Faulted"], "Faulted"),
        (["Faulted", "Available"], "Faulted"),
        (["Available", "Reserved"], "Reserved"),
        (["Occupied", "Unavailable"], "Preparing"),
        (["Unavailable", "Available"], "Unavailable"),
        (["Available", "Available"], "Available"),
        (["Available", "Odd"], "Odd"),
    ],
)
def test_of_an_evses_connectors_the_one_not_available_counts(words, status):
    connector = Connector(connector_id="1")
    for outlet, word in enumerate(words, 1):
        found = update_outlet(connector, str(outlet), word)
    assert found == status


def test_a_charging_state_hides_no_fault_and_a_past_one_nothing_at_all():
    connector = Connector(connector_id="1")
    assert status_for_state(connector, "Charging", is_past=False) == "Charging"
    assert status_for_state(connector, "Charging", is_past=True) is None
    update_outlet(connector, "1", "Faulted")
    assert status_for_state(connector, "Charging", is_past=False) is None


def test_outlets_without_end_are_bounded():
    connector = Connector(connector_id="1")
    for outlet in range(1000):
        update_outlet(connector, str(outlet), "Available")
    assert len(connector.outlets) <= 16
