"""The bodies of operations, the same for every OCPP version. `connector_id` is the EVSE id of 2.x."""

from abc import abstractmethod
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from wattspan.api.models.common import At, Body, Token
from wattspan.api.problems import Problem
from wattspan.csms.operations import parameters as op

Connector = Annotated[int, Field(ge=0, le=2**31 - 1)]
Int32 = Annotated[int, Field(ge=0, le=2**31 - 1)]
Url = Annotated[str, Field(max_length=512, pattern=r"^[a-z][a-z0-9+.-]*://[\x21-\x7e]+$")]


class RateUnit(StrEnum):
    """The unit of a limit."""

    A = "A"
    W = "W"


class LogKind(StrEnum):
    """The kind of a log."""

    DIAGNOSTICS = "diagnostics"
    SECURITY = "security"


class ListUpdate(StrEnum):
    """How a local list is updated."""

    FULL = "Full"
    DIFFERENTIAL = "Differential"


class OperationBody(Body):
    """Base of the bodies of operations."""

    @abstractmethod
    def operation(self) -> op.Operation:
        """Return the operation that the body describes."""


class Start(OperationBody):
    """Start charging. `connector_id` null: the charge point chooses."""

    id_tag: Token
    connector_id: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None

    def operation(self) -> op.Operation:
        return op.RemoteStart(id_tag=self.id_tag, connector_id=self.connector_id)


class Stop(OperationBody):
    """Stop charging. `transaction` is Wattspan's number; null: the only one that is open."""

    transaction: Annotated[int, Field(ge=1, lt=2**63)] | None = None

    def operation(self) -> op.Operation:
        return op.RemoteStop(transaction=self.transaction)


class Unlock(OperationBody):
    """Unlock the cable of a connector."""

    connector_id: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1

    def operation(self) -> op.Operation:
        return op.Unlock(connector_id=self.connector_id)


class Reset(OperationBody):
    """Restart the charge point. `hard`: at once, even during a transaction."""

    hard: bool = False

    def operation(self) -> op.Operation:
        return op.Reset(hard=self.hard)


class Reserve(OperationBody):
    """Reserve a connector for an id tag. `reservation_id` null: a random one."""

    id_tag: Token
    parent_id_tag: Token | None = None
    connector_id: Connector = 0
    expires_at: At
    reservation_id: Int32 | None = None

    def operation(self) -> op.Operation:
        return op.Reserve(
            id_tag=self.id_tag,
            parent_id_tag=self.parent_id_tag,
            connector_id=self.connector_id,
            expires_at=self.expires_at,
            reservation_id=self.reservation_id,
        )


class CancelReservation(OperationBody):
    """Cancel a reservation."""

    reservation_id: Int32

    def operation(self) -> op.Operation:
        return op.CancelReservation(reservation_id=self.reservation_id)


class Limit(OperationBody):
    """Limit current or power from now on. `connector_id` 0 caps the whole charge point, any other each session there.

    `phases` null: as many as the charge point has. `lasts_s` null: until it is cleared.
    """

    limit: Annotated[float, Field(ge=0, le=1_000_000, multiple_of=0.1)]
    unit: RateUnit = RateUnit.A
    connector_id: Connector = 0
    phases: Annotated[int, Field(ge=1, le=3)] | None = None
    stack_level: Annotated[int, Field(ge=0, le=1000)] = 0
    lasts_s: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    profile_id: Int32 | None = None

    def operation(self) -> op.Operation:
        return op.SetLimit(
            limit=self.limit,
            unit=self.unit.value,
            connector_id=self.connector_id,
            phases=self.phases,
            stack_level=self.stack_level,
            duration_s=self.lasts_s,
            profile_id=self.profile_id,
        )


class ClearLimit(OperationBody):
    """Clear the charging profiles that match every criterion given; with none, all of them."""

    profile_id: Int32 | None = None
    connector_id: Connector | None = None
    stack_level: Annotated[int, Field(ge=0, le=1000)] | None = None

    def operation(self) -> op.Operation:
        return op.ClearLimit(profile_id=self.profile_id, connector_id=self.connector_id, stack_level=self.stack_level)


class Availability(OperationBody):
    """Take a connector into or out of service; `connector_id` 0 is the whole charge point."""

    operative: bool
    connector_id: Connector = 0

    def operation(self) -> op.Operation:
        return op.SetAvailability(operative=self.operative, connector_id=self.connector_id)


class Trigger(OperationBody):
    """Ask for a message now; `message` is OCPP's name of it."""

    message: Annotated[str, Field(max_length=50, pattern="^[A-Za-z0-9]+$")]
    connector_id: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None

    def operation(self) -> op.Operation:
        return op.Trigger(message=self.message, connector_id=self.connector_id)


class SendLocalList(OperationBody):
    """Send all id tags on file, or only those named. `version` null: Unix seconds, which rise with every list."""

    update: ListUpdate = ListUpdate.FULL
    id_tags: Annotated[list[Token], Field(max_length=10_000)] | None = None
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None

    def operation(self) -> op.Operation:
        return op.SendLocalList(update=self.update.value, id_tags=self.id_tags, version=self.version)


class Logs(OperationBody):
    """Have a log uploaded. `location` null: to this server, which keeps it (`/diagnostics`)."""

    kind: LogKind = LogKind.DIAGNOSTICS
    location: Url | None = None
    from_at: At | None = None
    until_at: At | None = None

    def operation(self) -> op.Operation:
        return op.GetLogs(kind=self.kind.value, location=self.location, from_at=self.from_at, until_at=self.until_at)


class Firmware(OperationBody):
    """Have firmware fetched and installed: one that was uploaded here (`firmware_id`), or from a `location`."""

    firmware_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    location: Url | None = None
    retrieve_at: At | None = None

    def operation(self) -> op.Operation:
        """Return the operation. Raises Problem 422 without a `location`."""
        if not self.location:
            faults = [("/location", "is required unless there is a firmware_id")]
            raise Problem(422, "the firmware's location is required", faults=faults)
        return op.UpdateFirmware(location=self.location, retrieve_at=self.retrieve_at)
