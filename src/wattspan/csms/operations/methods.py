"""The operations as methods with typed keywords, for `CentralSystem`, plugins and the API alike."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime

from wattspan.csms.commands import CommandResult
from wattspan.csms.operations import parameters as op


class OperationMethods(ABC):
    """One method an operation, the same for every OCPP version.

    `connector_id` is the connector number of OCPP 1.6 and the EVSE id of 2.x. `timeout_s` is how long to wait for the
    answer; None: as configured. Each method returns the charge point's answer, which may be a refusal: look at
    `CommandResult.accepted`.

    Cancellation: safe; a late answer is counted and dropped.

    Every method raises:
        NotConnected: the charge point has no open connection.
        CommandTimeout: no answer within `timeout_s`.
        CommandRefused: it answered with a CALLERROR.
        ConnectionLost: the connection closed before the answer.
        CommandInvalid: a parameter breaks the schema of the charge point's OCPP version. Nothing was sent.
        OperationUnsupported: the OCPP version has no such operation. Nothing was sent.
    """

    @abstractmethod
    async def perform(self, cp_id: str, operation: op.Operation, *, timeout_s: float | None = None) -> CommandResult:
        """Send an operation, and return the charge point's answer. Raises as every method here does."""

    async def remote_start(
        self, cp_id: str, *, id_tag: str, connector_id: int | None = None, timeout_s: float | None = None
    ) -> CommandResult:
        """Start a transaction for an id tag; the charge point chooses the connector when `connector_id` is None.

        Returns the answer. Raises NotConnected, CommandTimeout, CommandRefused, CommandInvalid, ConnectionLost.
        """
        return await self.perform(cp_id, op.RemoteStart(id_tag=id_tag, connector_id=connector_id), timeout_s=timeout_s)

    async def remote_stop(
        self, cp_id: str, *, transaction: int | None = None, timeout_s: float | None = None
    ) -> CommandResult:
        """Stop a transaction, by Wattspan's number (`Transaction.number`); None: the only one that is open.

        Raises TransactionNotIdentified when it is not open, or when None is given and not exactly one is open.

        Returns the answer. Raises NotConnected, CommandTimeout, CommandRefused, CommandInvalid, ConnectionLost.
        """
        return await self.perform(cp_id, op.RemoteStop(transaction=transaction), timeout_s=timeout_s)

    async def reset(self, cp_id: str, *, hard: bool = False, timeout_s: float | None = None) -> CommandResult:
        """Restart the charge point: `hard` at once, otherwise when it suits (1.6 Soft, 2.x OnIdle).

        Returns the answer. Raises NotConnected, CommandTimeout, CommandRefused, CommandInvalid, ConnectionLost.
        """
        return await self.perform(cp_id, op.Reset(hard=hard), timeout_s=timeout_s)

    async def unlock(
        self,
        cp_id: str,
        *,
        connector_id: int = 1,
        evse_connector_id: int | None = None,
        timeout_s: float | None = None,
    ) -> CommandResult:
        """Unlock a connector's cable. Accepted means that it is unlocked.

        `evse_connector_id` is the connector of the EVSE in 2.x; None: the one in use, or else the first.

        Returns the answer. Raises NotConnected, CommandTimeout, CommandRefused, CommandInvalid, ConnectionLost.
        """
        operation = op.Unlock(connector_id=connector_id, evse_connector_id=evse_connector_id)
        return await self.perform(cp_id, operation, timeout_s=timeout_s)

    async def reserve(
        self,
        cp_id: str,
        *,
        id_tag: str,
        expires_at: datetime,
        connector_id: int = 0,
        parent_id_tag: str | None = None,
        reservation_id: int | None = None,
        timeout_s: float | None = None,
    ) -> CommandResult:
        """Reserve a connector (0: any) for an id tag until `expires_at`, which has a time zone.

        `parent_id_tag` None: the group of the id tag on file. `reservation_id` None: a random one;
        `Store.open_reservations` lists those that were accepted.

        Returns the answer. Raises NotConnected, CommandTimeout, CommandRefused, CommandInvalid, ConnectionLost.
        """
        operation = op.Reserve(
            id_tag=id_tag,
            expires_at=expires_at,
            connector_id=connector_id,
            parent_id_tag=parent_id_tag,
            reservation_id=reservation_id,
        )
        return await self.perform(cp_id, operation, timeout_s=timeout_s)

    async def cancel_reservation(
        self, cp_id: str, *, reservation_id: int, timeout_s: float | None = None
    ) -> CommandResult:
        """Cancel a reservation.

        Returns the answer. Raises NotConnected, CommandTimeout, CommandRefused, CommandInvalid, ConnectionLost.
        """
        return await self.perform(cp_id, op.CancelReservation(reservation_id=reservation_id), timeout_s=timeout_s)

    async def set_limit(  # noqa: PLR0913  one argument a parameter of the operation
        self,
        cp_id: str,
        *,
        limit: float | None = None,
        periods: Sequence[op.LimitPeriod] = (),
        unit: op.RateUnit = "A",
        connector_id: int = 0,
        transaction: int | None = None,
        phases: int | None = None,
        stack_level: int = 0,
        duration_s: int | None = None,
        profile_id: int | None = None,
        timeout_s: float | None = None,
    ) -> CommandResult:
        """Limit current (A) or power (W) from now on, for `duration_s` seconds or until it is cleared.

        Give one `limit`, or several `periods`. `connector_id` 0 caps the whole charge point; any other is the default
        for each transaction there. `transaction` limits one open transaction alone, by Wattspan's number
        (`Transaction.number`). Raises TransactionNotIdentified when it is not open.

        Returns the answer. Raises NotConnected, CommandTimeout, CommandRefused, CommandInvalid, ConnectionLost.
        """
        operation = op.SetLimit(
            limit=limit,
            periods=periods,
            transaction=transaction,
            unit=unit,
            connector_id=connector_id,
            phases=phases,
            stack_level=stack_level,
            duration_s=duration_s,
            profile_id=profile_id,
        )
        return await self.perform(cp_id, operation, timeout_s=timeout_s)

    async def clear_limit(
        self,
        cp_id: str,
        *,
        profile_id: int | None = None,
        connector_id: int | None = None,
        stack_level: int | None = None,
        timeout_s: float | None = None,
    ) -> CommandResult:
        """Clear the charging profiles that match every criterion given; with none, all of them.

        Returns the answer. Raises NotConnected, CommandTimeout, CommandRefused, CommandInvalid, ConnectionLost.
        """
        operation = op.ClearLimit(profile_id=profile_id, connector_id=connector_id, stack_level=stack_level)
        return await self.perform(cp_id, operation, timeout_s=timeout_s)

    async def set_availability(
        self, cp_id: str, *, operative: bool, connector_id: int = 0, timeout_s: float | None = None
    ) -> CommandResult:
        """Take a connector, or the whole charge point (0), into or out of service.

        Scheduled counts as accepted: it happens when the running transaction ends.

        Returns the answer. Raises NotConnected, CommandTimeout, CommandRefused, CommandInvalid, ConnectionLost.
        """
        operation = op.SetAvailability(operative=operative, connector_id=connector_id)
        return await self.perform(cp_id, operation, timeout_s=timeout_s)

    async def trigger(
        self, cp_id: str, message: str, *, connector_id: int | None = None, timeout_s: float | None = None
    ) -> CommandResult:
        """Ask for a message now, by OCPP's name of it, such as `StatusNotification`.

        Returns the answer. Raises NotConnected, CommandTimeout, CommandRefused, CommandInvalid, ConnectionLost.
        """
        operation = op.Trigger(message=message, connector_id=connector_id)
        return await self.perform(cp_id, operation, timeout_s=timeout_s)

    async def send_local_list(
        self,
        cp_id: str,
        *,
        id_tags: Sequence[str] | None = None,
        remove: Sequence[str] = (),
        update: op.ListUpdate = "Full",
        version: int | None = None,
        timeout_s: float | None = None,
    ) -> CommandResult:
        """Send the local authorization list: all id tags on file, or those of `id_tags` that are on file.

        A differential update deletes the entries of `remove`, and of those `id_tags` that are not on file. If the
        charge point refuses it (VersionMismatch, Failed), the full list follows with a version above its own.
        `version` None: Unix seconds, which rise with every list.

        Returns the last answer. Raises NotConnected, CommandTimeout, CommandRefused, CommandInvalid, ConnectionLost.
        """
        operation = op.SendLocalList(update=update, id_tags=id_tags, remove=remove, version=version)
        return await self.perform(cp_id, operation, timeout_s=timeout_s)

    async def get_logs(  # noqa: PLR0913  one argument a parameter of the operation
        self,
        cp_id: str,
        *,
        kind: op.LogKind = "diagnostics",
        location: str | None = None,
        from_at: datetime | None = None,
        until_at: datetime | None = None,
        retries: int | None = None,
        retry_interval_s: int | None = None,
        timeout_s: float | None = None,
    ) -> CommandResult:
        """Have a log uploaded to `location`, a URL; None: to this server, which keeps it. Times have a time zone.

        `retries` and `retry_interval_s` None: as the charge point decides.

        Returns the answer. Raises NotConnected, CommandTimeout, CommandRefused, CommandInvalid, ConnectionLost.
        """
        operation = op.GetLogs(
            kind=kind,
            location=location,
            from_at=from_at,
            until_at=until_at,
            retries=retries,
            retry_interval_s=retry_interval_s,
        )
        return await self.perform(cp_id, operation, timeout_s=timeout_s)

    async def update_firmware(  # noqa: PLR0913  one argument a parameter of the operation
        self,
        cp_id: str,
        *,
        location: str,
        retrieve_at: datetime | None = None,
        install_at: datetime | None = None,
        signing_certificate: str | None = None,
        signature: str | None = None,
        retries: int | None = None,
        retry_interval_s: int | None = None,
        timeout_s: float | None = None,
    ) -> CommandResult:
        """Have firmware fetched from `location`, a URL, at `retrieve_at` (None: now), and installed.

        With `signing_certificate` (PEM) and `signature` (Base64) the charge point verifies it. `install_at` without
        them needs OCPP 2.x. `retries` and `retry_interval_s` None: as the charge point decides.

        Returns the answer. Raises NotConnected, CommandTimeout, CommandRefused, CommandInvalid, ConnectionLost.
        """
        operation = op.UpdateFirmware(
            location=location,
            retrieve_at=retrieve_at,
            install_at=install_at,
            signing_certificate=signing_certificate,
            signature=signature,
            retries=retries,
            retry_interval_s=retry_interval_s,
        )
        return await self.perform(cp_id, operation, timeout_s=timeout_s)
