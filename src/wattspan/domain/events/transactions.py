"""Events of transactions, and what is measured during them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from wattspan.domain.events.base import Event, EventRef, Payload, event


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
    interval: tuple[str, float] | None = None
    """Energy.Active.Import.Interval and its context, Wh; only if no register was measured."""


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
