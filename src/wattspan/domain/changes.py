"""State that changed and is not durable yet. The store takes it batch by batch; nothing here knows the store."""

from dataclasses import dataclass, field

from wattspan.domain.events import (
    DeviceModelReported,
    EventStreamClosed,
    EventStreamOpened,
    EventStreamReceived,
    FileTransferRequested,
    FirmwareStatusChanged,
    InstalledCertificatesReported,
    LogStatusChanged,
    ReservationCancelled,
    ReservationMade,
    SecurityEventReported,
)
from wattspan.domain.model import ChargePoint, Connector, ReadingRow, Transaction

Note = (
    ReservationMade
    | ReservationCancelled
    | SecurityEventReported
    | DeviceModelReported
    | EventStreamOpened
    | EventStreamClosed
    | EventStreamReceived
    | FileTransferRequested
    | FirmwareStatusChanged
    | LogStatusChanged
    | InstalledCertificatesReported
)
"""Events that go to the store as they are. Most of them change nothing in memory."""


@dataclass(slots=True)
class Changes:
    """Objects to be written, each once per batch however often it changed.

    `charge_points` and `connectors` are due with the next batch; `stale` ones (time of the last message, live figures)
    may wait for the next flush: a crash that loses them loses nothing that a charger got an answer for.
    """

    charge_points: dict[str, ChargePoint] = field(default_factory=dict)
    connectors: dict[tuple[str, str], Connector] = field(default_factory=dict)
    transactions: dict[int, Transaction] = field(default_factory=dict)
    readings: list[ReadingRow] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    decommissioned: list[str] = field(default_factory=list)
    stale_charge_points: dict[str, ChargePoint] = field(default_factory=dict)
    stale_connectors: dict[tuple[str, str], Connector] = field(default_factory=dict)

    @property
    def due(self) -> bool:
        """Whether anything must be durable before the next answer is sent."""
        return bool(
            self.readings
            or self.transactions
            or self.charge_points
            or self.connectors
            or self.notes
            or self.decommissioned
        )
