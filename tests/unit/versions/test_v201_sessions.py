"""Sessions of OCPP 2.x: readings and events, whatever is in a payload."""

import inspect
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.stations import TOKEN, event, register
from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.domain.fleet import Fleet
from wattspan.errors import CallFault
from wattspan.versions import VERSIONS
from wattspan.versions.base import IdTokenInfo
from wattspan.versions.v2x.readings import readings

V201 = VERSIONS["ocpp2.0.1"]
NOW_TS = 1_795_255_200.0
AT = "2026-11-21T10:00:00Z"
OWN = ["Authorize", "BootNotification", "MeterValues", "StatusNotification", "TransactionEvent"]


@dataclass
class Context:
    """Admits everybody, and knows every transaction or none."""

    knows_all: bool = True
    cp_id: str = "CS1"
    now_ts: float = NOW_TS
    heartbeat_interval_s: int = 120

    async def authorize(self, id_token, **fields):
        return IdTokenInfo(status="Accepted")

    def knows(self, transaction_id):
        return self.knows_all

    async def recall(self, transaction_id):
        """Nothing is stored."""


def converse(action, call, context=None):
    """The answer and the events, the coroutine driven by hand: nothing here truly waits."""
    request = V201.requests[action]
    answer: Any = request.answer(call, context or Context())
    if inspect.iscoroutine(answer):
        with pytest.raises(StopIteration) as done:
            answer.send(None)
        answer = done.value.value
    return answer, list(request.observe(call, answer, "CS1", NOW_TS))


def one(*sampled):
    (found,) = readings([{"timestamp": AT, "sampledValue": list(sampled)}])
    return found


@pytest.mark.parametrize(
    ("measure", "wh"),
    [
        ({}, 1001),
        ({"unitOfMeasure": {"unit": "kWh"}}, 1_001_000),
        ({"unitOfMeasure": {"multiplier": 3}}, 1_001_000),
        ({"unitOfMeasure": {"unit": "Wh", "multiplier": -3}}, 1.001),
        ({"unitOfMeasure": {"unit": "kWh", "multiplier": "-3"}}, 1001),
        ({"unitOfMeasure": {"multiplier": 99}}, None),
        ({"unitOfMeasure": {"unit": "Hz"}}, None),
        ({"unit": "kWh"}, 1_001_000),
    ],
)
def test_a_register_is_of_its_unit_and_multiplier(measure, wh):
    """UnitOfMeasureType; a measurand that is missing is the energy register (MeterValues, SampledValueType)."""
    found = one({"value": 1001} | measure).register_wh
    assert found == (None if wh is None else pytest.approx(wh, abs=1e-9))


def test_a_scaled_register_is_no_fraction_of_a_wh_off():
    assert one({"value": 1.001, "unitOfMeasure": {"multiplier": 3}}).register_wh == 1001


def test_a_signed_value_keeps_its_value():
    signed = {"signedMeterData": "x", "signingMethod": "", "encodingMethod": "OCMF", "publicKey": ""}
    found = one({"value": 5, "signedMeterValue": signed})
    assert found.register_wh == 5
    assert found.samples[0]["signedMeterValue"] == signed


def test_an_update_without_a_token_about_a_known_transaction_is_answered_at_once():
    answer = V201.requests["TransactionEvent"].answer
    assert type(answer(event("Updated", 1, register(5)), Context())) is dict


def test_a_price_is_never_invented():
    answer, _ = converse("TransactionEvent", event("Ended", 1, register(5), idToken=TOKEN))
    assert answer == {"idTokenInfo": {"status": "Accepted"}}


def test_the_token_of_an_end_is_of_who_stopped_it():
    _, (ended,) = converse("TransactionEvent", event("Ended", 1, register(5), idToken=TOKEN))
    parts = [(type(part), part.id_token) for part in ended.parts()]
    assert parts == [(ev.TransactionDetailed, ""), (ev.TransactionStopped, "TAG1")]


def test_a_transaction_event_is_one_event_and_published_in_parts():
    """Plugins and `/events` receive the start, details, readings and state of one message, in this order."""
    call = event("Started", 0, register(5), idToken=TOKEN, numberOfPhasesUsed=3)
    call["transactionInfo"]["chargingState"] = "EVConnected"
    _, (found,) = converse("TransactionEvent", call)
    kinds = [ev.TransactionStarted, ev.TransactionDetailed, ev.MeterValuesReceived, ev.ChargingStateChanged]
    assert [type(part) for part in found.parts()] == kinds
    assert all(part.ref is found.ref and part.transaction_id == found.transaction_id for part in found.parts())
    unheard = found.parts(lambda kind: kind is ev.ChargingStateChanged)
    assert [type(part) for part in unheard] == [kinds[0], kinds[1], kinds[3]]


NAMES = """
    certificate chargingState chargingStation connectorId connectorStatus context eventType evse
    evseId id idToken measurand meterValue multiplier offline remoteStartId reservationId
    sampledValue seqNo stoppedReason timestamp transactionId transactionInfo type unit unitOfMeasure
    value
"""
NAME = st.sampled_from(sorted(NAMES.split()))
PLAIN = st.sampled_from(["", "1", "A\0", AT, "Charging", "Ended", "Started"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | PLAIN,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAME, inner, max_size=5),
    max_leaves=8,
)
IDENTIFIED = st.dictionaries(NAME, JSON, max_size=4).map(lambda info: {"transactionId": "T"} | info)
CALL = st.dictionaries(NAME, JSON, max_size=10)


@given(
    st.sampled_from(OWN),
    CALL | st.builds(lambda call, info: call | {"transactionInfo": info}, CALL, IDENTIFIED),
    st.booleans(),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_payload_raises_anything_but_a_call_fault(action, call, knows):
    fleet = Fleet()
    try:
        _, events = converse(action, call, Context(knows_all=knows))
    except CallFault:
        return
    for each in events:
        apply(fleet, each)
