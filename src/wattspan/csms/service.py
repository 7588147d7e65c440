"""The path of a charge point's CALL through the central system, from top to bottom.

    on_call   find the action, check the payload       versions, schemas
      answer    compute the answer                     versions.vXX.answer
      settle    derive the events and apply them       versions.vXX.observe, fleet.apply, journal.commit
      stored    the events are durable: send the answer    rpc.answer, recorder.answered

A message whose answer needs no I/O runs through in one call. One that needs it (an id token, a plugin) becomes a task
between `answer` and `settle`. A large one is a task from the check of its payload on, which works in a thread. Every
message with events to store waits for its commit between `settle` and `stored`.
"""

import logging
import time
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any

from wattspan.csms import large
from wattspan.csms.admission import ConnectionContext
from wattspan.csms.core import Core
from wattspan.csms.exchange import Connection, Exchange
from wattspan.domain import events as ev
from wattspan.domain.ahead import Ahead
from wattspan.domain.apply import apply
from wattspan.domain.model import ChargePoint
from wattspan.domain.status import bounded_call_error
from wattspan.errors import CallFault, FrameError, StoreError
from wattspan.ocppj.frames import Call, ResultError, Send
from wattspan.ocppj.rpc import RpcConnection
from wattspan.ocppj.schemas import SchemaFault
from wattspan.telemetry import catalogue
from wattspan.telemetry.logs import limited
from wattspan.telemetry.recorder import MessageSpan
from wattspan.versions.base import Payload, Request, Version
from wattspan.versions.mixed import actual_version

log = logging.getLogger(__name__)

OTHER = "other"
"""The action label of messages that OCPP does not define."""

MAX_DESCRIPTION = 255
"""Characters of a CALLERROR's description that OCPP allows."""

NOT_AWAITED = frozenset({ev.HeartbeatReceived, ev.Authorized, ev.SchemaFaulted, ev.NoticeReceived})
"""Events that may be lost in a crash, so that the answer does not wait until they are durable."""


def _payload_faults(fault: FrameError, faults: Sequence[SchemaFault]) -> Sequence[SchemaFault]:
    """Return the fault of a payload that is missing or an array. Raises CallFault if the action needs any field."""
    if faults:
        raise CallFault(fault.code, fault.description)
    return [SchemaFault(fault.code, "", fault.description)]


