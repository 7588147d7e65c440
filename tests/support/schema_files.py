"""Payloads against the schema files of the `ocpp` package, by no code of ours: what both sides of a test must fit."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema_rs

FILES = {
    "ocpp1.6": ("ocpp.v16", "", "Response"),
    "ocpp2.0.1": ("ocpp.v201", "Request", "Response"),
    "ocpp2.1": ("ocpp.v21", "Request", "Response"),
}
"""Package, and the end of a file's name for a CALL and for its answer, by subprotocol."""


def call_faults(subprotocol: str, action: str, payload: Any) -> list[str]:
    """What is wrong with the payload of a CALL; empty: nothing."""
    return _faults(subprotocol, action, 1, payload)


def result_faults(subprotocol: str, action: str, payload: Any) -> list[str]:
    """What is wrong with the payload of a CALLRESULT."""
    return _faults(subprotocol, action, 2, payload)


def actions(subprotocol: str) -> list[str]:
    """Every action that has a schema."""
    package, call, _ = FILES[subprotocol]
    names = [path.name.removesuffix(".json") for path in (files(package) / "schemas").iterdir()]
    return sorted(name.removesuffix(call) for name in names if name.endswith(call) and not name.endswith("Response"))


def _faults(subprotocol: str, action: str, suffix: int, payload: Any) -> list[str]:
    validator = _validator(FILES[subprotocol][0], action + FILES[subprotocol][suffix])
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(payload)]


@cache
def _validator(package: str, name: str) -> jsonschema_rs.Validator:
    """Raises FileNotFoundError for an action that the version does not have."""
    text = (files(package) / "schemas" / f"{name}.json").read_text(encoding="utf-8-sig")
    return jsonschema_rs.validator_for(json.loads(text), validate_formats=True)
