"""One OCPP-J conversation over one connection: order, matching, time-outs (OCPP-J 1.6 §4.1).

It owns what may be outstanding: one CALL of the charger's and one of ours, independent of each other. It does not know
what messages mean, nor WebSockets: it is given bytes and a `Wire`. Everything runs on the event loop's thread.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from wattspan.errors import CommandRefused, CommandTimeout, ConnectionLost, FrameError
from wattspan.ocppj import frames
from wattspan.ocppj.frames import FRAMING_16, Call, CallError, CallResult, Framing, ResultError, Send

MAX_WAITING_CALLS = 32
"""Calls of a charger that did not wait for its answers; above this we stop reading from it."""
MAX_QUEUED_COMMANDS = 64
"""Commands that wait for their turn on one charge point."""


Check = Callable[[dict[str, Any]], tuple[str, str] | None]


class Wire(Protocol):
    """The connection as a session sees it."""

    def send(self, data: bytes) -> None:
        """Send a text message; does nothing once the connection is closing."""

    def pause_reading(self) -> None:
        """Take no more bytes from the peer."""

    def resume_reading(self) -> None:
        """Take bytes again."""


class Handler(Protocol):
    """Whoever says what a message means."""

    def on_call(self, call: Call) -> None:
        """A CALL; must lead to one `RpcConnection.answer` or `RpcConnection.refuse`, now or later. Must not raise."""

    def on_fault(self, fault: FrameError) -> None:
        """A text that is no message; the session answers it."""

    def on_send(self, send: Send) -> None:
        """A message that gets no answer, come what may (OCPP-J 2.1). Must not raise."""

    def on_result_error(self, error: ResultError) -> None:
        """An answer of ours that the charge point could make nothing of (OCPP-J 2.1)."""

    def on_unasked(self) -> None:
        """A result that answers nothing we wait for: never asked, or too late."""


class _Asked(NamedTuple):
    """Our CALL that is outstanding."""

    message_id: str
    action: str
    future: asyncio.Future[CallResult | CallError]


class RpcConnection:
    """The state of one conversation."""

    __slots__ = (
        "_asked",
        "_closed",
        "_current",
        "_draining",
        "_finished",
        "_framing",
        "_handler",
        "_paused",
        "_turn",
        "_waiting",
        "_wire",
        "cp_id",
        "queued",
    )

    def __init__(self, cp_id: str, wire: Wire, handler: Handler, framing: Framing = FRAMING_16) -> None:
        self.cp_id = cp_id
        self._framing = framing
        self.queued = 0
        """Commands that wait for their turn or their answer."""
        self._wire = wire
        self._handler = handler
        self._current: Call | None = None
        self._waiting: list[Call] = []  # a few at most: no deque, which is 700 bytes when empty
        self._asked: _Asked | None = None
        self._turn: asyncio.Lock | None = None
        self._finished: asyncio.Future[None] | None = None
        self._closed = False
        self._draining = False
        self._paused = False

    @property
    def closed(self) -> bool:
        return self._closed

    def receive(self, data: bytes) -> None:
        """Take one text message. Never raises."""
        try:
            frame = frames.parse(data, self._framing)
        except FrameError as fault:
            self._handler.on_fault(fault)
            if fault.answered:
                self._wire.send(frames.call_error(fault.message_id, fault.code, fault.description, {}))
            return
        if type(frame) is Call:
            self._take(frame)
        elif type(frame) is CallResult or type(frame) is CallError:
            self._match(frame)
        elif type(frame) is Send:
            self._handler.on_send(frame)
        elif type(frame) is ResultError:
            self._handler.on_result_error(frame)
        else:
            self._handler.on_unasked()

    def answer(self, call: Call, payload: dict[str, Any]) -> None:
        """Send the CALLRESULT of `call` and go on to the next one."""
        self._finish(call, frames.call_result(call.message_id, payload))

    def refuse(self, call: Call, code: str, description: str, details: dict[str, Any]) -> None:
        """Send a CALLERROR for `call` and go on to the next one."""
        self._finish(call, frames.call_error(call.message_id, code, description, details))

    async def call(
        self, action: str, payload: dict[str, Any], *, timeout_s: float, check: Check | None = None
    ) -> dict[str, Any]:
        """Send a CALL when it is its turn, and wait `timeout_s` from then for the result.

        `check` tells what is wrong with a result, as code and text; 2.1 has the charge point told of it.

        Cancellation: safe; an answer that comes later is counted as unasked.

        Raises:
            CommandRefused: a CALLERROR came.
            CommandTimeout: nothing came in time, or too many commands wait already.
            ConnectionLost: the connection closed.
        """
        if self.queued >= MAX_QUEUED_COMMANDS:
            raise CommandTimeout(self.cp_id, action, 0)
        if self._turn is None:
            self._turn = asyncio.Lock()
        self.queued += 1
        try:
            async with self._turn:
                return await self._ask(action, payload, timeout_s, check)
        finally:
            self.queued -= 1

    def close(self) -> None:
        """The connection is gone: whoever waits for an answer learns it; nothing is sent any more."""
        self._closed = True
        self._waiting.clear()
        if self._asked is not None and not self._asked.future.done():
            self._asked.future.set_exception(ConnectionLost(self.cp_id, self._asked.action))
        self._tell_finished()

    async def finished(self) -> None:
        """Return when no CALL of the charger's waits for its answer. For one waiter, when no more CALLs are taken."""
        if self._current is not None and not self._closed:
            self._finished = asyncio.get_running_loop().create_future()
            await self._finished

    async def _ask(self, action: str, payload: dict[str, Any], timeout_s: float, check: Check | None) -> dict[str, Any]:
        if self._closed:
            raise ConnectionLost(self.cp_id, action)
        # Never the same twice: an answer that a charger brings along from its last connection must not match.
        message_id = str(uuid4())
        future: asyncio.Future[CallResult | CallError] = asyncio.get_running_loop().create_future()
        self._asked = _Asked(message_id, action, future)
        try:
            self._wire.send(frames.call(message_id, action, payload))
            async with asyncio.timeout(timeout_s):
                result = await future
        except TimeoutError as exc:
            raise CommandTimeout(self.cp_id, action, timeout_s) from exc
        finally:
            self._asked = None
        if isinstance(result, CallError):
            raise CommandRefused(self.cp_id, action, result.code, result.description, result.details)
        if self._framing.result_errors:
            self._tell_of_fault(result, check)
        return result.payload

    def _tell_of_fault(self, result: CallResult, check: Check | None) -> None:
        """CALLRESULTERROR (OCPP-J 2.1 §4.2.4) for a result that is no object or that `check` finds wanting."""
        fault = (self._framing.formation, "the payload is not an object") if not result.well_formed else None
        if fault is None and check is not None:
            fault = check(result.payload)
        if fault is not None and not self._closed:
            self._wire.send(frames.result_error(result.message_id, *fault))

    def _take(self, call: Call) -> None:
        if self._current is not None:
            self._waiting.append(call)
            if len(self._waiting) >= MAX_WAITING_CALLS and not self._paused:
                self._paused = True
                self._wire.pause_reading()
            return
        self._current = call
        self._handler.on_call(call)
        if self._waiting:
            self._drain()

    def _finish(self, call: Call, data: bytes) -> None:
        if self._closed or call is not self._current:
            return
        self._wire.send(data)
        self._current = None
        if self._waiting:
            self._drain()
        elif self._finished is not None:
            self._tell_finished()

    def _tell_finished(self) -> None:
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)

    def _drain(self) -> None:
        """Hand on what waits, one at a time; a loop, so that a long backlog answered at once does not recurse."""
        if self._draining:
            return
        self._draining = True
        try:
            while self._waiting and self._current is None:
                self._current = self._waiting.pop(0)
                self._handler.on_call(self._current)
        finally:
            self._draining = False
        if self._paused and len(self._waiting) < MAX_WAITING_CALLS // 2:
            self._paused = False
            self._wire.resume_reading()

    def _match(self, result: CallResult | CallError) -> None:
        asked = self._asked
        if asked is None or str(result.message_id) != asked.message_id or asked.future.done():
            self._handler.on_unasked()
        else:
            asked.future.set_result(result)
