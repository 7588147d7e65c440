"""What a conversation meant, whatever the OCPP version: one small frozen class an event.

`*_ts` is Unix seconds, UTC. `received_ts` is our clock, `charger_ts` (and `started_ts`, `stopped_ts`) the charger's;
the two are never mixed. None for a charger's time means that it told none that can be read.
Identifiers of connectors and transactions are strings in every version.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, dataclass_transform

from wattspan.domain.device_model import Attribute, Characteristics, Monitor

Payload = Mapping[str, Any]
_E = TypeVar("_E")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def event(cls: type[_E]) -> type[_E]:
    """Make a class an event: slotted, by keyword only, and frozen, which the type checker holds.

    At run time nothing does: a frozen dataclass costs 1.6 µs to make, this one 0.7, and each message makes some.
    """
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)


@event
class Event:
    """Something that happened to one charge point."""

    cp_id: str
    received_ts: float


class EventRef(NamedTuple):
    """Which message about a transaction an event comes from, where the charger numbers them (OCPP 2.x E01).

    All events of one message share one EventRef; None in its place: OCPP 1.6, where we give transactions their id.
    """

    seq_no: int | None
    """None: it sent none that can be read, so a repeat can't be told by it."""
    charger_ts: float | None
    """When it happened."""
    offline: bool = False
    """It happened while the charger had no connection."""


@event
class ChargePointConnected(Event):
    """Its WebSocket is open. `protocol` is the subprotocol in force, e.g. "ocpp1.6"."""

    protocol: str


@event
class ChargePointDisconnected(Event):
    """A WebSocket of it closed. `replaced`: a newer one is open already, so the charge point is still there."""

    code: int
    replaced: bool = False


@event
class CertificateHeld(Event):
    """It has a client certificate that ends at `expires_ts`: it came with it, or took it from us."""

    expires_ts: float


@event
class ChargePointBooted(Event):
    """BootNotification (OCPP 1.6 §4.2). Empty text: not told."""

    vendor: str = ""
    model: str = ""
    serial_number: str = ""
    firmware: str = ""
    accepted: bool = True
    details: Payload = field(default_factory=dict)


@event
class HeartbeatReceived(Event):
    """Heartbeat (OCPP 1.6 §4.6)."""


@event
class ConnectorStatusChanged(Event):
    """StatusNotification (OCPP 1.6 §4.9, 2.0.1 G01). `status` is the charger's own word, known to OCPP or not.

    `outlet`: the connector of an EVSE that it is about (2.x), where `connector_id` is the EVSE; None in 1.6.
    """

    connector_id: str
    status: str
    error_code: str = "NoError"
    vendor_error_code: str = ""
    info: str = ""
    charger_ts: float | None = None
    outlet: str | None = None


@event
class Authorized(Event):
    """An id token was judged; `status` is the answer given: Accepted, Invalid, … No token: it is personal data."""

    status: str


class Reading(NamedTuple):
    """One MeterValue: what was measured at one moment, in base units. None: not measured.

    A tuple, for it is made with every meter value message and costs a third of a frozen dataclass.
    """

    charger_ts: float | None
    register_wh: float | None = None
    """Energy.Active.Import.Register as sent, units made equal; never negative-corrected here."""
    current_a: float | None = None
    """Current.Import of the highest phase, A."""
    power_w: float | None = None
    """Active import power of all phases, W."""
    offered_a: float | None = None
    """Current.Offered, A."""
    soc_percent: float | None = None
    begins: bool = False
    """All of it is of context Transaction.Begin: history, not the live value."""
    samples: Sequence[Payload] = ()
    """The sampledValue list as it came."""


@event
class MeterValuesReceived(Event):
    """MeterValues (OCPP 1.6 §4.7), or those of a TransactionEvent. `transaction_id` None: none was named.

    `connector_id` "0" with a EventRef: the message named no EVSE.
    """

    connector_id: str
    transaction_id: str | None
    readings: tuple[Reading, ...]
    ref: EventRef | None = None


@event
class TransactionStarted(Event):
    """StartTransaction and the id it was given (OCPP 1.6 §4.8), or TransactionEvent Started (2.0.1 E02).

    `key` identifies the start by its content, or in 2.x by the id the charger gave it, so that a repeat is recognised.
    `id_token` goes to the store alone; "" is none yet. `meter_start_wh` None: the charger told no register.
    `connector_id` "0" with a EventRef: no EVSE was named yet.
    """

    connector_id: str
    transaction_id: str
    key: str
    id_token: str
    meter_start_wh: float | None
    started_ts: float | None
    reservation_id: int | None = None
    status: str = "Accepted"
    id_token_type: str = ""
    ref: EventRef | None = None


@event
class ChargingStateChanged(Event):
    """The chargingState of a TransactionEvent (2.0.1 §2.13.3, TransactionType), in the charger's own word."""

    connector_id: str
    transaction_id: str
    state: str
    ref: EventRef


