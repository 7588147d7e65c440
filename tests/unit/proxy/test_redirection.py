"""Commands that change the address of the central system are recognised, and others are not."""

import json

import pytest

from wattspan.proxy.redirection import redirects


def call(action: str, payload: object) -> bytes:
    return json.dumps([2, "m1", action, payload]).encode()


NETWORK = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "NetworkConfigurationPriority"}}


@pytest.mark.parametrize(
    "frame",
    [
        call("SetNetworkProfile", {"configurationSlot": 1}),
        call("SetVariables", {"setVariableData": [{**NETWORK, "attributeValue": "1"}]}),
        call("ChangeConfiguration", {"key": "CentralSystemURL", "value": "x"}),
        call("ChangeConfiguration", {"key": "Url2", "value": "WSS://elsewhere.example"}),
        call("DataTransfer", {"vendorId": "v", "messageId": "m", "data": "ws://elsewhere.example"}),
    ],
)
def test_a_redirection_is_recognised(frame):
    assert redirects(frame) == json.loads(frame)[2]


@pytest.mark.parametrize(
    "frame",
    [
        call("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}),
        call("ChangeConfiguration", {}),
        call("SetVariables", {"setVariableData": "none"}),
        call("SetVariables", {"setVariableData": [7, {"variable": 7}]}),
        call("DataTransfer", []),
        b'[3,"SetNetworkProfile",{}]',
        b"SetNetworkProfile",
        b"",
        b'[2,"1","Reset",{"type":"Hard"}]',
    ],
)
def test_anything_else_is_not(frame):
    assert redirects(frame) is None
