"""Validation of payloads by the JSON schemas of the `ocpp` package. It knows nothing of what messages mean.

`jsonschema-rs` checks formats (`date-time`, `uri`) and accepts 21.4 as a multiple of 0.1, as OCPP intends.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import islice
from typing import Any, NamedTuple

import jsonschema_rs

MAX_NODES = 2_000
"""Of the faults of a payload with more values only the first is returned."""
MAX_FAULTS = 20
"""Maximum number of faults returned for one payload."""


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
    """One violation of a payload's schema. `message` contains no value of the payload, which may be an id token."""

    code: str
    path: str
    """JSON pointer to the invalid value; "" is the whole payload."""
    message: str


class _Source(NamedTuple):
    """The file names of one version in the `ocpp` package, and the version's error codes."""

    folder: str
    call_suffix: str
    result_suffix: str
    codes: ErrorCodes


_SOURCES: Mapping[str, _Source] = {
    "v16": _Source("v16", "", "Response", CODES_16),
    "v201": _Source("v201", "Request", "Response", CODES_2X),
    "v21": _Source("v21", "Request", "Response", CODES_2X),
}

_TEXTS: Mapping[str, tuple[str, str]] = {
    "additionalItems": ("formation", "more items than the schema has"),
    "additionalProperties": ("formation", "a field that the schema does not have"),
    "enum": ("property", "not one of the values that OCPP allows"),
    "format": ("type", "not in the required format"),
    "maxItems": ("occurrence", "too many items"),
    "maxLength": ("property", "too long"),
    "maximum": ("property", "too high"),
    "minItems": ("occurrence", "too few items"),
    "minimum": ("property", "too low"),
    "multipleOf": ("property", "more decimals than allowed"),
    "required": ("occurrence", "a required field is missing"),
    "type": ("type", "of the wrong type"),
}
"""Field of ErrorCodes and text of the fault, by schema keyword."""


class Schemas:
    """The validators of one OCPP version, each compiled on first use and cached."""

    def __init__(self, source: str) -> None:
        self._source = _SOURCES[source]
        self._folder = _folder(self._source.folder)
        self._calls: dict[str, jsonschema_rs.Validator | None] = {}
        self._results: dict[str, jsonschema_rs.Validator | None] = {}
        self._sends: dict[str, jsonschema_rs.Validator | None] = {}
        self._is_valid: dict[str, Callable[[Any], bool]] = {}
        """`Validator.is_valid` by action: all that valid CALLs need."""

    @classmethod
    def load(cls, source: str) -> "Schemas":
        """Return the schemas of a version, as the `ocpp` package names it: "v16", "v201", "v21"."""
        return cls(source)

    def call_faults(self, action: str, payload: Any) -> Sequence[SchemaFault]:
        """Return the faults of a CALL's payload; none if it is valid or the action has no schema."""
        try:
            if self._is_valid[action](payload):
                return ()
        except (KeyError, ValueError):
            pass
        try:
            validator = self._calls[action]
        except KeyError:
            validator = self._calls[action] = self._compiled(action + self._source.call_suffix)
            if validator is not None:
                self._is_valid[action] = validator.is_valid
        return self._faults(validator, payload)

    def document(self, action: str) -> dict[str, Any] | None:
        """Return the JSON schema of a CALL's payload, or None if there is none."""
        return self._document(action + self._source.call_suffix)

    def send_faults(self, action: str, payload: Any) -> Sequence[SchemaFault]:
        """Return the faults of a SEND's payload, whose schema has the name of the action."""
        try:
            validator = self._sends[action]
        except KeyError:
            validator = self._sends[action] = self._compiled(action)
        return self._faults(validator, payload)

    def result_faults(self, action: str, payload: Any) -> Sequence[SchemaFault]:
        """Return the faults of a CALLRESULT's payload."""
        try:
            validator = self._results[action]
        except KeyError:
            validator = self._results[action] = self._compiled(action + self._source.result_suffix)
        return self._faults(validator, payload)

    def _faults(self, validator: jsonschema_rs.Validator | None, payload: Any) -> Sequence[SchemaFault]:
        try:
            if validator is None or validator.is_valid(payload):
                return ()
            if _nodes(payload, MAX_NODES) >= MAX_NODES:
                return self._first_fault(validator, payload)
            return [self._fault(error) for error in islice(validator.iter_errors(payload), MAX_FAULTS)]
        except ValueError:
            # Nested too deeply, or a number too large, for the validator.
            return [SchemaFault(self._source.codes.formation, "", "can't be checked")]

    def _first_fault(self, validator: jsonschema_rs.Validator, payload: Any) -> Sequence[SchemaFault]:
        """Return the first fault; `iter_errors` would make all of them, which may take hundreds of megabytes."""
        try:
            validator.validate(payload)
        except jsonschema_rs.ValidationError as error:
            return [self._fault(error)]
        return ()

    def _fault(self, error: jsonschema_rs.ValidationError) -> SchemaFault:
        kind, text = _TEXTS.get(error.kind.name, ("formation", "breaks the schema"))
        if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required):
            text = f"`{error.kind.property}` is required"  # the name is the schema's, not the charger's
        path = "".join(f"/{step}" for step in error.instance_path)
        return SchemaFault(getattr(self._source.codes, kind), path, text)

    def _compiled(self, name: str) -> jsonschema_rs.Validator | None:
        document = self._document(name)
        return None if document is None else jsonschema_rs.validator_for(document, validate_formats=True)

    def _document(self, name: str) -> dict[str, Any] | None:
        # The action comes from a charger: it may name a file only if it is alphanumeric.
        if self._folder is None or not name.isalnum():
            return None
        file = self._folder / f"{name}.json"
        if not file.is_file():
            return None
        document: dict[str, Any] = json.loads(file.read_text("utf-8-sig"))
        return document


def _nodes(value: Any, limit: int) -> int:
    """Return the number of values in a payload, or `limit` if there are more."""
    count, waiting = 0, [value]
    while waiting and count < limit:
        each = waiting.pop()
        count += 1
        if isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, Sequence) and not isinstance(each, str):
            waiting.extend(each)
    return min(limit, count + len(waiting))


def _folder(version: str) -> Traversable | None:
    """Return the folder of a version's schemas, or None if the installed `ocpp` package lacks it (2.1 before 2.1.0).

    The version's own package is not imported: its data classes are some 10,000 objects, which each full collection of
    garbage would visit.
    """
    folder = files("ocpp") / version / "schemas"
    return folder if folder.is_dir() else None
