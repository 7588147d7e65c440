"""The parts of a large message that are processed off the event loop. It knows the lists of readings in payloads."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

from wattspan.csms.core import Core
from wattspan.csms.exchange import Exchange
from wattspan.domain import events as ev
from wattspan.domain.ahead import Ahead, Measured
from wattspan.domain.model import ChargePoint
from wattspan.domain.packed_samples import Packer, unpacked
from wattspan.errors import CallFault
from wattspan.ocppj.large import Packing
from wattspan.ocppj.schemas import SchemaFault, Schemas
from wattspan.versions.base import Payload

AT_ONCE_BYTES = 16 << 10
"""A longer message with readings is processed off the event loop: a sample that repeats begins a reading of its own,
and each takes some 30 µs."""
PART = 512
"""Items of a list, or samples in them, that are checked without a break: the validator holds the interpreter's lock."""
MANY_READINGS = 256
MANY_SAMPLES = 2_048
"""An event with fewer readings and samples is applied at once."""
MAX_READINGS = 86_400
"""Readings of one message: one a second for a day. Each takes some 500 bytes until it is stored."""
MAX_SAMPLES = 1_024
"""Samples of one MeterValue: which of them belong together is worked out for all of them at once."""
MAX_ATTEMPTS = 3
"""Times that the effect of a large message is computed, while others change the charge point."""

_LISTS = ("transactionData", "meterValue")
"""The lists of readings, of which OCPP limits neither the length nor the order."""

PACKING = Packing(
    actions=frozenset({"StopTransaction", "MeterValues", "TransactionEvent"}),
    lists=frozenset(_LISTS),
    packer=lambda: Packer().pack,
)
"""How the samples of large messages are packed while they are parsed."""


def call_faults(schemas: Schemas, action: str, payload: Payload) -> Sequence[SchemaFault]:
    """Return what `Schemas.call_faults` returns, checking a part of the readings at a time. In any thread.

    Of the faults of several parts, only those of the first are returned.
    """
    for name, first, part in _parts(payload):
        if faults := schemas.call_faults(action, part):
            return [fault._replace(path=_path(fault.path, name, first)) for fault in faults]
    return ()


async def observe(core: Core, cp: ChargePoint, exchange: Exchange) -> tuple[list[ev.Event], Ahead | None]:
    """Return the events of a large message, and the effect of its readings if they are many.

    Others may change the charge point meanwhile (a command, another connection of it); then it is computed again.
    Raises CallFault if the readings are too many.
    """
    request, payload, answer = exchange.request, exchange.call.payload, exchange.answer
    events = await core.off_loop(lambda: list(request.observe(payload, answer, cp.cp_id, exchange.received_ts)))
    if any(map(has_too_many_readings, events)):
        description = f"the message has more than {MAX_READINGS:,} readings"
        raise CallFault("PropertyConstraintViolation", description)
    if len(events) != 1 or not core.fleet.is_current(cp) or not has_many_readings(events[0]):
        return events, None
    attempts = 0
    while True:
        attempts += 1
        ahead = Ahead(core.fleet, events[0])
        await core.off_loop(ahead.compute)
        if attempts == MAX_ATTEMPTS or not core.fleet.is_current(cp) or ahead.is_current():
            return events, ahead


def has_many_readings(event: ev.Event) -> TypeGuard[Measured]:
    """Return whether the event has so many readings or samples that their effect is to be computed ahead."""
    found = _readings(event)
    return len(found) >= MANY_READINGS or sum(len(reading.samples) for reading in found) >= MANY_SAMPLES


def has_too_many_readings(event: ev.Event) -> bool:
    """Return whether the event's readings would take too much memory. A sample that repeats begins a new reading."""
    return len(_readings(event)) > MAX_READINGS


def _readings(event: ev.Event) -> tuple[ev.Reading, ...]:
    if isinstance(event, ev.TransactionEventReceived) and event.stopped is not None:
        return event.stopped.readings
    if isinstance(event, (ev.MeterValuesReceived, ev.TransactionStopped, ev.TransactionEventReceived)):
        return event.readings
    return ()


def has_too_many_samples(payload: Payload) -> bool:
    """Return whether a MeterValue has more samples than MAX_SAMPLES."""
    items = next((payload[name] for name in _LISTS if isinstance(payload.get(name), list)), ())
    samples = (item.get("sampledValue") for item in items if isinstance(item, dict))
    return any(isinstance(each, Sequence) and len(each) > MAX_SAMPLES for each in samples)


def _parts(payload: Payload) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield the payload with a part of its list of readings at a time, the list's name and the first item's index.

    A part has PART items at most, and is complete once it has PART samples. The samples of the items are not packed.
    """
    for name in _LISTS:
        items = payload.get(name)
        if isinstance(items, list) and items:
            part: list[Any] = []
            samples = first = 0
            for index, item in enumerate(items, 1):
                part.append(unpacked(item))
                samples += _samples(item)
                if len(part) == PART or samples >= PART or index == len(items):
                    yield name, first, {**payload, name: part}
                    part, samples, first = [], 0, index
            return
    yield "", 0, payload


def _samples(item: Any) -> int:
    sampled = item.get("sampledValue") if isinstance(item, dict) else None
    return len(sampled) if isinstance(sampled, Sequence) else 0


def _path(path: str, name: str, first: int) -> str:
    """Return the JSON pointer in the whole payload for one in a part of it."""
    steps = path.split("/")
    if name and len(steps) > 2 and steps[1] == name and steps[2].isdigit():  # noqa: PLR2004
        steps[2] = str(int(steps[2]) + first)
    return "/".join(steps)
