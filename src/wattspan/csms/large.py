"""The parts of a large message that are processed off the event loop. It knows the lists of readings in payloads."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

from wattspan.domain import events as ev
from wattspan.domain.ahead import Measured
from wattspan.ocppj.schemas import SchemaFault, Schemas
from wattspan.versions.base import Payload

PART = 512
"""Items of a list that are checked without a break: the validator holds the interpreter's lock."""
MANY_READINGS = 256
"""An event with fewer readings is applied at once."""

_LISTS = ("transactionData", "meterValue")
"""The lists of readings, of which OCPP limits neither the length nor the order."""


def call_faults(schemas: Schemas, action: str, payload: Payload) -> Sequence[SchemaFault]:
    """Return what `Schemas.call_faults` returns, checking a part of the readings at a time. In any thread.

    Of the faults of several parts, only those of the first are returned.
    """
    for name, first, part in _parts(payload):
        if faults := schemas.call_faults(action, part):
            return [fault._replace(path=_path(fault.path, name, first)) for fault in faults]
    return ()


def has_many_readings(event: ev.Event) -> TypeGuard[Measured]:
    """Return whether the event has so many readings that their effect is to be computed ahead."""
    if isinstance(event, ev.TransactionEventReceived) and event.stopped is not None:
        return len(event.stopped.readings) >= MANY_READINGS
    if isinstance(event, (ev.MeterValuesReceived, ev.TransactionStopped, ev.TransactionEventReceived)):
        return len(event.readings) >= MANY_READINGS
    return False


def _parts(payload: Payload) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield the payload with PART items of its list of readings at a time, the list's name and the first's index."""
    for name in _LISTS:
        items = payload.get(name)
        if isinstance(items, list) and len(items) > PART:
            for first in range(0, len(items), PART):
                yield name, first, {**payload, name: items[first : first + PART]}
            return
    yield "", 0, payload


def _path(path: str, name: str, first: int) -> str:
    """Return the JSON pointer in the whole payload for one in a part of it."""
    steps = path.split("/")
    if name and len(steps) > 2 and steps[1] == name and steps[2].isdigit():  # noqa: PLR2004
        steps[2] = str(int(steps[2]) + first)
    return "/".join(steps)
