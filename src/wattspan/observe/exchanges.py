"""`Exchange`: one CALL from its begin to its answer, and what is recorded then. One class for each direction.

Requests of charge points are recorded as `csms.service` does, commands as `csms.commands` does; tests compare both.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from wattspan.domain import events as ev
from wattspan.domain.model import ChargePoint
from wattspan.domain.status import bounded_call_error
from wattspan.observe.core import NS, ObserverCore
from wattspan.observe.role import Role
from wattspan.ocppj.frames import Call, Send
from wattspan.ocppj.schemas import SchemaFault
from wattspan.telemetry import catalogue
from wattspan.telemetry.connection import UNKNOWN_CONNECTION
from wattspan.telemetry.recorder import Attributes, MessageSpan
from wattspan.versions.base import Command, Payload, Request, Version
from wattspan.versions.mixed import actual_version

OTHER = "other"
"""The action label of messages that OCPP does not define."""
MAX_ERROR_LENGTH = 50


class Exchange(Protocol):
    """A CALL until its answer. Each is ended once, by `answered` or `failed`; later calls do nothing."""

    @property
    def span(self) -> MessageSpan:
        """The span of the CALL, for callers that make it current."""

    @property
    def at_ns(self) -> int:
        """When the CALL was sent or received, Unix nanoseconds."""

    def answered(self, answer: Payload, at_ns: int, *, size: int = 0) -> None:
        """Record a CALLRESULT. `size` is in bytes; 0: not known."""

    def failed(
        self, error: str, at_ns: int, *, refused: bool = False, description: str | None = None, size: int = 0
    ) -> None:
        """Record that there is no CALLRESULT. `error`: the code of a CALLERROR, then `refused`; or why else."""


class Side:
    """What the exchanges of one connection share."""

    __slots__ = ("attributes", "connection", "core", "cp", "last_message", "role", "version")

    def __init__(
        self, core: ObserverCore, cp: ChargePoint, version: Version, role: Role, attributes: Attributes
    ) -> None:
        self.core = core
        self.cp = cp
        self.version = version
        self.role = role
        self.attributes = attributes
        self.connection = UNKNOWN_CONNECTION
        self.last_message = ""
        """The action of the charge point's last request, as a label."""

    def message(
        self,
        label: str,
        at_ns: int,
        *,
        handled: bool,
        connector_id: str | None = None,
        message_id: str | int = "",
        size: int = 0,
    ) -> MessageSpan:
        """Start and return a SERVER span if the message is handled at this end, else a CLIENT span."""
        recorder = self.core.recorder
        if handled:
            span = recorder.message(self.cp.cp_id, label, at_ns, self.connection, message_id, size)
        else:
            span = recorder.command(self.cp.cp_id, label, connector_id, start_ns=at_ns, connection=self.connection)
        return span


