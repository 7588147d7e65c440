"""The RPC end of one OCPP-J connection: order, matching and time-outs (OCPP-J 1.6 §4.1).

It owns the outstanding CALLs: one of the peer's and one of ours, independent of each other. It does not know what
messages mean, nor WebSockets: it gets bytes and a `Wire`. Everything runs on the event loop's thread.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from wattspan.errors import CommandRefused, CommandTimeout, ConnectionLost, FrameError
from wattspan.ocppj import frames
from wattspan.ocppj.frames import FRAMING_16, Call, CallError, CallResult, Frame, Framing, ResultError, Send
from wattspan.ocppj.large import LARGE_BYTES, LargeMessages

MAX_WAITING_CALLS = 32
"""CALLs of a peer that does not wait for answers; from this number on, reading from it is paused."""
MAX_WAITING_BYTES = 256 << 10
"""The same by size. Messages wait as text and are parsed in their turn, for parsed they take many times as much."""
MAX_QUEUED_COMMANDS = 64
"""Commands that may be queued for one charge point."""


_BEGINS_CALL = re.compile(rb"\s*\[\s*2\s*,").match

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

    def on_joined(self, messages: int) -> None:
        """Note a text of several messages, which OCPP-J does not allow. Each of them is processed."""

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


@dataclass(slots=True)
class Sent:
    """What was on the wire of one of our CALLs. Sizes are in bytes; 0: nothing was sent or received."""

    message_id: str = ""
    request_size: int = 0
    response_size: int = 0


class RpcConnection:
    """The state of one connection: CALLs in both directions, and those that wait."""

    __slots__ = (
        "_closed",
        "_current",
        "_draining",
        "_ended",
        "_finished",
        "_framing",
        "_handler",
        "_large",
        "_outstanding",
        "_parsing",
        "_paused",
        "_turn",
        "_waiting",
        "_waiting_bytes",
        "_wire",
        "cp_id",
        "queued",
    )

    def __init__(
        self,
        cp_id: str,
        wire: Wire,
        handler: Handler,
        framing: Framing = FRAMING_16,
        large: LargeMessages | None = None,
    ) -> None:
        """`large` parses messages over LARGE_BYTES; without it they are parsed like any other."""
        self.cp_id = cp_id
        self._large = large
        self._framing = framing
        self.queued = 0
        """Commands that wait to be sent or for their answer."""
        self._wire = wire
        self._handler = handler
        self._current: Call | None = None
        self._waiting: list[bytes] = []  # a few at most: no deque, which is 700 bytes when empty
        self._waiting_bytes = 0
        self._parsing = False
        self._outstanding: _Outstanding | None = None
        self._turn: asyncio.Lock | None = None
        self._finished: asyncio.Future[None] | None = None
        self._closed = False
        self._ended = False
        self._draining = False
        self._paused = False

    @property
    def closed(self) -> bool:
        """Return whether nothing can be sent any more."""
        return self._closed

    def receive(self, data: bytes) -> None:
        """Process one text message: a CALL in its turn, everything else at once. Never raises."""
        if self._parsing or (self._current is not None and _BEGINS_CALL(data) is not None):
            self._wait(data)
        else:
            self._process(data)

    def _process(self, data: bytes) -> None:
        if len(data) > LARGE_BYTES and self._large is not None:
            self._parse_large(data, self._large)
            return
        try:
            frame = frames.parse(data, self._framing)
        except FrameError as fault:
            self._unparsed(data, fault)
            return
        if type(frame) is Call and self._current is None:  # here, not in `_dispatch`, to save a call for each message
            frame.size = len(data)
            self._current = frame
            self._handler.on_call(frame)
            if self._waiting:
                self._drain()
        else:
            self._dispatch(frame, data)

    def _dispatch(self, frame: Frame | None, data: bytes) -> None:
        if type(frame) is Call:
            if self._current is not None:
                self._wait(data)
                return
            frame.size = len(data)
            self._current = frame
            self._handler.on_call(frame)
            if self._waiting:
                self._drain()
        elif type(frame) is CallResult or type(frame) is CallError:
            frame.size = len(data)
            self._match(frame)
        elif type(frame) is Send:
            self._handler.on_send(frame)
        elif type(frame) is ResultError:
            self._handler.on_result_error(frame)
        else:
            self._handler.on_unexpected_result()

    def _unparsed(self, data: bytes, fault: FrameError) -> None:
        """Process a text that is no message: it may be several, which are processed in order."""
        messages = frames.split(data, self._framing)
        if messages is None:
            self._refuse_frame(fault)
            return
        self._handler.on_joined(len(messages))
        place = 0 if self._draining else None  # a text that has waited comes before those that still wait
        for each in messages:
            if self._current is None or _BEGINS_CALL(each) is None:
                self._process(each)
            else:
                self._wait(each, place)
                place = None if place is None else place + 1

    def _refuse_frame(self, fault: FrameError) -> None:
        self._handler.on_fault(fault)
        if fault.answered and not self._closed:
            self._wire.send(frames.call_error(fault.message_id, fault.code, fault.description, {}))

    def answer(self, call: Call, payload: dict[str, Any]) -> None:
        """Send the CALLRESULT of `call` and process the next CALL."""
        self._finish(call, frames.call_result(call.message_id, payload))

    def refuse(self, call: Call, code: str, description: str, details: dict[str, Any]) -> None:
        """Send a CALLERROR for `call` and process the next CALL."""
        self._finish(call, frames.call_error(call.message_id, code, description, details))

    async def call(
        self,
        action: str,
        payload: dict[str, Any],
        *,
        timeout_s: float,
        check: Check | None = None,
        sent: Sent | None = None,
    ) -> dict[str, Any]:
        """Send a CALL once the ones before it are done, and return the payload of its result.

        `sent` is filled with what was on the wire.
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
                return await self._call(action, payload, timeout_s, check, sent or Sent())
        finally:
            self.queued -= 1

    def lost(self) -> None:
        """Mark the transport as lost. Pending calls raise ConnectionLost, and nothing is sent any more.

        What has been received is still processed, because the peer may have sent facts and gone at once: see
        `finished`.
        """
        self._closed = True
        if self._outstanding is not None and not self._outstanding.future.done():
            self._outstanding.future.set_exception(ConnectionLost(self.cp_id, self._outstanding.action))

    def close(self) -> None:
        """Do what `lost` does, and discard the messages that wait."""
        self.lost()
        self._ended = True
        self._waiting.clear()
        self._waiting_bytes = 0
        self._set_finished()

    async def finished(self) -> None:
        """Wait until no message of the peer is in progress or waits, after reading was stopped."""
        if not self._idle():
            if self._finished is None:
                self._finished = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._finished)

    def _idle(self) -> bool:
        return self._ended or (self._current is None and not self._waiting and not self._parsing)

    async def _call(
        self, action: str, payload: dict[str, Any], timeout_s: float, check: Check | None, sent: Sent
    ) -> dict[str, Any]:
        if self._closed:
            raise ConnectionLost(self.cp_id, action)
        # Unique over all connections: a late answer from the charger's previous connection must not match.
        message_id = str(uuid4())
        future: asyncio.Future[CallResult | CallError] = asyncio.get_running_loop().create_future()
        self._outstanding = _Outstanding(message_id, action, future)
        try:
            data = frames.call(message_id, action, payload)
            sent.message_id, sent.request_size = message_id, len(data)
            self._wire.send(data)
            async with asyncio.timeout(timeout_s):
                result = await future
        except TimeoutError as exc:
            raise CommandTimeout(self.cp_id, action, timeout_s) from exc
        finally:
            self._outstanding = None
        sent.response_size = result.size
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

    def _wait(self, data: bytes, place: int | None = None) -> None:
        """Have a text wait for its turn: the last, or at `place`."""
        if self._ended:
            return
        self._waiting.insert(len(self._waiting) if place is None else place, data)
        self._waiting_bytes += len(data)
        if len(self._waiting) >= MAX_WAITING_CALLS or self._waiting_bytes >= MAX_WAITING_BYTES:
            self._pause()

    def _finish(self, call: Call, data: bytes) -> None:
        if self._ended or call is not self._current:
            return
        if not self._closed:
            self._wire.send(data)
            call.answer_size = len(data)
        self._current = None
        if self._waiting:
            self._drain()
        elif self._finished is not None:
            self._set_finished()

    def _set_finished(self) -> None:
        if self._finished is not None and not self._finished.done() and self._idle():
            self._finished.set_result(None)

    def _drain(self) -> None:
        """Process waiting messages one at a time; in a loop, so that a backlog answered at once does not recurse."""
        if self._draining:
            return
        self._draining = True
        try:
            while self._waiting and self._current is None and not self._parsing:
                data = self._waiting.pop(0)
                self._waiting_bytes -= len(data)
                self._process(data)
        finally:
            self._draining = False
        self._resume()
        self._set_finished()

    def _parse_large(self, data: bytes, large: LargeMessages) -> None:
        """Have a large message parsed elsewhere. All that follows waits, so that the order is kept."""
        self._parsing = True
        self._pause()
        large.parse(data, self._framing, lambda result: self._parsed(data, result))

    def _parsed(self, data: bytes, result: Frame | FrameError | list[bytes] | None) -> None:
        self._parsing = False
        if self._ended:
            return
        joined: list[bytes] = []
        if isinstance(result, FrameError):
            self._refuse_frame(result)
        elif isinstance(result, list):
            joined = result
            self._handler.on_joined(len(joined))
        else:
            if type(result) is Call:
                result.is_large = True
            self._dispatch(result, data)
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        for each in (*joined, *waiting):  # results among them wait for nothing
            self.receive(each)
        self._resume()
        self._set_finished()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._wire.pause_reading()

    def _resume(self) -> None:
        few = len(self._waiting) < MAX_WAITING_CALLS // 2 and self._waiting_bytes < MAX_WAITING_BYTES // 2
        if self._paused and few and not self._parsing:
            self._paused = False
            self._wire.resume_reading()

    def _match(self, result: CallResult | CallError) -> None:
        outstanding = self._outstanding
        if outstanding is None or str(result.message_id) != outstanding.message_id or outstanding.future.done():
            self._handler.on_unexpected_result()
        else:
            outstanding.future.set_result(result)
