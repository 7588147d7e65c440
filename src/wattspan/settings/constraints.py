"""What values each setting accepts, in words, from the JSON schema that pydantic derives from the fields.

The command line takes its option types from here, and error messages their wording, so no limit is written twice.
"""

from functools import cache
from typing import Any, NamedTuple

from wattspan.settings.model import Settings, is_secret

_NOUNS = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list of names"}


class Constraint(NamedTuple):
    """What one setting accepts. `kind` is the JSON schema type, or "path"; a limit that is None does not exist."""

    kind: str
    choices: tuple[str, ...] = ()
    example: str | None = None
    minimum: float | None = None
    above: float | None = None
    """The lower limit if it is exclusive."""
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None

    def limits(self) -> str:
        """Return the limits in words, such as "between 0 and 65535", or "" if there are none."""
        if self.minimum is not None and self.maximum is not None:
            return f"between {self.minimum:g} and {self.maximum:g}"
        if self.min_length is not None and self.max_length is not None:
            return f"{self.min_length} to {self.max_length} characters long"
        bounds = {"above": self.above, "at least": self.minimum, "at most": self.maximum}
        return " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)

    def noun(self) -> str:
        """Return what kind of value it is, such as "a whole number"."""
        if self.choices:
            return _or(self.choices)
        if self.example is not None:
            return f"{'a URL' if '://' in self.example else 'a name'} like {self.example}"
        return _NOUNS.get(self.kind, f"a {self.kind}")


@cache
def constraint_of(name: str) -> Constraint:
    """Return what the setting `name` accepts."""
    field: dict[str, Any] = _properties()[name]
    # An optional setting is `anyOf` its own schema and null.
    schema = field | next((each for each in field.get("anyOf", ()) if each.get("type") != "null"), {})
    return Constraint(
        kind="path" if schema.get("format") == "path" else schema["type"],
        choices=tuple(schema.get("enum", ())),
        example=next(iter(schema.get("examples", ())), None),
        minimum=schema.get("minimum"),
        above=schema.get("exclusiveMinimum"),
        maximum=schema.get("maximum"),
        min_length=schema.get("minLength"),
        max_length=schema.get("maxLength"),
    )


def explain(name: str, value: object, error_type: str) -> str:
    """Return what is wrong with a value that pydantic rejected with `error_type`; a secret is never shown."""
    constraint = constraint_of(name)
    limits = constraint.limits()
    if error_type in {"string_too_short", "too_short"} and constraint.max_length is None:
        return "must not be empty"
    unreadable = error_type.endswith(("_parsing", "_type", "_from_float", "value_error"))
    accepted = limits
    if unreadable or not limits:
        accepted = f"{constraint.noun()} {'of ' if limits.startswith('at ') else ''}{limits}".rstrip()
    return f"must be {accepted}" if is_secret(name) else f"{value} is not {accepted}"


@cache
def _properties() -> dict[str, Any]:
    properties: dict[str, Any] = Settings.model_json_schema()["properties"]
    return properties


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