class RequestExchange:
    """A CALL of the charge point."""

    __slots__ = ("_call", "_handled", "_label", "_request", "_side", "at_ns", "span")

    def __init__(self, side: Side, call: Call, at_ns: int, *, fits: bool = False) -> None:
        """`fits`: the payload is known to have no schema faults."""
        core, version = side.core, side.version
        self._side = side
        self._call = call
        self.at_ns = at_ns
        self._handled = side.role is Role.CENTRAL_SYSTEM
        request = version.requests.get(call.action)
        if request is None:
            version = self._actual_version(version)
            request = version.requests.get(call.action)
        self._label = call.action if request is not None or call.action in version.known else OTHER
        counts, counted = core.counters.messages, ("in", self._label)  # as `core.count_message`, without the call
        counts[counted] = counts.get(counted, 0) + 1
        side.last_message = self._label
        core.fleet.seen(side.cp, at_ns / NS)
        if self._handled:  # as `side.message`, without the call
            cp_id = side.cp.cp_id
            self.span = core.recorder.message(cp_id, self._label, at_ns, side.connection, call.message_id, call.size)
        else:
            self.span = side.message(self._label, at_ns, handled=False, message_id=call.message_id, size=call.size)
        if request is not None:
            faults = () if fits else version.schemas.call_faults(call.action, call.payload)
            if call.fault is not None:  # if the action needs any field, the CALL is refused: that is the fault then
                faults = [] if faults else [SchemaFault(call.fault.code, "", call.fault.description)]
            if faults and version is side.version:
                version = self._actual_version(version)
                if version is not side.version:
                    request = version.requests[call.action]
                    faults = version.schemas.call_faults(call.action, call.payload)
            if faults:
                record_schema_faults(side, call, faults, self.span, at_ns)
        self._request: Request | None = request

    def answered(self, answer: Payload, at_ns: int, *, size: int = 0) -> None:
        if self.span.end_ns:
            return
        request, payload, side = self._request, self._call.payload, self._side
        cp_id, core = side.cp.cp_id, side.core
        fleet = core.fleet
        connector_id = transaction_id = None
        events: Sequence[Any] = ()
        if request is not None:
            events = tuple(request.observe(payload, answer, cp_id, self.at_ns / NS))
            if request.place is None:
                first = events[0]
                connector_id, transaction_id = first.connector_id, first.transaction_id
            else:
                connector_id, transaction_id = request.place(payload)
        session = fleet.session_of(cp_id, connector_id, transaction_id)
        if session is not None:  # before the events are applied: they may end the session
            session.messages += 1
        core.apply(events, at_ns)
        if session is None:
            session = fleet.session_of(cp_id, connector_id, transaction_id)
            if session is not None:
                session.messages += 1
        if session is not None:
            connector_id = session.connector_id
        causes = core.recorder.causes
        if causes.pending:
            causes.message(fleet, self.span, session, self.at_ns / NS)
        if self._handled:  # as `_finish`, without the call
            core.recorder.answered(
                self.span,
                connector_id=connector_id,
                session=session,
                error=None,
                store_wait_s=0.0,
                end_ns=at_ns,
                response_size=size,
            )
        else:
            self._finish(connector_id, session, None, at_ns, size=size)

    def failed(
        self, error: str, at_ns: int, *, refused: bool = False, description: str | None = None, size: int = 0
    ) -> None:
        if self.span.end_ns:
            return
        core, cp_id = self._side.core, self._side.cp.cp_id
        if refused:
            code = bounded_call_error(error)
            core.apply([ev.ProtocolFaulted(cp_id=cp_id, received_ts=self.at_ns / NS, code=code)], at_ns)
        self._finish(None, None, error[:MAX_ERROR_LENGTH], at_ns, size=size, description=description)

    def _finish(
        self,
        connector_id: str | None,
        session: Any,
        error: str | None,
        at_ns: int,
        *,
        size: int,
        description: str | None = None,
    ) -> None:
        recorder = self._side.core.recorder
        if self._handled:
            recorder.answered(
                self.span,
                connector_id=connector_id,
                session=session,
                error=error,
                store_wait_s=0.0,
                end_ns=at_ns,
                response_size=size,
                description=description,
            )
            return
        if connector_id is not None:
            self.span.set(catalogue.CONNECTOR_ID, connector_id)
        recorder.command_done(
            self.span,
            status=None,
            error=error,
            session=session,
            end_ns=at_ns,
            message_id=self._call.message_id,
            request_size=self._call.size,
            response_size=size,
            description=description,
        )

    def _actual_version(self, version: Version) -> Version:
        """Return the version of the message: some charge points negotiate 2.x and send 1.6."""
        older = actual_version(version, self._call.action, self._call.payload)
        if older is None:
            return version
        side = self._side
        mixed = ev.VersionMixed(cp_id=side.cp.cp_id, received_ts=self.at_ns / NS, action=self._call.action)
        side.core.apply([mixed], self.at_ns)
        return older


