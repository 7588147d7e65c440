"""One charge point's WebSocket. It passes data frames to the RPC connection; `websockets` does everything else.

Taking frames in `process_event` instead of `async for` saves a queue and a task switch for each message
(docs/adr/0012-founding-decisions.md#13). This class therefore does what the queue did: it assembles fragments, and
stops reading from a peer that does not read. It also bounds what one peer takes of the event loop and of the memory:
see `Budget`.

`create_connection` of `websockets.asyncio.server.serve` is documented, but not what a subclass may override or use. No
other module depends on that; `tests/unit/gateway/test_websockets_private.py` names the versions this holds for.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidMessage, PayloadTooBig, WebSocketException
from websockets.frames import CloseCode, Opcode, apply_mask  # type: ignore[attr-defined]  # the C function, if any
from websockets.protocol import SEND_EOF, Event, State
from websockets.streams import StreamReader

OnData = Callable[[bytes], None]
OnLimit = Callable[["ChargePointConnection", str], None]
"""(connection, reason): the reason is a metric label."""
FrameTap = Callable[[str, bytes], None]
"""(direction, message): called with each text message that goes "in" or "out"; must not raise or block."""

SLICE_BYTES = 2_048
"""Most messages are shorter."""
ON_NO_HTTP = "on_no_http"
"""An attribute of the server: called for each connection that is answered with BAD_REQUEST. An attribute of each
connection would take memory in all of them."""
OPENINGS = "openings"
"""An attribute of the server: its `openings.Openings`."""
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
MAX_EMPTY_FRAGMENTS = 100
"""Fragments without content in one message."""
FLOOD_WINDOW_S = 40.0
"""A peer that exceeds one of the following within this time is closed."""
FLOOD_FRAMES = 250_000
FLOOD_BYTES = 32 << 20
FLOOD_TURNS = 1_500
"""Turns of the event loop whose budget was used up. An admitted peer that always exceeds it does so in some 15 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a connection may take in one turn of the event loop before reading pauses for `pause_s`."""

    frames: int
    bytes: int
    """Of messages, after decompression."""
    pause_s: float
    slice_bytes: int
    """What is passed to the parser at once, so that the budget is checked in between. Compressed it is a thousand times
    as much at most."""
    reads: int | None = None
    """Reads without a pause; after them there is a pause after each read. None: no limit."""


ADMITTED = Budget(frames=64, bytes=256 << 10, pause_s=0.005, slice_bytes=SLICE_BYTES)
UNREGISTERED = Budget(frames=4, bytes=8 << 10, pause_s=1.0, slice_bytes=256, reads=10)
"""For peers that have no rights yet: a message a second, once the first ones have come."""

_HANDSHAKE, _WRITING, _RECEIVER, _BUDGET = 1, 2, 4, 8
"""Reasons to pause reading, as bits."""

_TEXT, _CONT, _BINARY, _PONG, _OPEN = Opcode.TEXT, Opcode.CONT, Opcode.BINARY, Opcode.PONG, State.OPEN
"""Module constants, because attribute access on an enum is slow in Python 3.11."""

_WHOLE_TEXT = 0x81
"""The first byte of a text frame that is a whole message, not compressed (RFC 6455 §5.2)."""
_MASKED, _LENGTH_16 = 0x80, 126
"""The second byte of a frame: the mask bit, and the length that stands for a field of 16 bits."""
_SHORT_HEADS = tuple([bytes((_WHOLE_TEXT, length)) for length in range(_LENGTH_16)])
_MAX_LENGTH_16 = 0xFFFF
_AT_EOF = StreamReader.at_eof.__code__
"""Where the parser waits for the first byte of a frame."""


class ChargePointConnection(ServerConnection):
    """A server connection that calls `on_data(bytes)` for each complete message, in order, on the loop's thread."""

    # Slots, because this object is most of a connection's memory: with over 30 attributes in its dictionary, CPython
    # stores their names once for each connection.
    __slots__ = (
        "_between_frames",
        "_budget",
        "_bytes",
        "_early",
        "_empty_fragments",
        "_error",
        "_fragments",
        "_frames",
        "_gone",
        "_holds",
        "_lost",
        "_on_data",
        "_paused",
        "_pong_due",
        "_processing",
        "_turns",
        "_unread",
        "_window_began",
        "admitted",
        "forwarded",
        "on_binary",
        "on_limit",
        "ping_timer",
        "tap",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tap: FrameTap | None = None
        """Called with every message of both directions."""
        self.on_binary: Callable[[], None] | None = None
        """Called for each binary message, which OCPP-J does not allow. Its content is processed nevertheless."""
        self.admitted: Any = None
        """The result of the handshake's authentication; set and read by the gateway."""
        self.forwarded: Any = None
        """What a load balancer reported of this connection (proxy_header.Forwarded); None without one."""
        self._on_data: OnData | None = None
        self.on_limit: OnLimit | None = None
        """Called once, when the connection is closed because the peer exceeds a limit."""
        self._early: list[bytes] = []
        self._fragments: bytearray | None = None
        self._empty_fragments = 0
        self._holds = 0
        self._budget = ADMITTED
        self._unread: bytearray | None = None
        """What has arrived and was not passed to the parser yet."""
        self._processing = self._paused = False
        self._between_frames = False
        """Whether what arrives next begins a message, on a connection without extensions."""
        self._gone = False
        self._error: Exception | None = None
        self._frames = self._bytes = self._turns = 0
        self._window_began = self.loop.time()
        self._lost: asyncio.Future[None] = self.loop.create_future()
        self.ping_timer: asyncio.TimerHandle | None = None
        """The timer of the next ping or of the pong's time-out; None without keepalive."""
        self._pong_due = False
        self.drain_waiters = []  # type: ignore[assignment]  # an empty deque is 700 bytes

    @property
    def remote_address(self) -> Any:
        """The charge point's address, as the load balancer reports it if there is one."""
        return self.transport.get_extra_info("peername") if self.forwarded is None else self.forwarded.address

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by `websockets`, which creates a message queue here that is not needed."""
        super().connection_made(transport)
        self.recv_messages.frames.queue = None  # type: ignore[assignment]
        openings = getattr(self.server, OPENINGS, None)
        if openings is not None:
            openings.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport, once. The connection ends when all that has arrived is processed."""
        self._gone = True
        self._error = exc
        self._holds &= ~_WRITING
        if self._on_data is None or self._on_data is _discard or self._budget.reads is not None:
            self._unread = None
        if self._unread:
            self._process_unread()
        else:
            self._end()

    def _end(self) -> None:
        if self._lost.done():
            return
        self._unread = None
        if self.request is None:
            self._opened()
        super().connection_lost(self._error)
        if self.ping_timer is not None:
            self.ping_timer.cancel()
        self._lost.set_result(None)

    def eof_received(self) -> None:
        """Called by the transport. The end comes after what has arrived: `connection_lost` follows."""
        if not self._unread:
            super().eof_received()

    def data_received(self, data: bytes) -> None:
        """Called by the transport, and the same as in `websockets`, but within the budget of this turn."""
        if self._holds or len(data) > SLICE_BYTES or self._unread or self._budget.reads is not None:
            if self._unread is None:
                self._unread = bytearray()
            self._unread += data
            self._process_unread()
            return
        if not (self._between_frames and self._take_whole(data)):
            self._process(data)
        if self._frames > FLOOD_FRAMES or self._bytes > FLOOD_BYTES:
            self._check_flood()

    def _take_whole(self, data: bytes) -> bool:
        """Deliver the message if `data` is one text frame, as nearly every message is; return False for anything else.

        The parser of `websockets` gives the same result, but takes 5 µs for a frame, this 1 µs.
        """
        size, protocol = len(data), self.protocol
        if size < 6 or data[0] != _WHOLE_TEXT or protocol.state is not _OPEN:  # noqa: PLR2004 - header and mask
            return False
        length, begin = data[1] - _MASKED, 6
        if length == _LENGTH_16:
            length, begin = data[2] << 8 | data[3], 8
        elif not 0 <= length < _LENGTH_16:  # not masked, or a length of 64 bits
            return False
        if size != begin + length:
            return False
        if protocol.max_message_size is not None and length > protocol.max_message_size:
            return False
        self._frames += 1
        self._bytes += length
        self._deliver(apply_mask(data[begin:], data[begin - 4 : begin]))
        return True

    def _is_between_frames(self) -> bool:
        """Return whether the parser waits for a frame that begins a message, and no extension changes frames."""
        protocol = self.protocol
        if protocol.extensions or protocol.current_size is not None or protocol.max_fragment_size or protocol.debug:
            return False
        frames = getattr(protocol.parser, "gi_yieldfrom", None)  # the handshake's parser waits for that of the frames
        waits_for = getattr(frames, "gi_yieldfrom", None)
        return getattr(waits_for, "gi_code", None) is _AT_EOF

    def _process(self, data: bytes | bytearray) -> None:
        """Do what `data_received` of `websockets` does. `super()` would cost as much as the counting."""
        protocol = self.protocol
        protocol.receive_data(data)
        events = protocol.events_received()
        if protocol.handshake_exc is not None:
            self._answer_what_is_no_http()
        try:
            if not self._gone:
                self.send_data()
        except Exception as exc:  # noqa: BLE001 - as in websockets
            self.set_connection_exc(exc)
        if protocol.state is not _OPEN and protocol.close_expected() and self.close_deadline is None:
            self.close_deadline = self.loop.time() + (self.close_timeout or 0.0)
        for event in events:
            self.process_event(event)
        if type(protocol.parser_exc) is PayloadTooBig:
            self._limit_exceeded("message_too_big")
        self._between_frames = self._is_between_frames()

    def _answer_what_is_no_http(self) -> None:
        """Answer bytes that are no HTTP request with 400, once; `websockets` closes without an answer."""
        protocol = self.protocol
        if type(protocol.handshake_exc) is InvalidMessage and protocol.writes == [SEND_EOF]:
            self.transport.write(BAD_REQUEST)
            on_no_http: Callable[[], None] | None = getattr(self.server, ON_NO_HTTP, None)
            if on_no_http is not None:
                on_no_http()

    def _process_unread(self) -> None:
        """Process what has arrived, slice by slice, until something pauses reading or the budget is used up."""
        if self._processing:
            return
        self._processing = True
        budget, frames, size = self._budget, self._frames, self._bytes
        while self._unread and not self._holds:
            data = self._unread[: budget.slice_bytes]
            del self._unread[: budget.slice_bytes]
            self._process(data)
            if self._frames - frames >= budget.frames or self._bytes - size >= budget.bytes:
                self._turns += 1
                self._rest()
        self._processing = False
        if not self._unread:
            self._unread = None
            if budget.reads is not None:
                self._count_read(budget)
        self._read_on()
        if self._frames > FLOOD_FRAMES or self._bytes > FLOOD_BYTES or self._turns > FLOOD_TURNS:
            self._check_flood()

    def _count_read(self, budget: Budget) -> None:
        if budget.reads:
            self._budget = replace(budget, reads=budget.reads - 1)
        elif not self._holds & _BUDGET:
            self._rest()

    def _rest(self) -> None:
        self._hold(_BUDGET)
        self.loop.call_later(self._budget.pause_s, self._release, _BUDGET)

    def _check_flood(self) -> None:
        """Close the connection if the peer exceeded a limit within FLOOD_WINDOW_S, and begin a new window."""
        began, self._window_began = self._window_began, self.loop.time()
        if self._window_began - began < FLOOD_WINDOW_S:
            self.exceed("flood")
        self._frames = self._bytes = self._turns = 0

    def exceed(self, reason: str) -> None:
        """Close the connection with 1008, because the peer exceeds a limit. Further messages are discarded."""
        if self.protocol.state is _OPEN:
            self._limit_exceeded(reason)
            self.detach()
            self._write(lambda: self.protocol.fail(CloseCode.POLICY_VIOLATION, reason.replace("_", " ")))

    def _limit_exceeded(self, reason: str) -> None:
        if self.on_limit is not None:
            on_limit, self.on_limit = self.on_limit, None
            on_limit(self, reason)
            self.loop.call_later(self.close_timeout or 0.0, self.transport.abort)

    async def lost(self) -> None:
        """Wait until the connection is lost. One waiter at most; takes less memory than `wait_closed`."""
        await self._lost

    def start_keepalive(self) -> None:
        """Called by `websockets` after the handshake. Its own keepalive is a task per connection; this is a timer."""
        if self.ping_interval is not None:
            self.ping_timer = self.loop.call_later(self.ping_interval, self._ping)

    def forget_handshake(self) -> None:
        """Free the handshake's request and response, about 4 kB."""
        if self.request is not None:  # the parser holds a reference, too
            self.request.headers.clear()
        self.response = None
        self.logger = self.protocol.logger = self.server.logger  # without the adapter that names the connection

    def allow(self, max_message_bytes: int) -> None:
        """Allow a peer that was admitted messages of this size."""
        self.protocol.max_message_size = max_message_bytes

    def restrict(self, max_message_bytes: int) -> None:
        """Allow an unregistered peer little, before the handshake is answered: short messages, no compression."""
        self._budget = UNREGISTERED
        self.protocol.max_message_size = max_message_bytes
        self.protocol.available_extensions = None

    def attach(self, on_data: OnData) -> None:
        """Pass messages to `on_data` from now on, beginning with those that arrived during the handshake."""
        self._on_data = on_data
        early, self._early = self._early, []
        for data in early:
            self._deliver(data)
        self._release(_HANDSHAKE)

    def detach(self) -> None:
        """Discard further messages. They are still read, or the peer's close frame would never be seen."""
        self._on_data = _discard
        self._early.clear()
        self._fragments = None
        self._release(self._holds & ~_BUDGET)

    def handshake_ended(self) -> None:
        """Read again after a handshake that was refused."""
        self._release(_HANDSHAKE)

    def process_event(self, event: Event) -> None:
        """Called by `websockets` with the handshake request and then with each frame."""
        opcode = getattr(event, "opcode", None)
        self._frames += 1
        if opcode is _TEXT or opcode is _CONT or opcode is _BINARY:
            if opcode is _BINARY and self.on_binary is not None:
                self.on_binary()
            data, event.data = bytes(event.data), b""  # type: ignore[union-attr]  # the parser holds the last frame
            self._bytes += len(data)
            if self._fragments is None and event.fin:  # type: ignore[union-attr]
                self._deliver(data)
            else:
                self._assemble(data, event.fin)  # type: ignore[union-attr]
        elif opcode is _PONG:
            self._pong_received()
        else:
            if self.request is None:  # no frames before it is known who sends them
                self._hold(_HANDSHAKE)
                self._opened()
            super().process_event(event)

    def abort_silent(self) -> None:
        """Close at once, because there are too many connections that have sent no request."""
        self.transport.abort()

    def _opened(self) -> None:
        """No longer count as silent: the request has arrived, or the connection is lost."""
        openings = getattr(self.server, OPENINGS, None)
        if openings is not None:
            openings.remove(self)

    def send_now(self, data: bytes) -> None:
        """Write a text message at once; do nothing if the connection is closing."""
        protocol = self.protocol
        if protocol.state is not _OPEN or self._gone:
            return
        if self.tap is not None:
            self.tap("out", data)
        length = len(data)
        try:  # contextlib.suppress would cost three calls for each message
            if length > _MAX_LENGTH_16 or protocol.extensions or protocol.writes or protocol.debug:
                protocol.send_text(data)
                self.send_data()
            elif length < _LENGTH_16:  # the same frame, without the object for it
                self.transport.write(_SHORT_HEADS[length] + data)
            else:
                self.transport.write(b"\x81\x7e" + length.to_bytes(2) + data)
        except (WebSocketException, OSError, RuntimeError):
            pass  # the peer may be gone before `connection_lost` is called

    def pause_writing(self) -> None:
        """Called when the peer does not read: stop reading from it, so that unsent answers stay bounded."""
        super().pause_writing()
        if self._on_data is not _discard:
            self._hold(_WRITING)

    def resume_writing(self) -> None:
        """Called when the peer reads again."""
        super().resume_writing()
        self._release(_WRITING)

    def pause_reading(self) -> None:
        """Stop reading until `resume_reading` is called, for whoever gets the messages."""
        if self._on_data is not _discard:
            self._hold(_RECEIVER)

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""
        self._release(_RECEIVER)

    def count_messages(self, more: int) -> None:
        """Count messages that came in one frame with another as frames of their own."""
        self._frames += more

    def _hold(self, reason: int) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()
        self._holds |= reason

    def _release(self, reasons: int) -> None:
        """Read again if nothing else holds it, beginning with what has arrived already."""
        if not self._holds & reasons:
            return
        self._holds &= ~reasons
        if self._unread and not self._holds:
            self._process_unread()
        else:
            self._read_on()

    def _read_on(self) -> None:
        """Read from the socket if nothing holds it, or end if the connection is lost."""
        if self._holds or self._unread or self._processing:
            return
        if self._gone:
            self._end()
        elif self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def _ping(self) -> None:
        """Send a ping, and fail the connection if no pong arrives within `ping_timeout`."""
        if self.protocol.state is not _OPEN:
            return
        self._write(lambda: self.protocol.send_ping(b""))
        if self.ping_timeout is None:
            self.start_keepalive()
        else:
            self._pong_due = True
            self.ping_timer = self.loop.call_later(self.ping_timeout, self._ping_timed_out)

    def _pong_received(self) -> None:
        if self._pong_due and self.ping_timer is not None:
            self._pong_due = False
            self.ping_timer.cancel()
            self.start_keepalive()

    def _ping_timed_out(self) -> None:
        """Fail the connection, and abort it if the peer does not close within `close_timeout`."""
        if self.protocol.state is _OPEN:
            self._write(lambda: self.protocol.fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout"))
            self.ping_timer = self.loop.call_later(self.close_timeout or 0.0, self.transport.abort)

    def _write(self, frame: Callable[[], None]) -> None:
        with contextlib.suppress(WebSocketException, OSError, RuntimeError):
            frame()
            self.send_data()

    def _assemble(self, data: bytes, final: bool) -> None:
        """Add a fragment; in one buffer, because a list of small ones takes many times as much."""
        if self._fragments is None:
            self._fragments = bytearray()
            self._empty_fragments = 0
        self._fragments += data
        if final:
            data, self._fragments = bytes(self._fragments), None
            self._deliver(data)
        elif not data:
            self._empty_fragments += 1
            if self._empty_fragments > MAX_EMPTY_FRAGMENTS:
                self.exceed("empty_fragments")

    def _deliver(self, data: bytes) -> None:
        if self._on_data is None:
            self._early.append(data)
            return
        if self.tap is not None:
            self.tap("in", data)
        self._on_data(data)


async def close_quietly(connection: ChargePointConnection, code: int, reason: str) -> None:
    """Close the connection; ignore that the peer is gone or does not answer within the close time-out."""
    with contextlib.suppress(WebSocketException, OSError, asyncio.TimeoutError):
        await connection.close(code, reason)


def _discard(_data: bytes) -> None:
    return None
