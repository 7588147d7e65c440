"""Answers of charge points as payload classes of the `ocpp` package. It knows names and fields, not their meaning."""

from dataclasses import MISSING, fields
from importlib import import_module
from typing import Any

from ocpp.charge_point import camel_to_snake_case

from wattspan.errors import ResponseInvalid
from wattspan.versions.base import Payload

_MODULES = {"1.6": "ocpp.v16.call_result", "2.0.1": "ocpp.v201.call_result", "2.1": "ocpp.v21.call_result"}
"""By the name of the version."""


def response_of(cp_id: str, version: str, action: str, payload: Payload) -> Any:
    """Return the payload of a CALLRESULT as an instance of the class that `ocpp` has for it.

    Fields that the class does not have are left out. Nested objects are dictionaries with snake_case keys, as in the
    `ocpp` package itself. Raises ResponseInvalid if required fields are missing.
    """
    response_class = getattr(import_module(_MODULES[version]), action)
    given = camel_to_snake_case(payload)  # type: ignore[no-untyped-call]
    known = {field.name: field for field in fields(response_class)}
    missing = [
        name
        for name, field in known.items()
        if name not in given and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise ResponseInvalid(cp_id, action, f"the answer lacks {', '.join(missing)}")
    return response_class(**{name: value for name, value in given.items() if name in known})
