"""What a charge point knows and tells, in no OCPP version's words but those that all share. Pure data.

Statuses and reasons to stop are named as OCPP 1.6 names them, because it tells most apart; `dialects` translate.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

NO_ERROR = "NoError"
FAULT = "Other"
"""The reason of a stop by a fault."""


def timestamp(ts: float) -> str:
    """Unix seconds as OCPP writes them."""
    return datetime.fromtimestamp(ts, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class State(NamedTuple):
    """How an outlet stands; `error_code` is one of `faults`, or NO_ERROR."""

    status: str
    error_code: str = NO_ERROR


class Summons(NamedTuple):
    """A remote start: for whose card, and under which number (2.x; None: 1.6 has none)."""

    id_tag: str
    remote_start_id: int | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Transaction:
    """A transaction as the charge point knows it. `id` None: the central system gives it, and has not answered yet."""

    connector_id: int
    id_tag: str
    meter_start_wh: int
    started_ts: float
    """By the charge point's clock."""
    id: int | str | None = None
    phases: int = 3
    reservation_id: int | None = None
    remote_start_id: int | None = None
    signed: bool = False
    """The meter signs its first and last reading."""
    events: int = 0
    """Events of it that were made: the seqNo of the next (2.x)."""
    abandoned: bool = False
    """The central system would not take the start; it will not hear the rest."""


class Sample(NamedTuple):
    """One figure of the meter. `phase` "": of all of them, or of none."""

    measurand: str
    unit: str
    phase: str
    value: float


class Reading(NamedTuple):
    """All that the meter shows at `ts`, Unix seconds by the charge point's clock; `register_wh` is not in `samples`."""

    ts: float
    register_wh: int
    samples: tuple[Sample, ...]
