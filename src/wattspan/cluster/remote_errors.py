"""Errors in messages between nodes: by the name of their class in `errors`, with their text and fields."""

import inspect
from collections.abc import Mapping
from typing import Any

from wattspan import errors
from wattspan.errors import WattspanError

_KINDS: Mapping[str, type[WattspanError]] = {
    name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, WattspanError)
}


def dump(error: WattspanError) -> dict[str, Any]:
    """Return an error as JSON has it. One that is not in `errors` becomes its next base class there."""
    kind = next(each.__name__ for each in type(error).__mro__ if _KINDS.get(each.__name__) is each)
    return {"kind": kind, "text": str(error), "fields": vars(error)}


def load(found: Mapping[str, Any]) -> WattspanError:
    """Return the error that `dump` was given. An unknown kind, of another release, becomes a WattspanError."""
    kind = _KINDS.get(found["kind"], WattspanError)
    error = kind.__new__(kind)
    Exception.__init__(error, found["text"])
    error.__dict__.update({name: _frozen(value) for name, value in found["fields"].items()})
    return error


def _frozen(value: Any) -> Any:
    """Return lists as the tuples that they were."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
