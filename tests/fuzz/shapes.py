"""Payloads made from scratch: any that an action's schema allows, drawn by a seeded Random. Knows no mutation."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any

from support.schema_files import FILES

Schema = dict[str, Any]

OPTIONAL = 0.4
"""Share of the fields that need not be there and are."""
DEPTH = 6
"""Below it only what must be there."""
WORDS = ("1", "CP1", "TAG1", "Acme", "x" * 36, "Wh", "0", "-1", "ä", "Energy.Active.Import.Register")


def payload(rng: Random, subprotocol: str, action: str) -> dict[str, Any]:
    """A payload of a CALL that fits its schema."""
    schema = _schema(subprotocol, action)
    made: dict[str, Any] = _any(rng, schema, schema.get("definitions", {}), 0)
    return made


@cache
def _schema(subprotocol: str, action: str) -> Schema:
    package, suffix, _ = FILES[subprotocol]
    text = (files(package) / "schemas" / f"{action}{suffix}.json").read_text(encoding="utf-8-sig")
    schema: Schema = json.loads(text)
    return schema


def _any(rng: Random, schema: Schema, definitions: Schema, depth: int) -> Any:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[-1]]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    return _MAKERS[schema.get("type", "string")](rng, schema, definitions, depth)


def _object(rng: Random, schema: Schema, definitions: Schema, depth: int) -> Any:
    needed = set(schema.get("required", ()))
    chance = OPTIONAL if depth < DEPTH else 0.0
    return {
        name: _any(rng, inner, definitions, depth + 1)
        for name, inner in schema.get("properties", {}).items()
        if name in needed or (name != "customData" and rng.random() < chance)
    }


def _array(rng: Random, schema: Schema, definitions: Schema, depth: int) -> Any:
    least = schema.get("minItems", 0)
    most = min(schema.get("maxItems", 3), least + 2)
    return [_any(rng, schema["items"], definitions, depth + 1) for _ in range(rng.randint(least, max(least, most)))]


def _string(rng: Random, schema: Schema, _definitions: Schema, _depth: int) -> Any:
    if schema.get("format") == "date-time":
        return datetime.fromtimestamp(rng.choice((0, 1_750_000_000, 1_900_000_000)) + rng.random(), UTC).isoformat()
    if schema.get("format") == "uri":
        return "ftp://example.org/file"
    return rng.choice(WORDS)[: schema.get("maxLength", 36)]


def _number(rng: Random, schema: Schema, _definitions: Schema, _depth: int) -> Any:
    low = schema.get("minimum", -5)
    return max(low, rng.choice((low, 0, 1, 2, 7.5, 1_000.1, 1e6)))


def _integer(rng: Random, schema: Schema, definitions: Schema, depth: int) -> Any:
    return int(_number(rng, schema, definitions, depth))


_MAKERS: dict[str, Callable[[Random, Schema, Schema, int], Any]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "number": _number,
    "integer": _integer,
    "boolean": lambda rng, *_: rng.random() < 0.5,
    "null": lambda *_: None,
}