class CommandExchange:
    """A CALL of the central system."""

    __slots__ = ("_call", "_command", "_connector_id", "_handled", "_label", "_session", "_side", "at_ns", "span")

    def __init__(self, side: Side, call: Call, at_ns: int) -> None:
        self._side = side
        self._call = call
        self.at_ns = at_ns
        self._handled = side.role is Role.CHARGE_POINT
        command = side.version.commands.get(call.action)
        self._command: Command | None = command
        self._label = OTHER if command is None else call.action
        self._connector_id = None if command is None else command.connector(call.payload)
        self._session = side.core.fleet.session_of(side.cp.cp_id, self._connector_id, None)
        if self._session is not None:
            self._session.messages += 1
        self.span = side.message(
            self._label,
            at_ns,
            handled=self._handled,
            connector_id=self._connector_id,
            message_id=call.message_id,
            size=call.size,
        )
        side.core.count_message("out", self._label)
        if command is not None and command.requests_status(call.payload):
            requested = ev.StatusRequested(cp_id=side.cp.cp_id, received_ts=at_ns / NS, connector_id=self._connector_id)
            side.core.apply([requested], at_ns)

    def answered(self, answer: Payload, at_ns: int, *, size: int = 0) -> None:
        if self.span.end_ns:
            return
        command, cp_id, now_ts = self._command, self._side.cp.cp_id, at_ns / NS
        status = "" if command is None else command.status(answer)
        accepted = command is None or not command.accepted or status in command.accepted
        if accepted:
            remote_start_id = self._call.payload.get("remoteStartId")
            self._side.core.recorder.causes.command(self.span, self._connector_id, now_ts, remote_start_id)
        self._finish(status, None, at_ns, size=size)
        answered = ev.CommandAnswered(
            cp_id=cp_id,
            received_ts=now_ts,
            action=self._label,
            status=status,
            accepted=accepted,
            duration_s=self._duration_s(at_ns),
            connector_id=self._connector_id,
            trace_id=f"{self.span.trace_id:032x}",
            span_id=f"{self.span.span_id:016x}",
        )
        events = () if command is None else command.observe(self._call.payload, answer, cp_id, now_ts)
        self._side.core.apply([answered, *events], at_ns)

    def failed(
        self, error: str, at_ns: int, *, refused: bool = False, description: str | None = None, size: int = 0
    ) -> None:
        if self.span.end_ns:
            return
        error = error[:MAX_ERROR_LENGTH]
        event = ev.CommandFailed(
            cp_id=self._side.cp.cp_id,
            received_ts=at_ns / NS,
            action=self._label,
            error_type=error,
            duration_s=self._duration_s(at_ns),
            connector_id=self._connector_id,
            trace_id=f"{self.span.trace_id:032x}",
            span_id=f"{self.span.span_id:016x}",
        )
        self._side.core.apply([event], at_ns)
        if description and self._command is not None and self._command.security(self._call.payload):
            description = ""  # it may repeat the secret
        self._finish(None, error, at_ns, size=size, description=description)

    def _duration_s(self, at_ns: int) -> float:
        return max(0, at_ns - self.at_ns) / NS

    def _finish(
        self, status: str | None, error: str | None, at_ns: int, *, size: int, description: str | None = None
    ) -> None:
        recorder, session = self._side.core.recorder, self._session
        if not self._handled:
            recorder.command_done(
                self.span,
                status=status,
                error=error,
                session=session,
                end_ns=at_ns,
                message_id=self._call.message_id,
                request_size=self._call.size,
                response_size=size,
                description=description,
            )
            return
        if status:
            self.span.set(catalogue.OCPP_STATUS, status)
        recorder.answered(
            self.span,
            connector_id=self._connector_id,
            session=session,
            error=error,
            store_wait_s=0.0,
            end_ns=at_ns,
            response_size=size,
            description=description,
        )


def record_send(side: Side, send: Send, at_ns: int) -> None:
    """Record a SEND of the charge point, which has no answer (OCPP-J 2.1 §4.2.5)."""
    core, version, cp_id = side.core, side.version, side.cp.cp_id
    request = version.requests.get(send.action) if send.action in version.unconfirmed else None
    label = OTHER if request is None else send.action
    core.count_message("in", label)
    side.last_message = label
    core.fleet.seen(side.cp, at_ns / NS)
    span = side.message(label, at_ns, handled=side.role is Role.CENTRAL_SYSTEM)
    error = None
    if request is None:
        error = "NotSupported" if send.action in version.known else "NotImplemented"
        core.apply([ev.ProtocolFaulted(cp_id=cp_id, received_ts=at_ns / NS, code=error)], at_ns)
    else:
        record_schema_faults(side, send, version.schemas.send_faults(send.action, send.payload), span, at_ns)
        core.apply(request.observe(send.payload, {}, cp_id, at_ns / NS), at_ns)
    if side.role is Role.CENTRAL_SYSTEM:
        core.recorder.answered(span, connector_id=None, session=None, error=error, store_wait_s=0.0, end_ns=at_ns)
    else:
        core.recorder.command_done(span, status=None, error=error, session=None, end_ns=at_ns)


def record_schema_faults(
    side: Side, call: Call | Send, faults: Sequence[SchemaFault], span: MessageSpan, at_ns: int
) -> None:
    """Record the schema faults of a message as an event and on its span."""
    if not faults:
        return
    faulted = ev.SchemaFaulted(cp_id=side.cp.cp_id, received_ts=at_ns / NS, action=call.action)
    side.core.apply([faulted], at_ns)
    for fault in faults[:5]:
        described = {
            catalogue.FAULT_CODE: fault.code,
            catalogue.FAULT_PATH: fault.path,
            catalogue.FAULT_TEXT: fault.message,
        }
        span.event("schema fault", described, at_ns)
