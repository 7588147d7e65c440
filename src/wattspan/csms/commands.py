"""Sends any command of a charge point's OCPP version, as a payload class of the `ocpp` package or as JSON.

It must not know what a command is for; `csms.operations` does.

    result = await commands.send("CP1", ocpp.v16.call.RemoteStartTransaction(id_tag="A1", connector_id=1))
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol

import orjson
from ocpp.charge_point import remove_nones, serialize_as_dict, snake_to_camel_case

from wattspan.csms.core import Core
from wattspan.csms.responses import response_of
from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.errors import CommandError, CommandInvalid, CommandRefused, NotConnected
from wattspan.ocppj.rpc import RpcConnection, Sent
from wattspan.telemetry import catalogue
from wattspan.telemetry.connection import UNKNOWN_CONNECTION, ConnectionAttributes
from wattspan.telemetry.recorder import MessageSpan
from wattspan.versions.base import Command, Payload, Version
from wattspan.versions.security import Changes

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # has defaults, which `typing` has from Python 3.13 on

    R = TypeVar("R", default=Any)
else:
    from typing import TypeVar

    R = TypeVar("R")
"""The class of `ocpp.vXX.call_result` that answers the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveConnection:
    """The open connection of a charge point."""

    cp_id: str
    rpc: RpcConnection
    version: Version
    attributes: ConnectionAttributes = UNKNOWN_CONNECTION
    """What its spans share."""
    security_profile: int = 0
    """The OCPP security profile of the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult(Generic[R]):
    """A charge point's answer. `status` is "" where the answer has none; `accepted` is our reading of it."""

    action: str
    status: str
    accepted: bool
    payload: Payload
    duration_s: float
    trace_id: str
    cp_id: str = ""
    ocpp_version: str = "1.6"

    @property
    def response(self) -> R:
        """The payload as an object of `ocpp.vXX.call_result`. Raises ResponseInvalid if it lacks required fields."""
        found: R = response_of(self.cp_id, self.ocpp_version, self.action, self.payload)
        return found


class Guard(Protocol):
    """What accompanies a command that changes passwords or security profiles: see `csms.security.changes`."""

    async def offer(self) -> None: ...
    async def answered(self, answer: Payload) -> None: ...
    async def refused(self) -> None: ...
    def masked(self, value: Any) -> Any: ...


class RemoteCommands(Protocol):
    """Sends commands to charge points that are connected to other nodes of a cluster: see `csms.routing`."""

    async def send_payload(
        self, cp_id: str, action: str, payload: Payload, *, timeout_s: float | None = None
    ) -> CommandResult:
        """Send a payload, and return the answer. Raises as `Commands.send_payload` does, and NodeUnreachable."""


