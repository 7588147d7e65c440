"""The WebSocket of one charge point. It hands data frames straight to the RPC connection; `websockets` does the rest.

Taking frames in `process_event` instead of `async for` saves a queue and a task switch for each message
(docs/adr/0012-founding-decisions.md, #13). What the queue did is then done here: assemble fragments, and stop reading
from a peer that does not read.

`create_connection` of `websockets.asyncio.server.serve` is documented, but not what a subclass may override or which
members it may use. This is the only module that depends on that; `tests/unit/gateway/test_websockets_private.py`
checks each of these members and names the versions this holds for.
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
"""(direction, message): called with each text message, "in" or "out"; must not raise or block."""

_TEXT, _CONT, _BINARY, _PONG, _OPEN = Opcode.TEXT, Opcode.CONT, Opcode.BINARY, Opcode.PONG, State.OPEN
"""Looked up once: access to an enum member is slow in Python 3.11."""


class ChargePointConnection(ServerConnection):
    """A server connection that calls `on_data(bytes)` for each whole message, in order, on the loop's thread."""

    # Slots save memory: with more than 30 attributes in a dictionary, CPython stores their names for each connection.
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
        """Called with every message in both directions."""
        self.on_binary: Callable[[], None] | None = None
        """Called for a binary message, which OCPP-J does not have; the message is processed nevertheless."""
        self.admitted: Any = None
        """The result of the handshake; for the gateway."""
        self._on_data: OnData | None = None
        self._early: list[bytes] = []
        self._fragments: list[bytes] = []
        self._holds = 0
        self._lost: asyncio.Future[None] = self.loop.create_future()
        self.ping_timer: asyncio.TimerHandle | None = None
        """The timer of the next ping or of the missing pong; None: no pings."""
        self._pong_due = False
        self.drain_waiters = []  # type: ignore[assignment]  # an empty deque is 700 bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by `websockets`, which creates a queue for messages here. It is released, as we do not use it."""
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
        """Return when the connection is closed. For one waiter; takes less memory than `wait_closed`."""
        await self._lost

    def start_keepalive(self) -> None:
        """Called by `websockets` after the handshake. Its own keepalive is a task a connection; this is a timer."""
        if self.ping_interval is not None:
            self.ping_timer = self.loop.call_later(self.ping_interval, self._ping)

    def forget_handshake(self) -> None:
        """Release the request and the response of the handshake, about 4 kB."""
        if self.request is not None:  # the parser has a reference to it, too
            self.request.headers.clear()
        self.response = None
        self.logger = self.protocol.logger = self.server.logger  # without the adapter that names the connection

    def attach(self, on_data: OnData) -> None:
        """Pass messages to `on_data` from now on, first those that arrived with the handshake."""
        self._on_data = on_data
        early, self._early = self._early, []
        for data in early:
            self._hand_over(data)

    def detach(self) -> None:
        """Drop further messages. Reading goes on, or the peer's close frame would never be received."""
        self._on_data = _drop
        self._early.clear()
        if self._holds and not self.transport.is_closing():
            self.transport.resume_reading()
        self._holds = 0

    def process_event(self, event: Event) -> None:
        """Called by `websockets` with the handshake request, then with each frame."""
        opcode = getattr(event, "opcode", None)
        if opcode is _TEXT or opcode is _CONT or opcode is _BINARY:
            if opcode is _BINARY and self.on_binary is not None:
                self.on_binary()
            data, event.data = bytes(event.data), b""  # type: ignore[union-attr]  # the parser references the last frame
            self._assemble(data, event.fin)  # type: ignore[union-attr]
        elif opcode is _PONG:
            self._pong_received()
        else:
            super().process_event(event)

    def send_now(self, data: bytes) -> None:
        """Write a text message at once; nothing happens once the connection is closing."""
        if self.protocol.state is not _OPEN:
            return
        if self.tap is not None:
            self.tap("out", data)
        try:  # contextlib.suppress would cost three calls a message
            self.protocol.send_text(data)
            self.send_data()
        except (WebSocketException, OSError, RuntimeError):
            pass  # the peer may be gone before the loop has called connection_lost

    def pause_writing(self) -> None:
        """Called when the peer does not read: stop reading from it, so that our answers to it stay bounded."""
        super().pause_writing()
        self.pause_reading()

    def resume_writing(self) -> None:
        """Called when the peer reads again."""
        super().resume_writing()
        self.resume_reading()

    def pause_reading(self) -> None:
        """Stop reading. Each call needs its own `resume_reading`."""
        if self._on_data is _drop:
            return
        self._holds += 1
        if self._holds == 1 and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Undo one `pause_reading`; reading goes on after the last."""
        if self._holds == 0:
            return
        self._holds -= 1
        if self._holds == 0 and not self.transport.is_closing():
            self.transport.resume_reading()

    def _ping(self) -> None:
        """Send a ping; without a pong within `ping_timeout` the connection is closed."""
        if self.protocol.state is not _OPEN:
            return
        self._write(lambda: self.protocol.send_ping(b""))
        if self.ping_timeout is None:
            self.start_keepalive()
        else:
            self._pong_due = True
            self.ping_timer = self.loop.call_later(self.ping_timeout, self._pong_missing)

    def _pong_received(self) -> None:
        """Schedule the next ping."""
        if self._pong_due and self.ping_timer is not None:
            self._pong_due = False
            self.ping_timer.cancel()
            self.start_keepalive()

    def _pong_missing(self) -> None:
        """Close the connection, and abort it if the peer does not answer within the close time-out."""
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
        self._hand_over(data)

    def _hand_over(self, data: bytes) -> None:
        if self._on_data is None:
            self._early.append(data)
            return
        if self.tap is not None:
            self.tap("in", data)
        self._on_data(data)


async def close_quietly(connection: ChargePointConnection, code: int, reason: str) -> None:
    """Close the connection. A peer that is dead or does not answer within the close time-out raises nothing."""
    with contextlib.suppress(WebSocketException, OSError, asyncio.TimeoutError):
        await connection.close(code, reason)


def _drop(_data: bytes) -> None:
    return None