@event
class TransactionDetailed(Event):
    """What a TransactionEvent tells about its transaction beside state and meter. None and "": not told with it."""

    connector_id: str
    transaction_id: str
    ref: EventRef
    id_token: str = ""
    id_token_type: str = ""
    reservation_id: int | None = None
    remote_start_id: int | None = None
    phases_used: int | None = None
    cable_max_a: float | None = None


@event
class TransactionStopped(Event):
    """StopTransaction (OCPP 1.6 §4.10), TransactionEvent Ended (2.0.1 E06).

    `meter_stop_wh` None: the charger did not say, or it was closed by us. `reason` is OCPP's word; "Orphaned" is ours:
    closed without a word from the charger, a late stop may correct it. `connector_id` matters only with a EventRef.
    """

    transaction_id: str
    meter_stop_wh: float | None
    stopped_ts: float | None
    reason: str = "Local"
    id_token: str | None = None
    readings: tuple[Reading, ...] = ()
    connector_id: str = "0"
    ref: EventRef | None = None


@event
class FirmwareStatusChanged(Event):
    """FirmwareStatusNotification and its signed sister."""

    status: str


@event
class LogStatusChanged(Event):
    """DiagnosticsStatusNotification, LogStatusNotification."""

    status: str


@event
class SecurityEventReported(Event):
    """SecurityEventNotification (OCPP 1.6 security whitepaper §A00)."""

    type: str
    charger_ts: float | None
    tech_info: str = ""


@event
class ProblemReported(Event):
    """NotifyEvent of a variable that means trouble (OCPP 2.x N07). `error_type` is a metric label, bounded.

    `connector_id` is the EVSE's, None for the charge point as a whole.
    """

    error_type: str
    connector_id: str | None = None
    component: str = ""
    tech_code: str = ""
    tech_info: str = ""


@event
class DeviceModelReported(Event):
    """Parts of a 2.x device model, from a report, an event, or the answer to a command that read or set them.

    `told_ts` is the charger's time where it is credible: what was told earlier does not replace what was told later.
    """

    told_ts: float
    attributes: tuple[Attribute, ...] = ()
    characteristics: tuple[Characteristics, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    cleared_monitors: tuple[int, ...] = ()


@event
class EventStreamOpened(Event):
    """A charger opened, or was found to have open, a periodic event stream (OCPP 2.1 N11, N13)."""

    stream_id: int
    monitor_id: int
    interval_s: int | None = None
    values: int | None = None


@event
class EventStreamClosed(Event):
    """ClosePeriodicEventStream (OCPP 2.1 N12)."""

    stream_id: int


@event
class EventStreamReceived(Event):
    """NotifyPeriodicEventStream (OCPP 2.1 N11): the newest of its values, and how many there were."""

    stream_id: int
    value: str
    told_ts: float
    count: int


@event
class NoticeReceived(Event):
    """A message that changes nothing here and is carried to whoever listens: settlements, DER alarms, battery swaps, …

    `payload` is as it came; there may be personal data in it (NotifyCustomerInformation). It is not stored.
    """

    action: str
    payload: Payload


@event
class VersionMixed(Event):
    """A message in the shape of an older OCPP version than the one negotiated; it was understood as that."""

    action: str


@event
class ProtocolFaulted(Event):
    """The charge point sent what OCPP-J does not allow. `code` is the CALLERROR code it got or deserved."""

    code: str


@event
class SchemaFaulted(Event):
    """A payload that breaks its schema was met leniently: noted, and answered as if it did not."""

    action: str


@event
class CommandAnswered(Event):
    """A charge point answered a command. `status` is "" for answers that have none; `accepted` is our reading of it."""

    action: str
    status: str
    accepted: bool
    duration_s: float
    connector_id: str | None = None


@event
class CommandFailed(Event):
    """A command got a CALLERROR, no answer in time, or lost its connection: `error_type`."""

    action: str
    error_type: str
    duration_s: float
    connector_id: str | None = None


@event
class ChargingProfileSet(Event):
    """SetChargingProfile, or a remote start with a profile, was accepted. `profile` is csChargingProfiles as sent."""

    connector_id: str
    profile: Payload


@event
class ChargingProfilesCleared(Event):
    """ClearChargingProfile was accepted; each criterion None matches all (OCPP 1.6 §5.5).

    A `profile_id` that is a text is our name for an external limit (2.x NotifyChargingLimit).
    """

    profile_id: int | str | None = None
    connector_id: str | None = None
    purpose: str | None = None
    stack_level: int | None = None


@event
class DynamicScheduleUpdated(Event):
    """UpdateDynamicSchedule was accepted (OCPP 2.1 K28): `update` holds the fields of the period that change."""

    profile_id: int
    update: Payload


@event
class ReservationMade(Event):
    """ReserveNow was accepted."""

    reservation_id: int
    connector_id: str
    id_token: str
    parent_id_token: str | None
    expires_ts: float | None


@event
class ReservationCancelled(Event):
    """CancelReservation was accepted."""

    reservation_id: int


@event
class ChargePointDecommissioned(Event):
    """It was removed by an operator: it leaves the state and every metric."""
