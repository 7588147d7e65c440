"""The RPC end of one OCPP-J connection: order, matching and time-outs (OCPP-J 1.6 §4.1).

It owns the outstanding CALLs: one of the peer's and one of ours, independent of each other. It does not know what
messages mean, nor WebSockets: it gets bytes and a `Wire`. Everything runs on the event loop's thread.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from wattspan.errors import CommandRefused, CommandTimeout, ConnectionLost, FrameError
from wattspan.ocppj import frames
from wattspan.ocppj.frames import FRAMING_16, Call, CallError, CallResult, Framing, ResultError, Send

MAX_WAITING_CALLS = 32
"""CALLs of a peer that does not wait for answers; from this number on, reading from it is paused."""
MAX_QUEUED_COMMANDS = 64
"""Commands that may be queued for one charge point."""


Check = Callable[[dict[str, Any]], tuple[str, str] | None]


class Wire(Protocol):
    """The transport of an RPC connection."""

    def send(self, data: bytes) -> None:
        """Send a text message; does nothing once the connection is closing."""

    def pause_reading(self) -> None:
        """Stop reading from the peer."""

    def resume_reading(self) -> None:
        """Read from the peer again."""


class Handler(Protocol):
    """Handles the peer's messages."""

    def on_call(self, call: Call) -> None:
        """Handle a CALL by one `RpcConnection.answer` or `RpcConnection.refuse`, now or later. Must not raise."""

    def on_fault(self, fault: FrameError) -> None:
        """Note a text that is not a valid message. The RPC connection answers it."""

    def on_send(self, send: Send) -> None:
        """Handle a SEND, which is never answered (OCPP-J 2.1). Must not raise."""

    def on_result_error(self, error: ResultError) -> None:
        """Note that the peer could not use one of our answers (CALLRESULTERROR, OCPP-J 2.1)."""

    def on_unexpected_result(self) -> None:
        """Note a result without an outstanding CALL: one never sent, or timed out."""


class _Outstanding(NamedTuple):
    """Our outstanding CALL."""

    message_id: str
    action: str
    future: asyncio.Future[CallResult | CallError]


class RpcConnection:
    """The state of one connection: CALLs in both directions, and those that wait."""

    __slots__ = (
        "_closed",
        "_current",
        "_draining",
        "_finished",
        "_framing",
        "_handler",
        "_outstanding",
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
        """Commands that wait to be sent or for their answer."""
        self._wire = wire
        self._handler = handler
        self._current: Call | None = None
        self._waiting: list[Call] = []  # a few at most: no deque, which is 700 bytes when empty
        self._outstanding: _Outstanding | None = None
        self._turn: asyncio.Lock | None = None
        self._finished: asyncio.Future[None] | None = None
        self._closed = False
        self._draining = False
        self._paused = False

    @property
    def closed(self) -> bool:
        return self._closed

    def receive(self, data: bytes) -> None:
        """Process one text message. Never raises."""
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
            self._handler.on_unexpected_result()

    def answer(self, call: Call, payload: dict[str, Any]) -> None:
        """Send the CALLRESULT of `call` and process the next CALL."""
        self._finish(call, frames.call_result(call.message_id, payload))

    def refuse(self, call: Call, code: str, description: str, details: dict[str, Any]) -> None:
        """Send a CALLERROR for `call` and process the next CALL."""
        self._finish(call, frames.call_error(call.message_id, code, description, details))

    async def call(
        self, action: str, payload: dict[str, Any], *, timeout_s: float, check: Check | None = None
    ) -> dict[str, Any]:
        """Send a CALL once the ones before it are done, and return the payload of its result.

        `timeout_s` counts from sending. `check` returns a result's fault as code and text, or None; in OCPP 2.1 it is
        sent to the peer as CALLRESULTERROR.

        Cancellation: safe; an answer that arrives later counts as unexpected.

        Raises:
            CommandRefused: the peer answered with CALLERROR.
            CommandTimeout: no answer in time, or MAX_QUEUED_COMMANDS commands are queued already.
            ConnectionLost: the connection closed.
        """
        if self.queued >= MAX_QUEUED_COMMANDS:
            raise CommandTimeout(self.cp_id, action, 0)
        if self._turn is None:
            self._turn = asyncio.Lock()
        self.queued += 1
        try:
            async with self._turn:
                return await self._call(action, payload, timeout_s, check)
        finally:
            self.queued -= 1

    def close(self) -> None:
        """Mark the connection as closed. Pending calls raise ConnectionLost; nothing is sent any more."""
        self._closed = True
        self._waiting.clear()
        if self._outstanding is not None and not self._outstanding.future.done():
            self._outstanding.future.set_exception(ConnectionLost(self.cp_id, self._outstanding.action))
        self._set_finished()

    async def finished(self) -> None:
        """Wait until no CALL of the peer is in progress. One waiter at most, after reading was stopped."""
        if self._current is not None and not self._closed:
            self._finished = asyncio.get_running_loop().create_future()
            await self._finished

    async def _call(
        self, action: str, payload: dict[str, Any], timeout_s: float, check: Check | None
    ) -> dict[str, Any]:
        if self._closed:
            raise ConnectionLost(self.cp_id, action)
        # Unique over all connections: a late answer from the charger's previous connection must not match.
        message_id = str(uuid4())
        future: asyncio.Future[CallResult | CallError] = asyncio.get_running_loop().create_future()
        self._outstanding = _Outstanding(message_id, action, future)
        try:
            self._wire.send(frames.call(message_id, action, payload))
            async with asyncio.timeout(timeout_s):
                result = await future
        except TimeoutError as exc:
            raise CommandTimeout(self.cp_id, action, timeout_s) from exc
        finally:
            self._outstanding = None
        if isinstance(result, CallError):
            raise CommandRefused(self.cp_id, action, result.code, result.description, result.details)
        if self._framing.result_errors:
            self._report_fault(result, check)
        return result.payload

    def _report_fault(self, result: CallResult, check: Check | None) -> None:
        """Send CALLRESULTERROR (OCPP-J 2.1 §4.2.4) for a result that is not an object or that `check` rejects."""
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
            self._set_finished()

    def _set_finished(self) -> None:
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)

    def _drain(self) -> None:
        """Process waiting CALLs one at a time; in a loop, so that a backlog answered at once does not recurse."""
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
        outstanding = self._outstanding
        if outstanding is None or str(result.message_id) != outstanding.message_id or outstanding.future.done():
            self._handler.on_unexpected_result()
        else:
            outstanding.future.set_result(result)
