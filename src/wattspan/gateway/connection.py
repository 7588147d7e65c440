"""One charge point's WebSocket. It passes data frames to the RPC connection; `websockets` does everything else.

Taking frames in `process_event` instead of `async for` saves a queue and a task switch for each message
(docs/adr/0012-founding-decisions.md#13). This class therefore does what the queue did: it assembles fragments, and
stops reading from a peer that does not read.

`create_connection` of `websockets.asyncio.server.serve` is documented, but not what a subclass may override or use. No
other module depends on that; `tests/unit/gateway/test_websockets_private.py` names the versions this holds for.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import WebSocketException
from websockets.frames import CloseCode, Opcode
from websockets.protocol import Event, State

OnData = Callable[[bytes], None]
FrameTap = Callable[[str, bytes], None]
"""(direction, message): called with each text message that goes "in" or "out"; must not raise or block."""

_TEXT, _CONT, _BINARY, _PONG, _OPEN = Opcode.TEXT, Opcode.CONT, Opcode.BINARY, Opcode.PONG, State.OPEN
"""Module constants, because attribute access on an enum is slow in Python 3.11."""


class ChargePointConnection(ServerConnection):
    """A server connection that calls `on_data(bytes)` for each complete message, in order, on the loop's thread."""

    # Slots, because this object is most of a connection's memory: with over 30 attributes in its dictionary, CPython
    # stores their names once for each connection.
    __slots__ = (
        "_early",
        "_fragments",
        "_holds",
        "_lost",
        "_on_data",
        "_pong_due",
        "admitted",
        "on_binary",
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
        self._on_data: OnData | None = None
        self._early: list[bytes] = []
        self._fragments: list[bytes] = []
        self._holds = 0
        self._lost: asyncio.Future[None] = self.loop.create_future()
        self.ping_timer: asyncio.TimerHandle | None = None
        """The timer of the next ping or of the pong's time-out; None without keepalive."""
        self._pong_due = False
        self.drain_waiters = []  # type: ignore[assignment]  # an empty deque is 700 bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by `websockets`, which creates a message queue here that is not needed."""
        super().connection_made(transport)
        self.recv_messages.frames.queue = None  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport, once."""
        super().connection_lost(exc)
        if self.ping_timer is not None:
            self.ping_timer.cancel()
        if not self._lost.done():
            self._lost.set_result(None)

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

    def attach(self, on_data: OnData) -> None:
        """Pass messages to `on_data` from now on, beginning with those that arrived during the handshake."""
        self._on_data = on_data
        early, self._early = self._early, []
        for data in early:
            self._deliver(data)

    def detach(self) -> None:
        """Discard further messages. They are still read, or the peer's close frame would never be seen."""
        self._on_data = _discard
        self._early.clear()
        if self._holds and not self.transport.is_closing():
            self.transport.resume_reading()
        self._holds = 0

    def process_event(self, event: Event) -> None:
        """Called by `websockets` with the handshake request and then with each frame."""
        opcode = getattr(event, "opcode", None)
        if opcode is _TEXT or opcode is _CONT or opcode is _BINARY:
            if opcode is _BINARY and self.on_binary is not None:
                self.on_binary()
            data, event.data = bytes(event.data), b""  # type: ignore[union-attr]  # the parser holds the last frame
            self._assemble(data, event.fin)  # type: ignore[union-attr]
        elif opcode is _PONG:
            self._pong_received()
        else:
            super().process_event(event)

    def send_now(self, data: bytes) -> None:
        """Write a text message at once; do nothing if the connection is closing."""
        if self.protocol.state is not _OPEN:
            return
        if self.tap is not None:
            self.tap("out", data)
        try:  # contextlib.suppress would cost three calls for each message
            self.protocol.send_text(data)
            self.send_data()
        except (WebSocketException, OSError, RuntimeError):
            pass  # the peer may be gone before `connection_lost` is called

    def pause_writing(self) -> None:
        """Called when the peer does not read: stop reading from it, so that unsent answers stay bounded."""
        super().pause_writing()
        self.pause_reading()

    def resume_writing(self) -> None:
        """Called when the peer reads again."""
        super().resume_writing()
        self.resume_reading()

    def pause_reading(self) -> None:
        """Stop reading until `resume_reading` has been called as often as this."""
        if self._on_data is _discard:
            return
        self._holds += 1
        if self._holds == 1 and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Undo one `pause_reading`."""
        if self._holds == 0:
            return
        self._holds -= 1
        if self._holds == 0 and not self.transport.is_closing():
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
        if self._fragments or not final:
            self._fragments.append(data)
            if not final:
                return
            data = b"".join(self._fragments)
            self._fragments.clear()
        self._deliver(data)

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