class Commands:
    """Sends commands. They are observed, traced and counted like every other message.

    `guard` returns what accompanies a command that changes the named charge point's passwords or security profiles.
    """

    def __init__(
        self,
        core: Core,
        find: Callable[[str], ActiveConnection | None],
        timeout_s: float,
        guard: Callable[[str, Changes], Guard],
    ) -> None:
        self._core = core
        self._find = find
        self._timeout_s = timeout_s
        self._guard = guard
        self.remote: RemoteCommands | None = None
        """What sends to the charge points of other nodes; None: there are no other nodes."""

    def is_elsewhere(self, cp_id: str) -> bool:
        """Return whether another node may have the connection: in a cluster, the fleet has only our charge points."""
        if self.remote is None or self._find(cp_id) is not None:
            return False
        return cp_id not in self._core.fleet.charge_points

    def connection(self, cp_id: str, action: str = "a command") -> ActiveConnection:
        """Return the open connection of a charge point. Raises NotConnected, which names `action`."""
        found = self._find(cp_id)
        if found is None:
            raise NotConnected(cp_id, action)
        return found

    async def send(self, cp_id: str, command: Any, *, timeout_s: float | None = None) -> CommandResult:
        """Send a payload object of `ocpp.vXX.call` and return the answer. Raises as `send_payload` does."""
        payload = snake_to_camel_case(remove_nones(serialize_as_dict(command)))  # type: ignore[no-untyped-call]
        return await self.send_payload(cp_id, type(command).__name__, payload, timeout_s=timeout_s)

    async def send_payload(
        self, cp_id: str, action: str, payload: Payload, *, timeout_s: float | None = None
    ) -> CommandResult:
        """Send a payload as it goes on the wire, and return the answer.

        Raises NotConnected, NodeUnreachable in a cluster, and as `send_on` does.
        """
        if self.remote is not None and self.is_elsewhere(cp_id):
            return await self.remote.send_payload(cp_id, action, payload, timeout_s=timeout_s)
        try:
            connection = self.connection(cp_id, action)
        except NotConnected as exc:
            if cp_id in self._core.fleet.charge_points:
                self._failed(cp_id, action, exc.error_type, 0.0, None)
            raise
        return await self.send_on(connection, action, payload, timeout_s=timeout_s)

    async def send_on(
        self, connection: ActiveConnection, action: str, payload: Payload, *, timeout_s: float | None = None
    ) -> CommandResult:
        """Send a payload on a connection, and return the answer. Commands to one charge point are sent one by one.

        `timeout_s` counts from the moment it is sent; None is the configured time-out.

        Cancellation: safe; a late answer is counted and dropped.

        Raises:
            CommandInvalid: the payload breaks its schema, or the version has no such command. Nothing was sent.
            CommandTimeout: no answer in time.
            CommandRefused: the answer was a CALLERROR.
            ConnectionLost: the connection closed before the answer.
            StoreError: a password or security profile could not be stored as pending. Nothing was sent.
        """
        command = _checked(connection.version, connection.cp_id, action, payload)
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        changes = command.security(payload)
        if changes:
            guard = self._guard(connection.cp_id, changes)
            return await self._exchange_guarded(guard, connection, command, payload, limit_s)
        return await self._exchange(connection, command, payload, limit_s)

    async def _exchange_guarded(
        self, guard: Guard, connection: ActiveConnection, command: Command, payload: Payload, timeout_s: float
    ) -> CommandResult:
        """Send a command that changes passwords or security profiles; the answer is returned without passwords."""
        await guard.offer()
        try:
            result = await self._exchange(connection, command, payload, timeout_s)
        except CommandRefused as refused:
            await guard.refused()
            description, details = guard.masked(refused.description), guard.masked(refused.details)
            raise CommandRefused(refused.cp_id, refused.action, refused.code, description, details) from None
        await guard.answered(result.payload)
        self._core.recorder.evidence.record(
            catalogue.CREDENTIALS_SPAN,
            "%s set a credential or security profile of %s: %s",
            command.action,
            connection.cp_id,
            result.status or "answered",
            fields={
                catalogue.CP_ID: connection.cp_id,
                catalogue.CREDENTIAL_KIND: "secret",
                catalogue.OCPP_ACTION: command.action,
                catalogue.OCPP_STATUS: result.status,
            },
            logger=log,
            inside=True,
        )
        return replace(result, payload=guard.masked(result.payload))

    async def _exchange(
        self, connection: ActiveConnection, command: Command, payload: Payload, timeout_s: float
    ) -> CommandResult:
        core, cp_id, action = self._core, connection.cp_id, command.action
        connector_id = command.connector(payload)
        span = core.recorder.command(cp_id, action, connector_id, connection=connection.attributes)
        transaction = core.fleet.session_of(cp_id, connector_id, None)
        if transaction is not None:
            transaction.messages += 1
        messages = core.counters.messages
        messages["out", action] = messages.get(("out", action), 0) + 1
        if command.requests_status(payload):
            # Before it is sent, because the status may arrive together with the answer.
            requested = ev.StatusRequested(cp_id=cp_id, received_ts=core.clock(), connector_id=connector_id)
            apply(core.fleet, requested)
        began_s = time.perf_counter()
        status: str | None = None
        error: str | None = "Cancelled"
        description: str | None = None
        sent = Sent()
        try:
            check = partial(_first_fault, connection.version, action) if core.strict else None
            answer = await connection.rpc.call(action, payload, timeout_s=timeout_s, check=check, sent=sent)
            status, error = command.status(answer), None
        except CommandError as exc:
            error = exc.error_type
            if isinstance(exc, CommandRefused):  # one that answers a secret may repeat it
                description = "" if command.security(payload) else exc.description
            self._failed(cp_id, action, error, time.perf_counter() - began_s, connector_id, span)
            raise
        finally:
            core.recorder.command_done(
                span,
                status=status,
                error=error,
                session=transaction,
                message_id=sent.message_id,
                request_size=sent.request_size,
                response_size=sent.response_size,
                description=description,
            )
        duration_s = time.perf_counter() - began_s
        accepted = not command.accepted or status in command.accepted
        now_ts = core.clock()
        if accepted:
            core.recorder.causes.command(span, connector_id, now_ts, payload.get("remoteStartId"))
        answered = ev.CommandAnswered(
            cp_id=cp_id,
            received_ts=now_ts,
            action=action,
            status=status or "",
            accepted=accepted,
            duration_s=duration_s,
            connector_id=connector_id,
            trace_id=f"{span.trace_id:032x}",
            span_id=f"{span.span_id:016x}",
        )
        core.record([answered, *command.observe(payload, answer, cp_id, now_ts)])
        return CommandResult(
            action=action,
            status=status or "",
            accepted=accepted,
            payload=answer,
            duration_s=duration_s,
            trace_id=f"{span.trace_id:032x}",
            cp_id=cp_id,
            ocpp_version=connection.version.name,
        )

    def _failed(
        self,
        cp_id: str,
        action: str,
        error_type: str,
        duration_s: float,
        connector_id: str | None,
        span: MessageSpan | None = None,
    ) -> None:
        event = ev.CommandFailed(
            cp_id=cp_id,
            received_ts=self._core.clock(),
            action=action,
            error_type=error_type,
            duration_s=duration_s,
            connector_id=connector_id,
            trace_id="" if span is None else f"{span.trace_id:032x}",
            span_id="" if span is None else f"{span.span_id:016x}",
        )
        self._core.record([event])


def _first_fault(version: Version, action: str, answer: Payload) -> tuple[str, str] | None:
    """Return the first schema fault of an answer as a CALLERROR code and text, or None."""
    faults = version.schemas.result_faults(action, answer)
    return (faults[0].code, f"{faults[0].path}: {faults[0].message}") if faults else None


def _checked(version: Version, cp_id: str, action: str, payload: Payload) -> Command:
    """Return the version's command of that action. Raises CommandInvalid for it or for the payload."""
    command = version.commands.get(action)
    if command is None:
        raise CommandInvalid(cp_id, action, f"OCPP {version.name} has no such command")
    faults = version.schemas.call_faults(action, payload)
    if faults:
        text = "; ".join(f"{fault.path}: {fault.message}" for fault in faults[:5])
        raise CommandInvalid(cp_id, action, text, [(fault.path, fault.message) for fault in faults])
    try:
        orjson.dumps(payload)
    except TypeError as exc:  # a number beyond 64 bits, a lone surrogate: the schemas accept them
        raise CommandInvalid(cp_id, action, f"can't be sent: {exc}", [("", f"can't be sent: {exc}")]) from None
    return command
