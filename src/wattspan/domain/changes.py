"""What changed and is not durable yet. The store takes it a batch at a time; nothing here knows of the store."""

from dataclasses import dataclass, field

from wattspan.domain.events import (
    DeviceModelReported,
    EventStreamClosed,
    EventStreamOpened,
    EventStreamReceived,
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
)


@dataclass(slots=True)
class Changes:
    """Objects to be written, each once a batch however often it changed.

    `charge_points` and `connectors` are due with the next batch; `stale` ones (last message seen, figures of now)
    may wait for the next flush: losing them to a crash loses nothing that a charger was told is safe.
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
        """Whether anything waits that an answer must not overtake."""
        return bool(
            self.readings
            or self.transactions
            or self.charge_points
            or self.connectors
            or self.notes
            or self.decommissioned
        )
