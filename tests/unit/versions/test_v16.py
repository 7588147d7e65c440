"""OCPP 1.6: the table is whole, and each conversation means what it says."""

import inspect
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattspan.domain import events as ev
from wattspan.domain.transactions.common import stop_key
from wattspan.errors import CallFault
from wattspan.ocppj.schemas import Schemas
from wattspan.versions import VERSIONS
from wattspan.versions.base import IdTokenInfo, StartDecision

V16 = VERSIONS["ocpp1.6"]
NOW_TS = 1_767_261_600.0  # 2026-01-01T10:00:00Z
AT = "2026-01-01T10:00:00Z"


@dataclass
class Context:
    """Admits everybody, and remembers what it was asked."""

    info: IdTokenInfo = field(default_factory=lambda: IdTokenInfo(status="Accepted"))
    cp_id: str = "CP1"
    now_ts: float = NOW_TS
    heartbeat_interval_s: int = 120
    asked: list[Any] = field(default_factory=list)

    async def authorize(self, id_token):
        self.asked.append(id_token)
        return self.info

    async def start(self, **fields):
        self.asked.append(fields)
        return StartDecision(transaction_id=7, info=self.info)

    def may_be_closed(self, transaction_id):
        return False

    async def recall_stop(self, transaction_id, key):
        self.asked.append((transaction_id, key))

    async def sign_certificate(self, csr, *, kind, echo):
        self.asked.append((csr, kind, echo))
        return False

    async def data_transfer(self, vendor_id, message_id, data):
        self.asked.append((vendor_id, message_id, data))
        return {"status": "UnknownVendorId"}


def converse(action, call, context=None):
    """The answer and the events of one conversation, the coroutine driven by hand: nothing here truly waits."""
    request = V16.requests[action]
    answer = request.answer(call, context or Context())
    if inspect.iscoroutine(answer):
        with pytest.raises(StopIteration) as done:
            answer.send(None)
        answer = done.value.value
    return answer, list(request.observe(call, answer, "CP1", NOW_TS))


def readings(*sampled, **more):
    call = {"connectorId": 1, "meterValue": [{"timestamp": AT, "sampledValue": list(sampled)} | more]}
    _, (event,) = converse("MeterValues", call)
    return event.readings


SOUND = {
    "Authorize": {"idTag": "TAG"},
    "BootNotification": {"chargePointVendor": "V", "chargePointModel": "M"},
    "DataTransfer": {"vendorId": "V"},
    "DiagnosticsStatusNotification": {"status": "Uploaded"},
    "FirmwareStatusNotification": {"status": "Installed"},
    "Heartbeat": {},
    "LogStatusNotification": {"status": "Uploaded"},
    "MeterValues": {"connectorId": 1, "meterValue": [{"timestamp": AT, "sampledValue": [{"value": "1"}]}]},
    "SecurityEventNotification": {"type": "TamperDetectionActivated", "timestamp": AT},
    "SignCertificate": {"csr": "x"},
    "SignedFirmwareStatusNotification": {"status": "Installed", "requestId": 1},
    "StartTransaction": {"connectorId": 1, "idTag": "TAG", "meterStart": 5, "timestamp": AT},
    "StatusNotification": {"connectorId": 1, "status": "Charging", "errorCode": "NoError"},
    "StopTransaction": {"transactionId": 7, "meterStop": 9, "timestamp": AT, "idTag": "TAG"},
}


def test_the_table_has_every_message_of_the_schema_files():
    names = {file.name.removesuffix(".json") for file in (files("ocpp.v16") / "schemas").iterdir()}
    actions = {name for name in names if name.endswith("Response") is False and f"{name}Response" in names}
    assert V16.known == actions
    assert V16.requests.keys() & V16.commands.keys() == {"DataTransfer"}
    assert V16.requests.keys() == SOUND.keys()


@pytest.mark.parametrize("action", sorted(V16.commands))
def test_the_statuses_of_a_command_are_those_of_its_schema(action):
    schemas, command = Schemas.load("v16"), V16.commands[action]
    assert command.accepted <= command.statuses
    for status in command.statuses:
        assert not [f for f in schemas.result_faults(action, {"status": status}) if f.path == "/status"]
    faulty = [f for f in schemas.result_faults(action, {"status": "Nonsense"}) if f.path == "/status"]
    assert bool(faulty) == bool(command.statuses)


@pytest.mark.parametrize("action", sorted(SOUND))
def test_every_answer_fits_its_schema(action):
    assert not V16.schemas.call_faults(action, SOUND[action])
    answer, _ = converse(action, SOUND[action])
    assert not V16.schemas.result_faults(action, answer)


