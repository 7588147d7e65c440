"""JSON as it stands in text columns. It takes whatever a charger's message may hold, and gives the same back."""

import json
from typing import Any

import orjson


def to_json(value: Any) -> str:
    """`value` as compact JSON text, in plain ASCII where it holds what is no Unicode or beyond 64 bits."""
    try:
        return orjson.dumps(value).decode()
    except (TypeError, ValueError):  # lone surrogates, long integers, keys that are no text
        return _to_any_json(value)


def _to_any_json(value: Any) -> str:
    try:
        return json.dumps(value, separators=(",", ":"), default=str)
    except (TypeError, ValueError, RecursionError):  # nested deeper than anything that is read again
        return "null"


def from_json(text: str | bytes) -> Any:
    """What `to_json` was given; tuples come back as lists."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)
