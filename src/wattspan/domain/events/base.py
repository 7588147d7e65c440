"""What all events have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, dataclass_transform

Payload = Mapping[str, Any]
_E = TypeVar("_E")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def event(cls: type[_E]) -> type[_E]:
    """Make a class an event: slotted, keyword-only, and frozen for the type checker.

    It is not frozen at run time: creating a frozen dataclass takes 1.6 µs, this one 0.7, and each message creates some.
    """
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)


@event
class Event:
    """Something that happened to one charge point."""

    cp_id: str
    received_ts: float


class EventRef(NamedTuple):
    """The TransactionEvent that an event comes from (OCPP 2.x E01); None in its place: OCPP 1.6."""

    seq_no: int | None
    """None: the charger sent none that can be parsed, so a repeat can't be recognised by it."""
    charger_ts: float | None
    """When it happened."""
    offline: bool = False
    """Whether it happened while the charger had no connection."""