@pytest.mark.parametrize("action", ["Heartbeat", "MeterValues", "StatusNotification", "BootNotification"])
def test_what_waits_for_nothing_is_answered_at_once(action):
    assert type(V16.requests[action].answer(SOUND[action], Context())) is dict


def test_boot():
    answer, (event,) = converse(
        "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "1", "iccid": "8"}
    )
    assert answer == {"status": "Accepted", "currentTime": "2026-01-01T10:00:00.000Z", "interval": 120}
    assert (event.vendor, event.model, event.firmware, event.details) == ("V", "M", "1", {"iccid": "8"})


def test_authorize_tells_expiry_and_parent_where_there_are_any():
    context = Context(IdTokenInfo(status="Expired", expiry_ts=0.0, parent="P"))
    answer, (event,) = converse("Authorize", {"idTag": "TAG"}, context)
    assert answer == {"idTagInfo": {"status": "Expired", "expiryDate": "1970-01-01T00:00:00.000Z", "parentIdTag": "P"}}
    assert event.status == "Expired"


def test_a_start_is_known_by_its_content():
    context = Context()
    call = SOUND["StartTransaction"]
    for change in (
        {},
        {},
        {"timestamp": "2026-01-01T10:00:01Z"},
        {"idTag": "B"},
        {"connectorId": 2},
        {"meterStart": 6},
    ):
        converse("StartTransaction", call | change, context)
    keys = [fields["key"] for fields in context.asked]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 5
    assert "TAG" not in keys[0]


def test_start():
    answer, (event,) = converse("StartTransaction", SOUND["StartTransaction"] | {"reservationId": 0})
    assert answer == {"transactionId": 7, "idTagInfo": {"status": "Accepted"}}
    assert (event.transaction_id, event.connector_id, event.meter_start_wh) == ("7", "1", 5.0)
    assert (event.started_ts, event.reservation_id, event.id_token) == (NOW_TS, 0, "TAG")


def test_a_stop_is_recalled_under_the_key_the_fleet_gives_it():
    context = Context()
    _, (event,) = converse("StopTransaction", {"transactionId": -1, "meterStop": "12", "timestamp": AT}, context)
    assert context.asked == [("-1", stop_key(event))]
    assert (event.meter_stop_wh, event.stopped_ts, event.reason, event.id_token) == (12.0, NOW_TS, "Local", None)


def test_a_stop_is_told_of_its_token_only_when_it_sends_one():
    assert converse("StopTransaction", SOUND["StopTransaction"])[0] == {"idTagInfo": {"status": "Accepted"}}
    assert converse("StopTransaction", {"transactionId": 7})[0] == {}


def test_transaction_data_are_readings():
    data = [
        {"timestamp": AT, "sampledValue": [{"value": "5", "context": "Transaction.Begin"}]},
        {"timestamp": AT, "sampledValue": [{"value": "9", "context": "Transaction.End"}]},
    ]
    _, (event,) = converse("StopTransaction", SOUND["StopTransaction"] | {"transactionData": data})
    assert [(r.register_wh, r.begins, r.charger_ts) for r in event.readings] == [
        (5.0, True, NOW_TS),
        (9.0, False, NOW_TS),
    ]


@pytest.mark.parametrize(
    ("sampled", "register_wh"),
    [
        ({"value": 12}, 12.0),
        ({"value": 12.5}, 12.5),
        ({"value": "2e+01"}, 20.0),
        ({"value": " 12 "}, 12.0),
        ({"value": "12,5"}, 12.5),
        ({"value": ""}, None),
        ({"value": None}, None),
        ({"value": "nan"}, None),
        ({"value": "1e999"}, None),
        ({"value": 10**400}, None),
        ({"value": []}, None),
        ({}, None),
        ({"value": "1234", "format": "SignedData"}, None),
        ({"value": "3", "unit": "kWh"}, 3000.0),
        ({"value": "50", "unit": "Hz"}, None),
        ({"value": "3", "unit": None, "phase": None, "location": None, "context": None, "measurand": None}, 3.0),
        ({"value": "3", "unit": [], "phase": {}, "location": 5}, 3.0),
    ],
)
def test_sampled_values_as_chargers_send_them(sampled, register_wh):
    sound = {"value": "230", "measurand": "Voltage"}
    (found,) = readings(sound, sampled)
    assert found.register_wh == register_wh


@pytest.mark.parametrize("sampled", [[], None, "x", 5, [None], [[]]])
def test_a_meter_value_without_samples_is_an_empty_reading(sampled):
    (found,) = readings(sampledValue=sampled)
    assert (found.register_wh, found.charger_ts) == (None, NOW_TS)


