"""The data of a virtual charge point, independent of the OCPP version. Pure data; it must not know messages.

Statuses and stop reasons are named as in OCPP 1.6, which distinguishes the most; `dialects` translates them.
"""

from dataclasses import dataclass
from typing import NamedTuple

NO_ERROR = "NoError"
FAULT_STOP_REASON = "Other"
"""The stop reason of a transaction that a fault ends."""


class Hardware(NamedTuple):
    """What a charge point says of itself when it boots. `firmware` is three numbers with dots between them."""

    vendor: str = "Wattspan"
    model: str = "Virtual AC 22"
    firmware: str = "1.0.0"


class ConnectorState(NamedTuple):
    """Status of a connector; `error_code` is one of those in `faults`, or NO_ERROR."""

    status: str
    error_code: str = NO_ERROR


class RemoteStartRequest(NamedTuple):
    """A remote start that the charge point accepted. `remote_start_id` is None in 1.6, which has none."""

    id_tag: str
    remote_start_id: int | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Transaction:
    """A transaction. `id` None: the central system assigns it (1.6) and has not answered yet."""

    connector_id: int
    id_tag: str
    meter_start_wh: int
    started_ts: float
    """Unix seconds by the charge point's clock."""
    id: int | str | None = None
    phases: int = 3
    reservation_id: int | None = None
    remote_start_id: int | None = None
    signed: bool = False
    """Whether the meter signs its first and last reading."""
    next_seq_no: int = 0
    """The seqNo of its next TransactionEvent (2.x)."""
    abandoned: bool = False
    """The central system refused the start; later messages of the transaction are not sent."""


class Sample(NamedTuple):
    """One measured value. `phase` "": it is not for a single phase."""

    measurand: str
    unit: str
    phase: str
    value: float


class Reading(NamedTuple):
    """A meter reading at `ts`, Unix seconds by the charge point's clock; `register_wh` is not in `samples`."""

    ts: float
    register_wh: int
    samples: tuple[Sample, ...]
