"""Recognises commands that change the address a charge point connects to. Pure; it must not know connections."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

CALL = 2
_CANDIDATE = re.compile(rb"SetNetworkProfile|ChangeConfiguration|SetVariables|DataTransfer")
_URL = re.compile(r"^\s*wss?://", re.IGNORECASE)
KEYS = frozenset(
    {
        *("backendurl", "backendaddress", "centralsystemurl", "centralsystemaddress", "centralsystemuri", "cpourl"),
        *("csmsurl", "endpointurl", "networkconfigurationpriority", "ocppbackendurl", "ocppcsmsurl", "ocppendpoint"),
        *("ocppserver", "ocppserverurl", "ocppurl", "serverurl", "websocketurl", "centralsystem", "ocpphost"),
    }
)
"""Names of configuration keys and variables that are such addresses, without case and punctuation."""
_HEAD_BYTES = 200
"""The action of a CALL is near its begin."""


def redirects(frame: bytes) -> str | None:
    """Return the action of a CALL of the central system that may redirect the charge point, or None."""
    if not _CANDIDATE.search(frame, 0, _HEAD_BYTES):
        return None
    try:
        found = orjson.loads(frame)
    except ValueError:
        return None
    if not isinstance(found, list) or len(found) != 4 or found[0] != CALL:  # noqa: PLR2004 - OCPP-J §4.2.1
        return None
    action, payload = found[2], found[3]
    if not isinstance(action, str) or not isinstance(payload, dict):
        return None
    if action == "SetNetworkProfile":
        return action
    return action if any(_is_address(name, value) for name, value in _assignments(action, payload)) else None


def _assignments(action: str, payload: dict[str, Any]) -> Iterator[tuple[object, object]]:
    """Yield the names and values that a command sets."""
    if action == "ChangeConfiguration":
        yield payload.get("key"), payload.get("value")
    elif action == "SetVariables":
        data = payload.get("setVariableData")
        for each in data if isinstance(data, list) else ():
            if isinstance(each, dict):
                variable = each.get("variable")
                yield variable.get("name") if isinstance(variable, dict) else None, each.get("attributeValue")
    elif action == "DataTransfer":
        yield payload.get("messageId"), payload.get("data")


def _is_address(name: object, value: object) -> bool:
    if isinstance(value, str) and _URL.match(value):
        return True
    return isinstance(name, str) and re.sub(r"[^a-z0-9]", "", name.lower()) in KEYS
