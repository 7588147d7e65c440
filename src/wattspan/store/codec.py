"""JSON in text columns. It accepts everything that a charger's message may contain, and returns the same."""

import json
from typing import Any

import orjson


def to_json(value: Any) -> str:
    """Return compact JSON text; in ASCII if `value` has invalid Unicode or integers beyond 64 bits."""
    try:
        return orjson.dumps(value).decode()
    except (TypeError, ValueError):  # lone surrogates, long integers, keys that are not strings
        return _to_any_json(value)


def _to_any_json(value: Any) -> str:
    try:
        return json.dumps(value, separators=(",", ":"), default=str)
    except (TypeError, ValueError, RecursionError):  # nested more deeply than the parser accepts
        return "null"


def from_json(text: str | bytes) -> Any:
    """Return the value that `to_json` was given; tuples become lists."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)
