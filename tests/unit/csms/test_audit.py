"""What the audit log shows of OCPP 2.x."""

import json
import re
from pathlib import Path

import ocpp
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
        {"idTag": ["HIDDEN", ["HIDDEN"], {"value": "HIDDEN"}]},
        {"IDTAG": "HIDDEN", "idToken": ["HIDDEN"], "groupIdToken": [{"idToken": "HIDDEN", "type": "Local"}]},
        {"tariffAssignments": [{"tariffId": "1", "tariffKind": "DriverTariff", "idTokens": ["HIDDEN", "HIDDEN"]}]},
        {"prioritizedEMAIDs": ["HIDDEN"]},
        {
            "listVersion": 1,
            "localAuthorizationList": [
                {"idTag": "HIDDEN", "idTagInfo": {"status": "Accepted", "parentIdTag": "HIDDEN"}},
                {
                    "idToken": {"idToken": "HIDDEN", "type": "Central", "additionalInfo": [{"x": ["HIDDEN"]}]},
                    "idTokenInfo": {"status": "Accepted", "groupIdToken": {"idToken": "HIDDEN", "type": "Central"}},
                },
            ],
        },
        {"connectionData": {"basicAuthPassword": ["HIDDEN"]}},
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


def test_every_field_of_the_schemas_that_holds_an_id_token_is_masked():
    for version in ("v16", "v201", "v21"):
        for name in fields_of(version):
            if re.search(r"id_?(tag|token)s?$|emaids?$", name, re.IGNORECASE):
                assert mask({name: "T"}) == {name: "***"}, (version, name)


def fields_of(version):
    """The names of all fields in the schemas of a version."""

    def found(schema):
        if isinstance(schema, dict):
            yield from schema.get("properties", {})
            schema = list(schema.values())
        if isinstance(schema, list):
            for inner in schema:
                yield from found(inner)

    folder = Path(ocpp.__file__).parent / version / "schemas"
    return {name for path in folder.glob("*.json") for name in found(json.loads(path.read_text("utf-8-sig")))}
