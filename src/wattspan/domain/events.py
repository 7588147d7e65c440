"""The events that OCPP conversations and commands result in, in every version: one small frozen class per event.

`*_ts` is Unix seconds, UTC. `received_ts` is our clock, `charger_ts` (and `started_ts`, `stopped_ts`) the charger's;
the two are never mixed. None for a charger's time: it sent none that can be parsed.
Identifiers of connectors and transactions are strings in every version. `apply` changes the state by an event.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, dataclass_transform

from wattspan.domain.device_model import Attribute, Characteristics, Monitor
from wattspan.domain.installed import CertificateId

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


@event
class ChargePointConnected(Event):
    """The WebSocket of a charge point was opened. `protocol` is the negotiated subprotocol, e.g. "ocpp1.6"."""

    protocol: str


@event
class ChargePointDisconnected(Event):
    """A WebSocket of a charge point closed. `replaced`: a newer one is open, so the charge point is still connected."""

    code: int
    replaced: bool = False


@event
class CertificateHeld(Event):
    """A charge point presented a client certificate or accepted one from us. It expires at `expires_ts`."""

    expires_ts: float


@event
class ChargePointBooted(Event):
    """BootNotification (OCPP 1.6 §4.2). "": not reported."""

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
    """StatusNotification (OCPP 1.6 §4.9, 2.0.1 G01). `status` is as the charger sent it, defined by OCPP or not.

    In 2.x `connector_id` is the EVSE and `outlet` the connector of it; `outlet` is None in 1.6.
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
    """An id token was checked; `status` is the answer given: Accepted, Invalid, … No token: it is personal data."""

    status: str


class Reading(NamedTuple):
    """One MeterValue: what was measured at one time, in base units. None: not measured.

    A tuple, because every message with meter values creates some, and it costs a third of a frozen dataclass.
    """

    charger_ts: float | None
    register_wh: float | None = None
    """Energy.Active.Import.Register as sent, converted to Wh; negative values are not corrected here."""
    current_a: float | None = None
    """Current.Import of the highest phase, A."""
    power_w: float | None = None
    """Active import power of all phases, W."""
    offered_a: float | None = None
    """Current.Offered, A."""
    soc_percent: float | None = None
    begins: bool = False
    """Whether all samples have the context Transaction.Begin, which makes them past values."""
    samples: Sequence[Payload] = ()
    """The sampledValue list as received."""
    ends: bool = False
    """Whether all samples have the context Transaction.End."""
    location: str = "Outlet"
    """Where `register_wh` was measured."""
    registers: tuple[tuple[str, float], ...] = ()
    """The registers of all locations in order of preference, Wh; empty if there is one location at most."""
    inlet: bool = False
    """Whether current or power were measured elsewhere than at the outlet."""


@event
class MeterValuesReceived(Event):
    """MeterValues (OCPP 1.6 §4.7), or the meter values of a TransactionEvent. `transaction_id` None: none was named.

    `connector_id` "0" with a `ref`: the message named no EVSE.
    """

    connector_id: str
    transaction_id: str | None
    readings: tuple[Reading, ...]
    ref: EventRef | None = None


@event
class TransactionStarted(Event):
    """StartTransaction and the id assigned to it (OCPP 1.6 §4.8), or TransactionEvent Started (2.0.1 E02).

    `key` identifies the start by its content, or in 2.x by the charger's id of it, so that a repeat is recognised.
    `id_token` goes to the store only; "": none yet. `meter_start_wh` None: the charger sent no register.
    `connector_id` "0" with a `ref`: no EVSE was named yet.
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
    """The chargingState of a TransactionEvent (2.0.1 §2.13.3, TransactionType), as the charger sent it."""

    connector_id: str
    transaction_id: str
    state: str
    ref: EventRef


@event
class TransactionDetailed(Event):
    """Further fields of a TransactionEvent about its transaction. None and "": not in this message."""

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

    `meter_stop_wh` None: the charger sent none, or we closed the transaction. `reason` is OCPP's, or "Orphaned", ours:
    closed without a message of the charger; a late stop may correct it. `connector_id` is used only with a `ref`.
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
class TransactionEventReceived(Event):
    """TransactionEvent (OCPP 2.0.1 E01): the whole content of one message, applied at once.

    Plugins and `/events` receive its `parts`. The readings of an Ended message are those of `stopped`, not `readings`.
    `connector_id` "0": no EVSE was named. `charging_state` "": none was sent.
    """

    connector_id: str
    transaction_id: str
    ref: EventRef
    readings: tuple[Reading, ...] = ()
    charging_state: str = ""
    started: TransactionStarted | None = None
    details: TransactionDetailed | None = None
    stopped: TransactionStopped | None = None

    def parts(self, wanted: Callable[[type[Event]], object] = lambda kind: True) -> list[Event]:
        """Return the events to publish: the start, details, readings, state and end, as far as the message has them.

        Readings and state come with most messages: unless `wanted` of their class is true, they are not created.
        """
        found: list[Event] = []
        if self.started is not None:
            found.append(self.started)
        if self.details is not None:
            found.append(self.details)
        if self.readings and wanted(MeterValuesReceived):
            found.append(
                MeterValuesReceived(
                    cp_id=self.cp_id,
                    received_ts=self.received_ts,
                    connector_id=self.connector_id,
                    transaction_id=self.transaction_id,
                    readings=self.readings,
                    ref=self.ref,
                )
            )
        if self.charging_state and wanted(ChargingStateChanged):
            found.append(
                ChargingStateChanged(
                    cp_id=self.cp_id,
                    received_ts=self.received_ts,
                    connector_id=self.connector_id,
                    transaction_id=self.transaction_id,
                    state=self.charging_state,
                    ref=self.ref,
                )
            )
        if self.stopped is not None:
            found.append(self.stopped)
        return found


@event
class FirmwareStatusChanged(Event):
    """FirmwareStatusNotification, SignedFirmwareStatusNotification. `request_id` is the update's, if it has one."""

    status: str
    request_id: int | None = None


