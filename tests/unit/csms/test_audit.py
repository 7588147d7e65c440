"""What the audit log shows of OCPP 2.x."""

import json

import pytest

from wattspan.csms.plugins.audit import mask

PASSWORD = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}


@pytest.mark.parametrize(
    "payload",
    [
        {"setVariableData": [{**PASSWORD, "attributeValue": "HIDDEN"}]},
        {"getVariableResult": [{**PASSWORD, "attributeStatus": "Accepted", "attributeValue": "HIDDEN"}]},
        {"reportData": [{**PASSWORD, "variableAttribute": [{"type": "Actual", "value": "HIDDEN"}]}]},
        {"eventData": [{**PASSWORD, "actualValue": "HIDDEN"}]},
        {"connectionData": {"basicAuthPassword": "HIDDEN", "vpn": {"password": "HIDDEN", "key": "HIDDEN"}}},
        {"idToken": {"idToken": "HIDDEN", "type": "Central", "additionalInfo": [{"additionalIdToken": "HIDDEN"}]}},
        {"report": True, "customerIdentifier": "HIDDEN"},
    ],
)
def test_passwords_and_tokens_are_masked_and_nothing_else(payload):
    shown = json.dumps(mask([2, "1", "X", payload]))
    assert "HIDDEN" not in shown
    assert shown.count("***") == json.dumps(payload).count("HIDDEN")


def test_other_variables_are_shown():
    entry = {**PASSWORD, "variable": {"name": "HeartbeatInterval"}, "attributeValue": "60"}
    assert mask(entry) == entry