class CallHandler:
    """Handles the messages of one connection; its `ocppj.rpc.Handler`."""

    __slots__ = ("_context", "connection", "core", "cp", "last_message", "rpc", "version")

    rpc: RpcConnection
    """Set right after construction, for each refers to the other."""

    def __init__(self, core: Core, cp: ChargePoint, version: Version, connection: Connection) -> None:
        self.core = core
        self.cp = cp
        self.version = version
        self.connection = connection
        self.last_message = ""
        """The action of the charge point's last request, as a label."""
        self._context = ConnectionContext(cp.cp_id, core.admission)

    def on_call(self, call: Call) -> None:
        """Answer a CALL, or start a task that will."""
        core, version = self.core, self.version
        received_ns = core.clock_ns()
        received_ts = received_ns / 1e9
        request = version.requests.get(call.action)
        if request is None:
            version = self._actual_version(call, received_ts)
            request = version.requests.get(call.action)
        label = call.action if request is not None or call.action in version.known else OTHER
        self.last_message = label
        counts, counted = core.counters.messages, ("in", label)
        counts[counted] = counts.get(counted, 0) + 1
        core.fleet.seen(self.cp, received_ts)
        span = core.recorder.message(
            self.cp.cp_id, label, received_ns, self.connection.attributes, call.message_id, call.size
        )
        token = core.recorder.attach(span)
        try:
            if request is None:
                code = "NotSupported" if label is not OTHER else "NotImplemented"
                raise CallFault(code, "the action is not supported")
            if call.is_large or (call.size > large.AT_ONCE_BYTES and call.action in large.PACKING.actions):
                call.is_large = True
                exchange = Exchange(self, call, request, span, received_ts, {})
                core.spawn(self._wait(exchange, self._answer_large(exchange, version)))
                return
            faults = version.schemas.call_faults(call.action, call.payload)
            if call.fault is not None:
                faults = _payload_faults(call.fault, faults)
            if faults and version is self.version:
                request, faults = self._by_actual_version(call, request, faults, received_ts)
            if faults:
                self._schema_faults(faults, call, span, received_ts)
            self._context.now_ts = received_ts
            answer = request.answer(call.payload, self._context)
            if type(answer) is dict:
                self._settle(Exchange(self, call, request, span, received_ts, answer))
            else:
                core.spawn(self._wait(Exchange(self, call, request, span, received_ts, {}), answer))  # type: ignore[arg-type]
        except CallFault as fault:
            self._refuse(call, span, received_ts, fault)
        except Exception:
            log.exception("%s from %s could not be handled", label, self.cp.cp_id)
            self._refuse(call, span, received_ts, CallFault("InternalError", "see the server's log"))
        finally:
            core.recorder.detach(token)

    def on_send(self, send: Send) -> None:
        """Handle a SEND, which has no answer (OCPP-J 2.1 §4.2.5).

        While the store is unavailable it is dropped: nothing would slow the charge point down, and memory would fill.
        """
        core, cp_id = self.core, self.cp.cp_id
        received_ns = core.clock_ns()
        received_ts = received_ns / 1e9
        request = self.version.requests.get(send.action) if send.action in self.version.unconfirmed else None
        label = OTHER if request is None else send.action
        self.last_message = label
        counts, counted = core.counters.messages, ("in", label)
        counts[counted] = counts.get(counted, 0) + 1
        core.fleet.seen(self.cp, received_ts)
        span = core.recorder.message(cp_id, label, received_ns, self.connection.attributes)
        error: str | None = None
        try:
            if request is None:
                raise CallFault("NotSupported" if send.action in self.version.known else "NotImplemented")
            if not core.journal.available:
                error = "StoreUnavailable"
            else:
                self._schema_faults(
                    self.version.schemas.send_faults(send.action, send.payload), send, span, received_ts
                )
                core.record(request.observe(send.payload, {}, cp_id, received_ts))
        except CallFault as fault:
            error = fault.code
            apply(core.fleet, ev.ProtocolFaulted(cp_id=cp_id, received_ts=received_ts, code=error))
        except Exception:
            log.exception("%s from %s could not be handled", label, cp_id)
            error = "InternalError"
        core.recorder.answered(span, connector_id=None, session=None, error=error, store_wait_s=0.0)

    def on_result_error(self, error: ResultError) -> None:
        """Count an answer of ours that the charge point could not use (OCPP-J 2.1 §4.2.4)."""
        core = self.core
        core.fleet.seen(self.cp, core.clock())
        counts, code = core.counters.result_errors, bounded_call_error(error.code)
        counts[code] = counts.get(code, 0) + 1
        limited(
            log,
            logging.WARNING,
            "result error",
            "%s could not use an answer: %s %s",
            self.cp.cp_id,
            error.code,
            error.description,
            fields={"cp_id": self.cp.cp_id, **self.connection.attributes.fields},
        )

    def on_fault(self, fault: FrameError) -> None:
        """Count and log a text that is no message. `RpcConnection` answers it."""
        core = self.core
        now_ts = core.clock()
        core.counters.unreadable_frames += 1
        core.fleet.seen(self.cp, now_ts)
        apply(core.fleet, ev.ProtocolFaulted(cp_id=self.cp.cp_id, received_ts=now_ts, code=fault.code))
        text = f"unreadable frame: {fault.description}"
        core.recorder.evidence.protocol_fault(self.cp.cp_id, self.connection.attributes, fault.code, text)

    def on_joined(self, messages: int) -> None:
        """Count and log a text of several messages, as a fault of the protocol."""
        core, cp_id, code = self.core, self.cp.cp_id, self.version.framing.malformed
        apply(core.fleet, ev.ProtocolFaulted(cp_id=cp_id, received_ts=core.clock(), code=code))
        self.connection.count_messages(messages - 1)
        text = f"{messages} messages in one frame"
        core.recorder.evidence.protocol_fault(cp_id, self.connection.attributes, code, text)

    def on_unexpected_result(self) -> None:
        """Count a result of no pending command: unrequested, late, or of an unknown message type."""
        self.core.counters.unexpected_results += 1
        self.core.fleet.seen(self.cp, self.core.clock())

    def on_binary(self) -> None:
        """Count a binary message, which OCPP-J does not allow. Its content is handled all the same."""
        core, cp_id, code = self.core, self.cp.cp_id, self.version.codes.formation
        apply(core.fleet, ev.ProtocolFaulted(cp_id=cp_id, received_ts=core.clock(), code=code))
        core.recorder.evidence.protocol_fault(cp_id, self.connection.attributes, code, "a binary frame")

    def _actual_version(self, call: Call, received_ts: float) -> Version:
        """Return the version of a message: some charge points negotiate 2.x and send 1.6. Not in strict mode."""
        older = None if self.core.strict else actual_version(self.version, call.action, call.payload)
        if older is None:
            return self.version
        mixed = ev.VersionMixed(cp_id=self.cp.cp_id, received_ts=received_ts, action=call.action)
        apply(self.core.fleet, mixed)
        return older

    def _by_actual_version(
        self, call: Call, request: Request, faults: Sequence[SchemaFault], received_ts: float
    ) -> tuple[Request, Sequence[SchemaFault]]:
        """Return the request and the faults of a message by its actual version, after it broke a schema."""
        version = self._actual_version(call, received_ts)
        if version is self.version:
            return request, faults
        call_faults = partial(large.call_faults, version.schemas) if call.is_large else version.schemas.call_faults
        return version.requests[call.action], call_faults(call.action, call.payload)

    def _schema_faults(
        self, faults: Sequence[SchemaFault], call: Call | Send, span: MessageSpan, received_ts: float
    ) -> None:
        """Record schema faults. Raises CallFault in strict mode."""
        if not faults:
            return
        apply(self.core.fleet, ev.SchemaFaulted(cp_id=self.cp.cp_id, received_ts=received_ts, action=call.action))
        for fault in faults[:5]:
            span.event(
                "schema fault",
                {"ocpp.fault.code": fault.code, "ocpp.fault.path": fault.path, "ocpp.fault.text": fault.message},
            )
        first = faults[0]
        limited(
            log,
            logging.INFO,
            catalogue.SCHEMA_FAULT_EVENT,
            "%s of %s violates its schema: %s: %s",
            span.action,
            self.cp.cp_id,
            first.path,
            first.message,
            fields={
                catalogue.EVENT_NAME: catalogue.SCHEMA_FAULT_EVENT,
                catalogue.CP_ID: self.cp.cp_id,
                catalogue.MESSAGE_TYPE: span.action,
                catalogue.FAULT_PATH: first.path,
                catalogue.FAULT_TEXT: first.message,
            },
        )
        if self.core.strict:
            raise CallFault(faults[0].code, f"{faults[0].path}: {faults[0].message}")

    async def _wait(self, exchange: Exchange, answer: Awaitable[Payload]) -> None:
        """Await an answer that needs I/O, in a task of its own, and settle it."""
        core, cp = self.core, self.cp
        try:
            exchange.answer = await answer
            large_events = await large.observe(core, cp, exchange) if exchange.call.is_large else ()
            if not core.fleet.is_current(cp):
                return  # decommissioned meanwhile; applying the events would add it again
            self._settle(exchange, *large_events)
        except CallFault as fault:
            self._refuse(exchange.call, exchange.span, exchange.received_ts, fault)
        except StoreError as unavailable:
            exchange.settled_s = time.perf_counter()
            exchange.stored(unavailable)
        except Exception:
            log.exception("%s from %s could not be handled", exchange.call.action, self.cp.cp_id)
            failure = CallFault("InternalError", "see the server's log")
            self._refuse(exchange.call, exchange.span, exchange.received_ts, failure)

    async def _answer_large(self, exchange: Exchange, version: Version) -> Payload:
        """Do what `on_call` does with a CALL: check the payload and return the answer."""
        core, call, received_ts = self.core, exchange.call, exchange.received_ts
        if large.has_too_many_samples(call.payload):
            raise CallFault("PropertyConstraintViolation", f"a MeterValue has more than {large.MAX_SAMPLES:,} samples")
        faults = await core.off_loop(lambda: large.call_faults(version.schemas, call.action, call.payload))
        if faults and version is self.version:
            exchange.request, faults = self._by_actual_version(call, exchange.request, faults, received_ts)
        if call.fault is not None:
            faults = _payload_faults(call.fault, faults)
        self._schema_faults(faults, call, exchange.span, received_ts)
        self._context.now_ts = received_ts
        answer = exchange.request.answer(call.payload, self._context)
        return answer if isinstance(answer, dict) else await answer

    def _settle(self, exchange: Exchange, events: Any = None, ahead: Ahead | None = None) -> None:
        """Apply the events of an exchange, and have the answer sent once they are durable.

        `events` and `ahead`: those of a large message.
        """
        core, cp_id, payload, request = self.core, self.cp.cp_id, exchange.call.payload, exchange.request
        fleet, publish = core.fleet, core.plugins.publish
        if events is None:
            events = request.observe(payload, exchange.answer, cp_id, exchange.received_ts)
        if request.place is None:
            connector_id, transaction_id = events[0].connector_id, events[0].transaction_id
        else:
            connector_id, transaction_id = request.place(payload)
        transaction = fleet.session_of(cp_id, connector_id, transaction_id)
        if transaction is not None:  # before the events are applied: they may end the session
            transaction.messages += 1
        must_be_durable = False
        for event in events:
            if ahead is None:
                apply(fleet, event)
            else:
                ahead.apply(fleet)
            publish(event)
            must_be_durable = must_be_durable or type(event) not in NOT_AWAITED
        if transaction is None:
            transaction = fleet.session_of(cp_id, connector_id, transaction_id)
            if transaction is not None:
                transaction.messages += 1
        if core.recorder.causes.pending:
            core.recorder.causes.message(fleet, exchange.span, transaction, exchange.received_ts)
        exchange.transaction = transaction
        # Not every message about a transaction names its connector.
        exchange.connector_id = connector_id if transaction is None else transaction.connector_id
        exchange.settled_s = time.perf_counter()
        if must_be_durable:
            core.journal.commit(exchange.stored)
        else:
            exchange.stored(None)

    def _refuse(self, call: Call, span: MessageSpan, received_ts: float, fault: CallFault) -> None:
        core = self.core
        apply(core.fleet, ev.ProtocolFaulted(cp_id=self.cp.cp_id, received_ts=received_ts, code=fault.code))
        self.rpc.refuse(call, fault.code, fault.description, fault.details)
        limited(
            log,
            logging.WARNING,
            "refused",
            "%s of %s refused with %s: %s",
            span.action,
            self.cp.cp_id,
            fault.code,
            fault.description,
            fields={
                catalogue.EVENT_NAME: catalogue.PROTOCOL_FAULT_SPAN,
                catalogue.CP_ID: self.cp.cp_id,
                catalogue.FAILURE: fault.code,
                catalogue.MESSAGE_TYPE: span.action,
                **self.connection.attributes.fields,
            },
        )
        core.recorder.answered(
            span,
            connector_id=None,
            session=None,
            error=fault.code,
            store_wait_s=0.0,
            response_size=call.answer_size,
            description=fault.description[:MAX_DESCRIPTION],
        )
