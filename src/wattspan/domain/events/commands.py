"""Events of commands: their answers, and what charge points accepted."""

from wattspan.domain.events.base import Event, Payload, event


@event
class StatusRequested(Event):
    """A command that requests StatusNotification is sent (TriggerMessage). `connector_id` None: of each connector."""

    connector_id: str | None = None


@event
class CommandAnswered(Event):
    """A charge point answered a command. `status` "": it has none; `accepted`: whether it is a success.

    `trace_id`, `span_id`: those of the command's span, in hexadecimal; "": it has none.
    """

    action: str
    status: str
    accepted: bool
    duration_s: float
    connector_id: str | None = None
    trace_id: str = ""
    span_id: str = ""


@event
class CommandFailed(Event):
    """A command got a CALLERROR or no answer in time, or its connection was lost. `error_type` is the cause."""

    action: str
    error_type: str
    duration_s: float
    connector_id: str | None = None
    trace_id: str = ""
    span_id: str = ""


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
