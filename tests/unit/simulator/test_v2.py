"""Messages of OCPP 2.0.1 and 2.1; the small central system checks every frame against its schema."""

import base64
from dataclasses import replace
from itertools import pairwise

import pytest

from wattspan.simulator import MIX, ArrivalPattern, FaultRates

BUSY = ArrivalPattern(sessions_per_day=200, busy_at_start=1.0, stay_s=(600, 3_600), meter_interval_s=60, quietest=1.0)
"""As busy at night: the tests run at any time of day."""
BOTH = pytest.mark.parametrize("version", ["2.0.1", "2.1"])


async def play(central, running, sessions, **options):
    async with running(charge_points=6, arrivals=BUSY, seed=7, time_factor=4_000, **options) as simulation:
        await central.until(lambda: len(central.stopped_wh) >= sessions)
    return simulation.ledger.total


def agrees(total, central):
    assert (total.starts, total.stops) == (len(central.starts), len(central.stopped_wh))
    assert total.energy_wh == sum(central.stopped_wh.values()) > 0
    assert total.unacknowledged == 0
    assert central.open == {}


async def test_a_mixed_fleet_agrees_with_its_ledger(central, running):
    total = await play(central, running, 20, versions=MIX)
    agrees(total, central)
    assert total.errors == 0
    assert {socket.subprotocol for socket in central.sockets.values()} == {"ocpp1.6", "ocpp2.0.1", "ocpp2.1"}
    periodic = central.transaction_events("Updated", "MeterValuePeriodic")
    assert total.meter_values == len(periodic) + len(central.of("MeterValues"))


async def test_the_ledger_is_right_under_all_faults(central, running):
    faults = replace(FaultRates.all(0.4), late_answer_s=0.01)
    total = await play(central, running, 40, versions=("2.0.1", "2.1"), faults=faults)
    agrees(total, central)
    assert min(total.drops, total.repeats, total.offline_sessions, total.error_notices.total()) > 0
    assert total.mismatches == 0
    assert any(call.get("offline") for call in central.of("TransactionEvent"))


@BOTH
async def test_the_events_of_a_session_are_those_of_the_specification(central, running, version):
    await play(central, running, 12, versions=(version,))
    for events in central.events.values():
        first, *between, last = events
        assert [event["seqNo"] for event in events] == list(range(len(events)))
        assert (first["eventType"], last["eventType"]) == ("Started", "Ended")
        assert {event["eventType"] for event in between} <= {"Updated"}
        assert first["evse"]["id"] in {1, 2}
        assert first["triggerReason"] == "Authorized"
        assert first["transactionInfo"]["chargingState"] == "EVConnected"
        assert first["meterValue"][0]["sampledValue"][0]["context"] == "Transaction.Begin"
        assert last["meterValue"][0]["sampledValue"][0]["context"] == "Transaction.End"
        assert last["transactionInfo"]["stoppedReason"] in {"Local", "EVDisconnected"}
        assert ("idToken" in last) == (last["triggerReason"] == "StopAuthorized")
        states = [s for event in events if (s := event["transactionInfo"].get("chargingState"))]
        assert all(a != b or "EVConnected" in (a, b) for a, b in pairwise(states))
    assert {"Charging", "SuspendedEV", "SuspendedEVSE"} <= {
        event["transactionInfo"]["chargingState"]
        for event in central.transaction_events("Updated", "ChargingStateChanged")
    }
    for number in (1, 2):
        assert set(central.statuses(number)) == {"Available", "Occupied"}


async def test_some_meters_sign_their_first_and_last_reading(central, running):
    await play(central, running, 20, versions=("2.0.1",))
    signed = [
        value["signedMeterValue"]["signedMeterData"]
        for event in central.of("TransactionEvent")
        for meter_value in event.get("meterValue", ())
        for value in meter_value["sampledValue"]
        if "signedMeterValue" in value
    ]
    assert len(signed) % 2 == 0
    assert base64.b64decode(signed[0]).startswith(b"OCMF|")


@BOTH
async def test_a_fault_is_a_status_and_an_event_and_so_is_its_end(central, running, version):
    async with running(arrivals=BUSY, faults=FaultRates(error=1.0), versions=(version,)) as simulation:
        await central.until(lambda: len(central.of("NotifyEvent")) >= 4)
    events = [event for call in central.of("NotifyEvent") for event in call["eventData"]]
    assert {event["variable"]["name"] for event in events} == {"Problem"}
    assert {event["cleared"] for event in events} == {True, False}
    assert all(("severity" in event) == (version == "2.1") for event in events)
    assert "Faulted" in central.statuses(1) + central.statuses(2)
    assert simulation.ledger.total.error_notices.keys() <= {event["techCode"] for event in events}


async def test_a_card_refused_at_the_start_ends_the_transaction(central, running):
    async with running(connectors=1, versions=("2.0.1",)):
        central.id_tag_status = "Invalid"
        token = {"idToken": "T", "type": "ISO14443"}
        await central.command("RequestStartTransaction", {"idToken": token, "remoteStartId": 9})
        await central.until(lambda: central.stopped_wh)
    (first,), (last,) = central.transaction_events("Started"), central.transaction_events("Ended")
    assert (first["triggerReason"], first["transactionInfo"]["remoteStartId"]) == ("RemoteStart", 9)
    assert last["transactionInfo"]["stoppedReason"] == "DeAuthorized"
