"""Payloads against the `ocpp` package's schema files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattspan.ocppj.schemas import Schemas

SCHEMAS = Schemas.load("v16")
VALUES = {
    "connectorId": 1,
    "meterValue": [{"timestamp": "2026-01-01T10:00:00Z", "sampledValue": [{"value": "1", "unit": "Wh"}]}],
}


def codes(payload):
    return [fault.code for fault in SCHEMAS.call_faults("MeterValues", payload)]


def test_a_sound_payload_has_no_faults():
    assert not codes(VALUES)
    assert not SCHEMAS.result_faults("MeterValues", {})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"connectorId": "1"}, "TypeConstraintViolation"),
        ({"more": 1}, "FormationViolation"),
        ({"meterValue": [{"timestamp": "yesterday", "sampledValue": [{"value": "1"}]}]}, "TypeConstraintViolation"),
        ({"meterValue": [{"timestamp": "2026-01-01T10:00:00Z"}]}, "OccurenceConstraintViolation"),
        (
            {"meterValue": [{"timestamp": "2026-01-01T10:00:00Z", "sampledValue": [{"value": "1", "unit": "Hz"}]}]},
            "PropertyConstraintViolation",
        ),
    ],
)
def test_faults_have_the_code_of_the_specification(change, code):
    assert codes(VALUES | change) == [code]


def test_a_fault_names_the_place_and_no_value():
    (fault,) = SCHEMAS.call_faults("Authorize", {"idTag": "SECRET-TOKEN-THAT-IS-TOO-LONG"})
    assert fault.path == "/idTag"
    assert "SECRET" not in fault.message


def test_a_tenth_is_a_multiple_of_a_tenth():
    def faults(limit):
        periods = [{"startPeriod": 0, "limit": limit}]
        profile = {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": periods},
        }
        return SCHEMAS.call_faults("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile})

    assert not faults(21.4)
    assert [fault.code for fault in faults(21.45)] == ["PropertyConstraintViolation"]


@pytest.mark.parametrize(
    "action", ["Nonsense", "", "../../v201/schemas/HeartbeatRequest", "a\0b", "MeterValuesResponse/"]
)
def test_an_action_without_a_schema_has_no_faults(action):
    assert not SCHEMAS.call_faults(action, {"x": 1})


def test_faults_are_bounded():
    assert len(codes(VALUES | {"meterValue": [{}] * 1_000})) == 20


def test_a_deeply_nested_payload_is_a_fault_and_no_crash():
    deep: dict[str, object] = {}
    for _ in range(900):
        deep = {"a": deep}
    assert codes(VALUES | {"meterValue": deep})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["connectorId", "meterValue", "transactionId"]) | st.text(), JSON, max_size=4))
def test_no_payload_raises(payload):
    codes(payload)
