"""The events that OCPP conversations and commands result in, in every version: one small frozen class per event.

`*_ts` is Unix seconds, UTC. `received_ts` is our clock, `charger_ts` (and `started_ts`, `stopped_ts`) the charger's;
the two are never mixed. None for a charger's time: it sent none that can be parsed.
Identifiers of connectors and transactions are strings in every version. `apply` changes the state by an event.
"""

from wattspan.domain.events.base import (
    Event,
    EventRef,
    Payload,
    event,
)
from wattspan.domain.events.charge_points import (
    CertificateHeld,
    ChargePointBooted,
    ChargePointConnected,
    ChargePointDecommissioned,
    ChargePointDisconnected,
    ConnectorStatusChanged,
    HeartbeatReceived,
)
from wattspan.domain.events.commands import (
    ChargingProfilesCleared,
    ChargingProfileSet,
    CommandAnswered,
    CommandFailed,
    DynamicScheduleUpdated,
    ReservationCancelled,
    ReservationMade,
    StatusRequested,
)
from wattspan.domain.events.faults import (
    ProtocolFaulted,
    SchemaFaulted,
    VersionMixed,
)
from wattspan.domain.events.reports import (
    DeviceModelReported,
    EventStreamClosed,
    EventStreamOpened,
    EventStreamReceived,
    FileTransferRequested,
    FirmwareStatusChanged,
    InstalledCertificatesReported,
    LogStatusChanged,
    NoticeReceived,
    ProblemReported,
    SecurityEventReported,
)
from wattspan.domain.events.transactions import (
    Authorized,
    ChargingStateChanged,
    MeterValuesReceived,
    Reading,
    TransactionDetailed,
    TransactionEventReceived,
    TransactionStarted,
    TransactionStopped,
)

__all__ = [
    "Authorized",
    "CertificateHeld",
    "ChargePointBooted",
    "ChargePointConnected",
    "ChargePointDecommissioned",
    "ChargePointDisconnected",
    "ChargingProfileSet",
    "ChargingProfilesCleared",
    "ChargingStateChanged",
    "CommandAnswered",
    "CommandFailed",
    "ConnectorStatusChanged",
    "DeviceModelReported",
    "DynamicScheduleUpdated",
    "Event",
    "EventRef",
    "EventStreamClosed",
    "EventStreamOpened",
    "EventStreamReceived",
    "FileTransferRequested",
    "FirmwareStatusChanged",
    "HeartbeatReceived",
    "InstalledCertificatesReported",
    "LogStatusChanged",
    "MeterValuesReceived",
    "NoticeReceived",
    "Payload",
    "ProblemReported",
    "ProtocolFaulted",
    "Reading",
    "ReservationCancelled",
    "ReservationMade",
    "SchemaFaulted",
    "SecurityEventReported",
    "StatusRequested",
    "TransactionDetailed",
    "TransactionEventReceived",
    "TransactionStarted",
    "TransactionStopped",
    "VersionMixed",
    "event",
]