@event
class LogStatusChanged(Event):
    """DiagnosticsStatusNotification, LogStatusNotification. `request_id` is the upload's, if it has one."""

    status: str
    request_id: int | None = None


@event
class FileTransferRequested(Event):
    """UpdateFirmware, SignedUpdateFirmware, GetLog or GetDiagnostics was accepted.

    `kind` is "firmware" or "log". `status` is "" if the answer has none (OCPP 1.6).
    """

    kind: str
    status: str
    request_id: int | None = None


@event
class InstalledCertificatesReported(Event):
    """The answer to GetInstalledCertificateIds: the certificates of each type that was asked for, possibly none."""

    certificates: Mapping[str, Sequence[CertificateId]]


@event
class SecurityEventReported(Event):
    """SecurityEventNotification (OCPP 1.6 security whitepaper §A00)."""

    type: str
    charger_ts: float | None
    tech_info: str = ""


@event
class ProblemReported(Event):
    """NotifyEvent of a variable that reports a problem (OCPP 2.x N07). `error_type` is a bounded metric label.

    `connector_id` is the EVSE's; None: the charge point as a whole.
    """

    error_type: str
    connector_id: str | None = None
    component: str = ""
    tech_code: str = ""
    tech_info: str = ""


@event
class DeviceModelReported(Event):
    """Parts of a 2.x device model, from a report, an event, or the answer to a command that read or set them.

    `reported_ts` is the charger's time if it is credible, else ours: an older report does not replace a newer one.
    """

    reported_ts: float
    attributes: tuple[Attribute, ...] = ()
    characteristics: tuple[Characteristics, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    cleared_monitors: tuple[int, ...] = ()


@event
class EventStreamOpened(Event):
    """A charger opened a periodic event stream, or reported an open one (OCPP 2.1 N11, N13)."""

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
    """NotifyPeriodicEventStream (OCPP 2.1 N11): the newest of its values, and the number of them."""

    stream_id: int
    value: str
    reported_ts: float
    count: int


@event
class NoticeReceived(Event):
    """A message that changes no state and is passed to plugins: settlements, DER alarms, battery swaps, …

    `payload` is as received; it may contain personal data (NotifyCustomerInformation). It is not stored.
    """

    action: str
    payload: Payload


@event
class VersionMixed(Event):
    """A message in the format of an older OCPP version than the negotiated one; it was processed as that version."""

    action: str


@event
class ProtocolFaulted(Event):
    """The charge point violated OCPP-J. `code` is the CALLERROR code of the violation, whether or not one was sent."""

    code: str


@event
class SchemaFaulted(Event):
    """A payload that breaks its schema was accepted: it is counted, and answered as if it did not."""

    action: str


@event
class StatusRequested(Event):
    """A command that requests StatusNotification is sent (TriggerMessage). `connector_id` None: of each connector."""

    connector_id: str | None = None


@event
class CommandAnswered(Event):
    """A charge point answered a command. `status` "": it has none; `accepted`: whether it is a success."""

    action: str
    status: str
    accepted: bool
    duration_s: float
    connector_id: str | None = None


@event
class CommandFailed(Event):
    """A command got a CALLERROR or no answer in time, or its connection was lost. `error_type` is the cause."""

    action: str
    error_type: str
    duration_s: float
    connector_id: str | None = None


@event
class ChargingProfileSet(Event):
    """SetChargingProfile, or a remote start with a profile, was accepted. `profile` is as sent."""

    connector_id: str
    profile: Payload


@event
class ChargingProfilesCleared(Event):
    """ClearChargingProfile was accepted; each criterion None matches all (OCPP 1.6 §5.5).

    A `profile_id` of type str is our name for an external limit (2.x NotifyChargingLimit).
    """

    profile_id: int | str | None = None
    connector_id: str | None = None
    purpose: str | None = None
    stack_level: int | None = None


@event
class DynamicScheduleUpdated(Event):
    """UpdateDynamicSchedule was accepted (OCPP 2.1 K28). `update`: the fields of the period that change."""

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
    """An operator removed a charge point, which removes it from the state and from every metric."""
