"""One charge point's WebSocket. It hands data frames straight to the session; `websockets` does all the rest.

Taking frames in `process_event` instead of through `async for` saves a queue and a task switch a message
(docs/adr). What that queue did is then ours: assemble fragments, stop reading from a peer that does not read.
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
"""(direction, message): sees each text message on its way "in" or "out"; must not raise or wait."""

_TEXT, _CONT, _BINARY, _PONG, _OPEN = Opcode.TEXT, Opcode.CONT, Opcode.BINARY, Opcode.PONG, State.OPEN
"""Read once: Python 3.11 looks up a member of an enum slowly."""


class ChargePointConnection(ServerConnection):
    """A server connection that calls `on_data(bytes)` for each whole message, in order, on the loop's thread."""

    # Slots, for what a connection holds is mostly this object: with over 30 attributes in its dictionary, CPython keeps
    # their names once a connection.
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
        """Sees every message, both ways."""
        self.on_binary: Callable[[], None] | None = None
        """Told of a binary message, which OCPP-J does not have; it is read all the same."""
        self.admitted: Any = None
        """What the handshake found out; the gateway's own."""
        self._on_data: OnData | None = None
        self._early: list[bytes] = []
        self._fragments: list[bytes] = []
        self._holds = 0
        self._lost: asyncio.Future[None] = self.loop.create_future()
        self.ping_timer: asyncio.TimerHandle | None = None
        """The next ping, or the look for its pong; None: no pings."""
        self._pong_due = False
        self.drain_waiters = []  # type: ignore[assignment]  # an empty deque is 700 bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by `websockets`, which makes a queue for messages here: ours never go there."""
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
        """Return once the connection is gone. For one waiter; holds less than `wait_closed`, which shields a future."""
        await self._lost

    def start_keepalive(self) -> None:
        """Called by `websockets` after the handshake. Its own keepalive is a task a connection; this is a timer."""
        if self.ping_interval is not None:
            self.ping_timer = self.loop.call_later(self.ping_interval, self._ping)

    def forget_handshake(self) -> None:
        """Let go of what the handshake said, some 4 kB that nobody asks for again."""
        if self.request is not None:  # the parser holds the request, too
            self.request.headers.clear()
        self.response = None
        self.logger = self.protocol.logger = self.server.logger  # without the adapter that names the connection

    def attach(self, on_data: OnData) -> None:
        """From now on messages go to `on_data`; first those that came with the handshake."""
        self._on_data = on_data
        early, self._early = self._early, []
        for data in early:
            self._hand_over(data)

    def detach(self) -> None:
        """Drop whatever still comes. It is read all the same, or the peer's part of the closing would never be met."""
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
            data, event.data = bytes(event.data), b""  # type: ignore[union-attr]  # the parser keeps the last frame
            self._assemble(data, event.fin)  # type: ignore[union-attr]
        elif opcode is _PONG:
            self._alive()
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
            pass  # the peer may be gone without the loop having told us yet

    def pause_writing(self) -> None:
        """The peer does not read: take nothing more from it, so that our answers to it stay bounded."""
        super().pause_writing()
        self.pause_reading()

    def resume_writing(self) -> None:
        """The peer reads again."""
        super().resume_writing()
        self.resume_reading()

    def pause_reading(self) -> None:
        """Hold the peer; each hold wants its own `resume_reading`."""
        if self._on_data is _drop:
            return
        self._holds += 1
        if self._holds == 1 and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Let go of one hold."""
        if self._holds == 0:
            return
        self._holds -= 1
        if self._holds == 0 and not self.transport.is_closing():
            self.transport.resume_reading()

    def _ping(self) -> None:
        """Ask for a sign of life. None comes within `ping_timeout`: the peer is gone."""
        if self.protocol.state is not _OPEN:
            return
        self._write(lambda: self.protocol.send_ping(b""))
        if self.ping_timeout is None:
            self.start_keepalive()
        else:
            self._pong_due = True
            self.ping_timer = self.loop.call_later(self.ping_timeout, self._give_up)

    def _alive(self) -> None:
        """A pong came."""
        if self._pong_due and self.ping_timer is not None:
            self._pong_due = False
            self.ping_timer.cancel()
            self.start_keepalive()

    def _give_up(self) -> None:
        """Close, and do not wait long for the peer's part of it."""
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
    """Close; a peer that is dead already, or does not answer within the close time-out, is let go."""
    with contextlib.suppress(WebSocketException, OSError, asyncio.TimeoutError):
        await connection.close(code, reason)


def _drop(_data: bytes) -> None:
    return None
