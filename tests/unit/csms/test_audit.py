"""What the audit log shows of OCPP 2.x."""

import json

import pytest

from wattspan.csms.plugins.audit import mask, mask_secrets

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
        {"key": "AuthorizationKey", "value": "HIDDEN"},
        {"configurationKey": [{"key": "authorizationKEY", "readonly": False, "value": "HIDDEN"}]},
    ],
)
def test_passwords_and_tokens_are_masked_and_nothing_else(payload):
    shown = json.dumps(mask([2, "1", "X", payload]))
    assert "HIDDEN" not in shown
    assert shown.count("***") == json.dumps(payload).count("HIDDEN")


def test_of_a_commands_answer_only_secrets_are_masked():
    answer = {"configurationKey": [{"key": "AUTHORIZATIONKEY", "value": "HIDDEN"}], "idTag": "T", "password": "HIDDEN"}
    assert mask_secrets(answer) == json.loads(json.dumps(answer).replace("HIDDEN", "***"))


def test_other_variables_are_shown():
    entry = {**PASSWORD, "variable": {"name": "HeartbeatInterval"}, "attributeValue": "60"}
    assert mask(entry) == entry
