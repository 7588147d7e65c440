"""The way of a message through the central system, top to bottom.

    on_call   what is it, does its payload hold        versions, schemas
      answer    what to say                            versions.vXX.answer
      settle    what it meant, and what that changes   versions.vXX.observe, fleet.apply, journal.commit
      stored    durable: the answer goes out           session.answer, recorder.answered

A message that waits for nothing runs through in one call. One that asks outside (an id token, a plugin) becomes a
task between `answer` and `settle`; every message with facts waits for its commit between `settle` and `stored`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from wattspan.csms.admission import Admission, ConnectionContext
from wattspan.csms.plugins.host import PluginHost
from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint, Transaction
from wattspan.domain.status import bounded_call_error
from wattspan.errors import CallFault, FrameError, StoreError, StoreUnavailable
from wattspan.ocppj.frames import Call, ResultError, Send
from wattspan.ocppj.rpc import RpcConnection
from wattspan.ocppj.schemas import SchemaFault
from wattspan.store.journal.journal import Journal
from wattspan.telemetry.logs import limited
from wattspan.telemetry.recorder import MessageSpan, Recorder
from wattspan.versions.base import Payload, Request, Version
from wattspan.versions.mixed import actual_version

log = logging.getLogger(__name__)

OTHER = "other"
"""The label of whatever OCPP does not name."""

PASSING = frozenset({ev.HeartbeatReceived, ev.Authorized, ev.SchemaFaulted, ev.NoticeReceived})
"""Events whose answer need not wait until they are durable: a crash loses nothing the charger was told is safe."""

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Connection(Protocol):
    """The live connection, as the service sees it."""

    def drop(self, code: int, reason: str) -> None:
        """Begin to close it; returns at once."""


@dataclass(slots=True, kw_only=True)
class Core:
    """What every session shares. Built once by `app`."""

    fleet: Fleet
    journal: Journal
    recorder: Recorder
    counters: ServerCounters
    admission: Admission
    plugins: PluginHost
    strict: bool
    spawn: Spawn
    clock_ns: Callable[[], int] = time.time_ns
    """Unix nanoseconds: the one clock that everything here is dated by."""

    def clock(self) -> float:
        """Unix seconds."""
        return self.clock_ns() / 1e9

    def record(self, events: Iterable[ev.Event], done: Callable[[StoreUnavailable | None], None] | None = None) -> None:
        """Apply events that come from elsewhere than a message, and have them stored."""
        for event in events:
            apply(self.fleet, event)
            self.plugins.publish(event)
        self.journal.commit(done)


@dataclass(slots=True, eq=False)
class Exchange:
    """One CALL of a charge point on its way to its answer."""

    handler: "CallHandler"
    call: Call
    request: Request
    span: MessageSpan
    received_ts: float
    answer: Payload
    connector_id: str | None = None
    transaction: Transaction | None = None
    settled_s: float = 0.0

    def stored(self, fault: StoreError | None) -> None:
        """The last step: the facts are safe and the answer goes out, or they are not and the charger asks again."""
        handler = self.handler
        wait_s = time.perf_counter() - self.settled_s
        if fault is None:
            handler.rpc.answer(self.call, self.answer)
        handler.core.recorder.answered(
            self.span,
            connector_id=self.connector_id,
            session=self.transaction,
            error=None if fault is None else "StoreUnavailable",
            store_wait_s=wait_s,
        )
        if fault is not None:
            handler.connection.drop(1013, "try again later")


class CallHandler:
    """Says what a charge point's messages mean; the `ocppj.rpc.Handler` of one connection."""

    __slots__ = ("_context", "connection", "core", "cp", "rpc", "version")

    rpc: RpcConnection
    """Set right after construction: the two refer to each other."""

    def __init__(self, core: Core, cp: ChargePoint, version: Version, connection: Connection) -> None:
        self.core = core
        self.cp = cp
        self.version = version
        self.connection = connection
        self._context = ConnectionContext(cp.cp_id, core.admission)

    def on_call(self, call: Call) -> None:
        """A CALL came: decide, settle and answer it, or hand it to a task that will."""
        core, version = self.core, self.version
        received_ns = core.clock_ns()
        received_ts = received_ns / 1e9
        request = version.requests.get(call.action)
        if request is None:
            version = self._spoken(call, received_ts)
            request = version.requests.get(call.action)
        label = call.action if request is not None or call.action in version.known else OTHER
        counts, counted = core.counters.messages, ("in", label)
        counts[counted] = counts.get(counted, 0) + 1
        core.fleet.seen(self.cp, received_ts)
        span = core.recorder.message(self.cp.cp_id, label, received_ns)
        token = core.recorder.attach(span)
        try:
            if request is None:
                code = "NotSupported" if label is not OTHER else "NotImplemented"
                raise CallFault(code, "this central system does not take the action")
            faults = version.schemas.call_faults(call.action, call.payload)
            if faults and version is self.version:
                version = self._spoken(call, received_ts)
                if version is not self.version:
                    request = version.requests[call.action]
                    faults = version.schemas.call_faults(call.action, call.payload)
            if faults:
                self._note(faults, call, span, received_ts)
            self._context.now_ts = received_ts
            answer = request.answer(call.payload, self._context)
            if type(answer) is dict:
                self._settle(Exchange(self, call, request, span, received_ts, answer))
            else:
                core.spawn(self._wait(Exchange(self, call, request, span, received_ts, {}), answer))  # type: ignore[arg-type]
        except CallFault as fault:
            self._refuse(call, span, received_ts, fault)
        except Exception:
            log.exception("%s of %s could not be handled", label, self.cp.cp_id)
            self._refuse(call, span, received_ts, CallFault("InternalError", "see the central system's log"))
        finally:
            core.recorder.detach(token)

    def on_send(self, send: Send) -> None:
        """A message that is never answered (OCPP-J 2.1 §4.2.5): what it tells is kept, and nothing goes back.

        While the store is down it is let go: who waits for no answer would fill the memory with what can't be written.
        """
        core, cp_id = self.core, self.cp.cp_id
        received_ns = core.clock_ns()
        received_ts = received_ns / 1e9
        request = self.version.requests.get(send.action) if send.action in self.version.unconfirmed else None
        label = OTHER if request is None else send.action
        counts, counted = core.counters.messages, ("in", label)
        counts[counted] = counts.get(counted, 0) + 1
        core.fleet.seen(self.cp, received_ts)
        span = core.recorder.message(cp_id, label, received_ns)
        error: str | None = None
        try:
            if request is None:
                raise CallFault("NotSupported" if send.action in self.version.known else "NotImplemented")
            if not core.journal.available:
                error = "StoreUnavailable"
            else:
                self._note(self.version.schemas.send_faults(send.action, send.payload), send, span, received_ts)
                core.record(request.observe(send.payload, {}, cp_id, received_ts))
        except CallFault as fault:
            error = fault.code
            apply(core.fleet, ev.ProtocolFaulted(cp_id=cp_id, received_ts=received_ts, code=error))
        except Exception:
            log.exception("%s of %s could not be handled", label, cp_id)
            error = "InternalError"
        core.recorder.answered(span, connector_id=None, session=None, error=error, store_wait_s=0.0)

    def on_result_error(self, error: ResultError) -> None:
        """Our answer was of no use to the charge point (OCPP-J 2.1 §4.2.4). It is counted; nothing can be mended."""
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
        )

    def on_fault(self, fault: FrameError) -> None:
        """A text that is no message. The session answers it; here it is counted, and told in the log now and then."""
        core = self.core
        now_ts = core.clock()
        core.counters.unreadable_frames += 1
        core.fleet.seen(self.cp, now_ts)
        apply(core.fleet, ev.ProtocolFaulted(cp_id=self.cp.cp_id, received_ts=now_ts, code=fault.code))
        limited(
            log, logging.WARNING, "unreadable frame", "unreadable frame from %s: %s", self.cp.cp_id, fault.description
        )

    def on_unexpected_result(self) -> None:
        """A result nobody waits for: never asked, late, or of a message type that OCPP does not name."""
        self.core.counters.unasked_results += 1
        self.core.fleet.seen(self.cp, self.core.clock())

    def on_binary(self) -> None:
        """A binary message: OCPP-J knows text alone. Counted; its content is read all the same."""
        apply(
            self.core.fleet,
            ev.ProtocolFaulted(cp_id=self.cp.cp_id, received_ts=self.core.clock(), code=self.version.codes.formation),
        )

    def _spoken(self, call: Call, received_ts: float) -> Version:
        """The version the message is of: some chargers negotiate 2.x and go on in 1.6. Strict mode knows but one."""
        older = None if self.core.strict else actual_version(self.version, call.action, call.payload)
        if older is None:
            return self.version
        mixed = ev.VersionMixed(cp_id=self.cp.cp_id, received_ts=received_ts, action=call.action)
        apply(self.core.fleet, mixed)
        return older

    def _note(self, faults: Sequence[SchemaFault], call: Call | Send, span: MessageSpan, received_ts: float) -> None:
        """Schema faults: refused only in strict mode (design: lenient where no fact is hidden)."""
        if not faults:
            return
        apply(self.core.fleet, ev.SchemaFaulted(cp_id=self.cp.cp_id, received_ts=received_ts, action=call.action))
        for fault in faults[:5]:
            span.event(
                "schema fault",
                {"ocpp.fault.code": fault.code, "ocpp.fault.path": fault.path, "ocpp.fault.text": fault.message},
            )
        if self.core.strict:
            raise CallFault(faults[0].code, f"{faults[0].path}: {faults[0].message}")

    async def _wait(self, exchange: Exchange, answer: Awaitable[Payload]) -> None:
        """The part of a message that asks outside. A task: the reader and other sessions go on meanwhile."""
        try:
            exchange.answer = await answer
            if self.core.fleet.charge_points.get(self.cp.cp_id) is not self.cp:
                return  # decommissioned meanwhile: nothing may bring it back
            self._settle(exchange)
        except CallFault as fault:
            self._refuse(exchange.call, exchange.span, exchange.received_ts, fault)
        except StoreError as unavailable:
            exchange.settled_s = time.perf_counter()
            exchange.stored(unavailable)
        except Exception:
            log.exception("%s of %s could not be handled", exchange.call.action, self.cp.cp_id)
            broken = CallFault("InternalError", "see the central system's log")
            self._refuse(exchange.call, exchange.span, exchange.received_ts, broken)

    def _settle(self, exchange: Exchange) -> None:
        """What the exchange meant: change the state, and send the answer once that is durable."""
        core, cp_id, payload, request = self.core, self.cp.cp_id, exchange.call.payload, exchange.request
        fleet, publish = core.fleet, core.plugins.publish
        events: Any = request.observe(payload, exchange.answer, cp_id, exchange.received_ts)
        if request.place is None:
            connector_id, transaction_id = events[0].connector_id, events[0].transaction_id
        else:
            connector_id, transaction_id = request.place(payload)
        transaction = fleet.session_of(cp_id, connector_id, transaction_id)
        waits = False
        for event in events:
            apply(fleet, event)
            publish(event)
            waits = waits or type(event) not in PASSING
        if transaction is None:
            transaction = fleet.session_of(cp_id, connector_id, transaction_id)
        exchange.transaction = transaction
        # Not each message about a transaction names the connector, or the one where it is.
        exchange.connector_id = connector_id if transaction is None else transaction.connector_id
        exchange.settled_s = time.perf_counter()
        if waits:
            core.journal.commit(exchange.stored)
        else:
            exchange.stored(None)

    def _refuse(self, call: Call, span: MessageSpan, received_ts: float, fault: CallFault) -> None:
        core = self.core
        apply(core.fleet, ev.ProtocolFaulted(cp_id=self.cp.cp_id, received_ts=received_ts, code=fault.code))
        self.rpc.refuse(call, fault.code, fault.description, fault.details)
        core.recorder.answered(span, connector_id=None, session=None, error=fault.code, store_wait_s=0.0)
