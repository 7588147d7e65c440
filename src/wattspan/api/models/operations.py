"""The bodies of operations, the same for every OCPP version. `connector_id` is the EVSE id of 2.x."""

from abc import abstractmethod
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from wattspan.api.models.common import At, Body, Token
from wattspan.api.problems import Problem
from wattspan.csms.operations import parameters as op
from wattspan.csms.operations.context import period_faults

Connector = Annotated[int, Field(ge=0, le=2**31 - 1)]
Int32 = Annotated[int, Field(ge=0, le=2**31 - 1)]
Retries = Annotated[int, Field(ge=0, le=1000)]
Rate = Annotated[float, Field(ge=0, le=1_000_000, multiple_of=0.1)]
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
    """Unlock the cable of a connector.

    `evse_connector_id` is the connector of the EVSE in 2.x; null: the one in use, or else the first.
    """

    connector_id: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1
    evse_connector_id: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None

    def operation(self) -> op.Operation:
        return op.Unlock(connector_id=self.connector_id, evse_connector_id=self.evse_connector_id)


class Reset(OperationBody):
    """Restart the charge point. `hard`: at once, even during a transaction."""

    hard: bool = False

    def operation(self) -> op.Operation:
        return op.Reset(hard=self.hard)


class Reserve(OperationBody):
    """Reserve a connector for an id tag.

    `parent_id_tag` null: the group of the id tag on file. `reservation_id` null: a random one.
    """

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


class LimitPeriod(Body):
    """A part of a limit, from `start_s` seconds after its start to the next part. `phases` null: all."""

    start_s: Int32
    limit: Rate
    phases: Annotated[int, Field(ge=1, le=3)] | None = None


class Limit(OperationBody):
    """Limit current or power from now on, by one `limit` or by `periods`, of which the first starts at 0.

    `connector_id` 0 caps the whole charge point, any other each session there. `transaction` is Wattspan's number of an
    open session, which alone is limited. `phases` null: as many as the charge point has. `lasts_s` null: until it is
    cleared.
    """

    limit: Rate | None = None
    periods: Annotated[list[LimitPeriod], Field(max_length=1024, default_factory=list)]
    transaction: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    unit: RateUnit = RateUnit.A
    connector_id: Connector = 0
    phases: Annotated[int, Field(ge=1, le=3)] | None = None
    stack_level: Annotated[int, Field(ge=0, le=1000)] = 0
    lasts_s: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    profile_id: Int32 | None = None

    def operation(self) -> op.Operation:
        """Return the operation. Raises Problem 422 if the periods do not fit together."""
        operation = op.SetLimit(
            limit=self.limit,
            periods=[
                op.LimitPeriod(start_s=each.start_s, limit=each.limit, phases=each.phases) for each in self.periods
            ],
            transaction=self.transaction,
            unit=self.unit.value,
            connector_id=self.connector_id,
            phases=self.phases,
            stack_level=self.stack_level,
            duration_s=self.lasts_s,
            profile_id=self.profile_id,
        )
        faults = list(period_faults(operation))
        if faults:
            raise Problem(422, "the limit is not valid", faults=faults)
        return operation


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
    """Send all id tags on file, or only those named. `version` null: Unix seconds, which rise with every list.

    A differential update deletes the entries of `remove`, and of those `id_tags` that are not on file. If the charge
    point refuses it (VersionMismatch, Failed), the full list of all id tags on file follows, with a version above the
    charge point's; the answer is then the one to the full list.
    """

    update: ListUpdate = ListUpdate.FULL
    id_tags: Annotated[list[Token], Field(max_length=10_000)] | None = None
    remove: Annotated[list[Token], Field(max_length=10_000, default_factory=list)]
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None

    def operation(self) -> op.Operation:
        """Return the operation. Raises Problem 422 for entries to remove that contradict the rest."""
        both = {each.casefold() for each in self.remove} & {each.casefold() for each in self.id_tags or ()}
        if self.remove and (self.update is ListUpdate.FULL or both):
            reason = "needs a differential update" if self.update is ListUpdate.FULL else "must not be in id_tags too"
            raise Problem(422, "the local list is not valid", faults=[("/remove", reason)])
        return op.SendLocalList(
            update=self.update.value, id_tags=self.id_tags, remove=self.remove, version=self.version
        )


class Logs(OperationBody):
    """Have a log uploaded. `location` null: to this server, which keeps it (`/diagnostics`).

    `retries` is how often the charge point tries again, `retry_interval_s` the pause before; null: as it decides.
    """

    kind: LogKind = LogKind.DIAGNOSTICS
    location: Url | None = None
    from_at: At | None = None
    until_at: At | None = None
    retries: Retries | None = None
    retry_interval_s: Int32 | None = None

    def operation(self) -> op.Operation:
        return op.GetLogs(
            kind=self.kind.value,
            location=self.location,
            from_at=self.from_at,
            until_at=self.until_at,
            retries=self.retries,
            retry_interval_s=self.retry_interval_s,
        )


class Firmware(OperationBody):
    """Have firmware fetched and installed: one that was uploaded here (`firmware_id`), or from a `location`.

    `signing_certificate` (PEM) and `signature` (Base64) are given together; the charge point then verifies the firmware
    (SignedUpdateFirmware in 1.6). `install_at` without them needs OCPP 2.x. `retries` is how often it tries again to
    fetch the firmware, `retry_interval_s` the pause before; null: as it decides.
    """

    firmware_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    location: Url | None = None
    retrieve_at: At | None = None
    install_at: At | None = None
    signing_certificate: Annotated[str, Field(min_length=1, max_length=5500)] | None = None
    signature: Annotated[str, Field(min_length=1, max_length=800)] | None = None
    retries: Retries | None = None
    retry_interval_s: Int32 | None = None

    def operation(self) -> op.Operation:
        """Return the operation. Raises Problem 422 without a `location`, or with one half of a signature."""
        if not self.location:
            faults = [("/location", "is required unless there is a firmware_id")]
            raise Problem(422, "the firmware's location is required", faults=faults)
        if (self.signing_certificate is None) != (self.signature is None):
            missing = "/signature" if self.signature is None else "/signing_certificate"
            raise Problem(422, "signature and certificate are given together", faults=[(missing, "is required")])
        return op.UpdateFirmware(
            location=self.location,
            retrieve_at=self.retrieve_at,
            install_at=self.install_at,
            signing_certificate=self.signing_certificate,
            signature=self.signature,
            retries=self.retries,
            retry_interval_s=self.retry_interval_s,
        )
