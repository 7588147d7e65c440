"""Payloads against the schema files of the `ocpp` package, by `jsonschema-rs`. It knows no message's meaning.

Formats are asserted (`date-time`, `uri`), and 21.4 counts as a multiple of 0.1, as OCPP means it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from typing import Any, NamedTuple

import jsonschema_rs

MAX_FAULTS = 20
"""Faults told of one payload; who sends more is told the first ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCodes:
    """A version's spelling of the CALLERROR codes for payloads (OCPP-J 1.6 §4.2.3, OCPP-J 2.0.1 §4.3)."""

    formation: str
    occurrence: str
    property: str
    type: str


CODES_16 = ErrorCodes(
    formation="FormationViolation",
    occurrence="OccurenceConstraintViolation",
    property="PropertyConstraintViolation",
    type="TypeConstraintViolation",
)
CODES_2X = ErrorCodes(
    formation="FormatViolation",
    occurrence="OccurrenceConstraintViolation",
    property="PropertyConstraintViolation",
    type="TypeConstraintViolation",
)


class SchemaFault(NamedTuple):
    """One way in which a payload breaks its schema. `message` carries no value: there are id tokens among them."""

    code: str
    path: str
    """JSON pointer to the faulty place; "" is the whole payload."""
    message: str


class _Source(NamedTuple):
    """How the `ocpp` package names the files of one version, and what the codes are called there."""

    package: str
    call_suffix: str
    result_suffix: str
    codes: ErrorCodes


_SOURCES: Mapping[str, _Source] = {
    "v16": _Source("ocpp.v16", "", "Response", CODES_16),
    "v201": _Source("ocpp.v201", "Request", "Response", CODES_2X),
    "v21": _Source("ocpp.v21", "Request", "Response", CODES_2X),
}

_TEXTS: Mapping[str, tuple[str, str]] = {
    "additionalItems": ("formation", "more items than the schema has"),
    "additionalProperties": ("formation", "a field that the schema does not have"),
    "enum": ("property", "not one of the words that OCPP has for it"),
    "format": ("type", "not of the format that it must have"),
    "maxItems": ("occurrence", "too many items"),
    "maxLength": ("property", "too long"),
    "maximum": ("property", "too high"),
    "minItems": ("occurrence", "too few items"),
    "minimum": ("property", "too low"),
    "multipleOf": ("property", "more decimals than allowed"),
    "required": ("occurrence", "a required field is missing"),
    "type": ("type", "of the wrong type"),
}
"""Schema keyword to the field of ErrorCodes and to our words for it."""


class Schemas:
    """The validators of one OCPP version, each compiled when it is first needed and then kept."""

    def __init__(self, source: str) -> None:
        self._source = _SOURCES[source]
        self._folder = files(self._source.package) / "schemas"
        self._calls: dict[str, jsonschema_rs.Validator | None] = {}
        self._results: dict[str, jsonschema_rs.Validator | None] = {}
        self._sends: dict[str, jsonschema_rs.Validator | None] = {}
        self._holds: dict[str, Callable[[Any], bool]] = {}
        """What nearly every CALL needs of its validator, and nothing else."""

    @classmethod
    def load(cls, source: str) -> "Schemas":
        """The schemas of a version as the `ocpp` package names it: "v16", "v201", "v21"."""
        return cls(source)

    def call_faults(self, action: str, payload: Any) -> Sequence[SchemaFault]:
        """What is wrong with the payload of a CALL; empty when nothing is, or when there is no such schema."""
        try:
            if self._holds[action](payload):
                return ()
        except (KeyError, ValueError):
            pass
        try:
            validator = self._calls[action]
        except KeyError:
            validator = self._calls[action] = self._compiled(action + self._source.call_suffix)
            if validator is not None:
                self._holds[action] = validator.is_valid
        return self._faults(validator, payload)

    def document(self, action: str) -> dict[str, Any] | None:
        """The JSON schema of a CALL's payload; None: there is none of that name."""
        file = self._folder / f"{action + self._source.call_suffix}.json"
        if not action.isalnum() or not file.is_file():
            return None
        document: dict[str, Any] = json.loads(file.read_text("utf-8-sig"))
        return document

    def send_faults(self, action: str, payload: Any) -> Sequence[SchemaFault]:
        """What is wrong with the payload of a SEND; its schema is named by the action alone."""
        try:
            validator = self._sends[action]
        except KeyError:
            validator = self._sends[action] = self._compiled(action)
        return self._faults(validator, payload)

    def result_faults(self, action: str, payload: Any) -> Sequence[SchemaFault]:
        """What is wrong with the payload of a CALLRESULT."""
        try:
            validator = self._results[action]
        except KeyError:
            validator = self._results[action] = self._compiled(action + self._source.result_suffix)
        return self._faults(validator, payload)

    def _faults(self, validator: jsonschema_rs.Validator | None, payload: Any) -> Sequence[SchemaFault]:
        try:
            if validator is None or validator.is_valid(payload):
                return ()
            return [self._fault(error) for error in islice(validator.iter_errors(payload), MAX_FAULTS)]
        except ValueError:
            # Nested deeper, or a number larger, than the validator can take.
            return [SchemaFault(self._source.codes.formation, "", "can't be checked")]

    def _fault(self, error: jsonschema_rs.ValidationError) -> SchemaFault:
        kind, text = _TEXTS.get(error.kind.name, ("formation", "breaks the schema"))
        if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required):
            text = f"`{error.kind.property}` is required"  # a name of the schema's, no value
        path = "".join(f"/{step}" for step in error.instance_path)
        return SchemaFault(getattr(self._source.codes, kind), path, text)

    def _compiled(self, name: str) -> jsonschema_rs.Validator | None:
        file = self._folder / f"{name}.json"
        # An action is whatever a charger sent: it names a file only if it is a plain word.
        if not name.isalnum() or not file.is_file():
            return None
        return jsonschema_rs.validator_for(json.loads(file.read_text("utf-8-sig")), validate_formats=True)
