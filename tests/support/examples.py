"""Payloads made from a JSON schema: valid, with as little or as much in them as it allows."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

Schema = Mapping[str, Any]

WORD = "A1"
MOMENT = "2026-11-21T10:00:00Z"


def schema(version: str, name: str) -> Schema:
    """A schema file of the `ocpp` package: `schema("v201", "HeartbeatRequest")`."""
    file = files(f"ocpp.{version}") / "schemas" / f"{name}.json"
    found: Schema = json.loads(file.read_text("utf-8-sig"))
    return found


def names(version: str) -> set[str]:
    """Every schema file of a version, without its ending."""
    folder = files(f"ocpp.{version}") / "schemas"
    return {each.name.removesuffix(".json") for each in folder.iterdir() if each.name.endswith(".json")}


def example(version: str, name: str, *, whole: bool) -> Any:
    """A payload that meets the schema; `whole`: with every field, else with those alone that it must have."""
    root = schema(version, name)
    return _make(root, root, whole)


def _make(part: Schema, root: Schema, whole: bool) -> Any:
    if "$ref" in part:
        return _make(root["definitions"][part["$ref"].rpartition("/")[2]], root, whole)
    if "enum" in part:
        return part["enum"][0]
    return _MAKERS.get(part.get("type", "object"), _object)(part, root, whole)


def _object(part: Schema, root: Schema, whole: bool) -> Any:
    wanted = part.get("properties", {}) if whole else part.get("required", ())
    return {name: _make(part["properties"][name], root, whole) for name in wanted if name != "customData"}


def _array(part: Schema, root: Schema, whole: bool) -> Any:
    return [_make(part["items"], root, whole)] * max(part.get("minItems", 0), 1)


def _string(part: Schema, _root: Schema, _whole: bool) -> Any:
    given = {"date-time": MOMENT, "uri": "https://example.invalid/x"}.get(part.get("format", ""), WORD)
    return given[: part.get("maxLength", len(given))]


def _number(part: Schema, _root: Schema, _whole: bool) -> Any:
    return min(max(1, part.get("minimum", 1)), part.get("maximum", 1))


_MAKERS = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _number,
    "number": _number,
    "boolean": lambda *_: True,
}
