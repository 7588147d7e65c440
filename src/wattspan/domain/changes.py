"""State that changed and is not durable yet. The store takes it batch by batch; nothing here knows the store."""

from collections.abc import Set
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

    def drop(self, cp_ids: Set[str]) -> None:
        """Forget what changed at these charge points."""
        for cp_id in cp_ids:
            self.charge_points.pop(cp_id, None)
            self.stale_charge_points.pop(cp_id, None)
        for connectors in (self.connectors, self.stale_connectors):
            for key in [key for key in connectors if key[0] in cp_ids]:
                del connectors[key]
        for number in [number for number, each in self.transactions.items() if each.cp_id in cp_ids]:
            del self.transactions[number]
        self.readings = [row for row in self.readings if row.cp_id not in cp_ids]
        self.notes = [note for note in self.notes if note.cp_id not in cp_ids]
        self.decommissioned = [cp_id for cp_id in self.decommissioned if cp_id not in cp_ids]

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