@pytest.mark.parametrize("value", [None, "x", 5, {}, [None, 5, "x"]])
def test_meter_values_that_are_none_still_get_their_answer(value):
    answer, (event,) = converse("MeterValues", {"connectorId": 0, "meterValue": value})
    assert answer == {}
    assert all(reading.register_wh is None for reading in event.readings)


@pytest.mark.parametrize(
    ("sent", "transaction_id"),
    [(0, "0"), (-1, "-1"), (9223372036854775807, "9223372036854775807"), ("12", "12"), (12.0, "12"), (None, None)],
)
def test_transaction_ids_of_meter_values(sent, transaction_id):
    _, (event,) = converse("MeterValues", {"connectorId": 0, "transactionId": sent, "meterValue": []})
    assert (event.connector_id, event.transaction_id) == ("0", transaction_id)


@pytest.mark.parametrize("action", ["Authorize", "StartTransaction", "StopTransaction", "StatusNotification"])
def test_a_message_without_a_single_fact_is_refused(action):
    with pytest.raises(CallFault) as refused:
        converse(action, {})
    assert refused.value.code == "OccurenceConstraintViolation"


def test_texts_lose_what_no_database_takes():
    _, (event,) = converse("StatusNotification", {"connectorId": 1, "status": "Fau\0lted" + "x" * 500})
    assert event.status.startswith("Faulted")
    assert len(event.status) == 50


PROFILE = {"chargingProfileId": 1, "stackLevel": 0}


def observed(action, call, status="Accepted"):
    return list(V16.commands[action].observe(call, {"status": status}, "CP1", NOW_TS))


def test_what_accepted_commands_mean():
    (found,) = observed("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": PROFILE})
    assert (found.connector_id, found.profile) == ("0", PROFILE)
    (found,) = observed("RemoteStartTransaction", {"connectorId": 2, "idTag": "T", "chargingProfile": PROFILE})
    assert (found.connector_id, found.profile) == ("2", PROFILE)
    (found,) = observed("ClearChargingProfile", {"id": 3})
    assert (found.profile_id, found.connector_id, found.purpose) == (3, None, None)
    call = {"reservationId": 4, "connectorId": 1, "idTag": "T", "expiryDate": AT}
    (found,) = observed("ReserveNow", call)
    assert (found.reservation_id, found.expires_ts, found.id_token) == (4, NOW_TS, "T")
    assert observed("CancelReservation", {"reservationId": 4}) == [
        ev.ReservationCancelled(cp_id="CP1", received_ts=NOW_TS, reservation_id=4)
    ]
    assert observed("Reset", {"type": "Hard"}) == []


@pytest.mark.parametrize("action", sorted(V16.commands))
def test_a_rejected_command_means_nothing(action):
    call = {"connectorId": 1, "csChargingProfiles": PROFILE, "chargingProfile": PROFILE, "reservationId": 1}
    assert observed(action, call, "Rejected") == []


@pytest.mark.parametrize(
    ("action", "answer", "status"),
    [
        ("Reset", {"status": "Rejected"}, "Rejected"),
        ("Reset", {"status": "Whatever"}, "other"),
        ("Reset", {"status": []}, "other"),
        ("Reset", {}, "other"),
        ("GetConfiguration", {"status": "x"}, ""),
    ],
)
def test_the_status_of_an_answer_is_bounded(action, answer, status):
    assert V16.commands[action].status(answer) == status


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([AT, "Wh", "L1", "Voltage"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["timestamp", "sampledValue", "value", "unit", "phase", "measurand", "context", "location"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
NAMES = (
    "connectorId transactionId meterValue idTag meterStart meterStop timestamp transactionData status errorCode reason"
)


@given(st.sampled_from(sorted(V16.requests)), st.dictionaries(st.sampled_from(NAMES.split()), JSON, max_size=8))
def test_no_payload_raises_anything_but_a_call_fault(action, call):
    request = V16.requests[action]
    if request.place is not None:
        request.place(call)
    try:
        answer, events = converse(action, call)
    except CallFault:
        return
    assert type(answer) is dict
    assert all(event.cp_id == "CP1" for event in events)


@given(st.sampled_from(sorted(V16.commands)), st.dictionaries(st.text(), JSON), st.dictionaries(st.text(), JSON))
def test_no_answer_of_a_charger_raises(action, call, answer):
    command = V16.commands[action]
    command.status(answer)
    command.connector(call)
    list(command.observe(call, answer, "CP1", NOW_TS))
