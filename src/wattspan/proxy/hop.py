"""One hop of a relayed connection: a transport, its protocol, and flow control against the other hop.

Each frame is written to the other hop in the call that received it. When the other hop's write buffer is full, this one
stops reading, so that nothing is buffered beyond that buffer and what one read returned. It must not know what a frame
means.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import CLOSED, Event

from wattspan.gateway.openings import Openings
from wattspan.proxy.protocol import RelayProtocol

OnFrame = Callable[[Frame, bool, int], None]
"""(frame, from_charge_point, arrived_ns): called after the frame was written to the other hop; must not raise."""

SLICE_BYTES = 4_096
"""What is parsed at once before flow control is checked. Compressed it is a thousand times as much at most."""
WRITE_BUFFER_BYTES = 64 << 10
CLOSE_TIMEOUT_S = 5.0
"""Seconds that an end may take to answer a close frame, or to close TCP after it."""
FLUSH_TIMEOUT_S = 30.0
"""Seconds that an end may take to read what was relayed before the other end vanished."""
KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 120_000))
"""TCP keepalive: the relay sends no pings of its own, and without them it would never notice a dead machine."""

_CLOSE, _PEER, _SELF = Opcode.CLOSE, 1, 2
"""_PEER and _SELF are reasons not to read: the other hop's buffer is full, or the relay is not complete yet."""


class Hop(asyncio.Protocol):
    """One of the two connections of a relay."""

    __slots__ = (
        "_early",
        "_ended",
        "_holds",
        "_paused",
        "_processing",
        "_timer",
        "_unread",
        "clock_ns",
        "from_charge_point",
        "loop",
        "lost",
        "on_frame",
        "on_handshake",
        "on_lost",
        "openings",
        "peer",
        "protocol",
        "transport",
    )

    transport: asyncio.Transport
    """Set when the connection is made."""

    def __init__(
        self, protocol: RelayProtocol, *, from_charge_point: bool, on_handshake: Callable[["Hop", Any], None]
    ) -> None:
        """`on_handshake` gets the request or the response of the handshake, or the exception that prevents it."""
        self.loop = asyncio.get_running_loop()
        self.protocol = protocol
        self.from_charge_point = from_charge_point
        self.on_handshake: Callable[[Hop, Any], None] | None = on_handshake
        self.on_frame: OnFrame | None = None
        self.on_lost: Callable[[Hop], None] | None = None
        self.clock_ns: Callable[[], int] = time.time_ns
        self.peer: Hop | None = None
        self.openings: Openings | None = None
        """Counts the connection until its request arrives."""
        self.lost = False
        self._early: list[Event] = []
        self._holds = 0
        self._paused = self._processing = self._ended = False
        self._unread: bytearray | None = None
        self._timer: asyncio.TimerHandle | None = None

    def expect_request(self, timeout_s: float) -> None:
        """Abort the connection if no request arrives in time."""
        self._timer = self.loop.call_later(timeout_s, self._request_late)

    def request_came(self) -> None:
        """Undo `expect_request`."""
        self._no_longer_silent()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def abort_silent(self) -> None:
        """Close at once, because there are too many connections that have sent no request."""
        self.transport.abort()

    def _no_longer_silent(self) -> None:
        if self.openings is not None:
            self.openings.remove(self)
            self.openings = None

    def _request_late(self) -> None:
        self._timer = None
        if hasattr(self, "transport"):
            self.transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.transport.set_write_buffer_limits(WRITE_BUFFER_BYTES)
        _keep_alive(self.transport)
        if self.openings is not None:
            self.openings.add(self)

    def data_received(self, data: bytes) -> None:
        """Called by the transport. Relays every complete frame, unless flow control forbids it."""
        if self._holds or len(data) > SLICE_BYTES or self._unread:
            if self._unread is None:
                self._unread = bytearray()
            self._unread += data
            self._process_unread()
        else:
            self._process(data)

    def eof_received(self) -> None:
        """Called by the transport. The end is handled in `connection_lost`, after what has arrived."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport, once."""
        self.lost = True
        self._no_longer_silent()
        if self._timer is not None:
            self._timer.cancel()
        peer = self.peer
        if peer is None:
            self._lost_early()
        elif not (self._unread and not peer.lost and peer.protocol.writable):
            self._end()  # else `release` relays the rest, and then ends

    def pause_writing(self) -> None:
        """Called when this end does not read: stop reading from the other."""
        if self.peer is not None:
            self.peer.hold(_PEER)

    def resume_writing(self) -> None:
        """Called when this end reads again."""
        if self.peer is not None:
            self.peer.release(_PEER)

    # flow control

    def hold(self, reason: int = _SELF) -> None:
        """Relay nothing until `release`.

        During the handshake a little is still read: otherwise nobody would notice that the end has gone.
        """
        self._holds |= reason
        if reason != _SELF:
            self._pause()

    def _pause(self) -> None:
        if not self._paused and not self.lost and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def release(self, reason: int = _SELF) -> None:
        """Read again if nothing else forbids it, beginning with what has arrived already."""
        self._holds &= ~reason
        if self._holds or self._processing:
            return
        if self._unread:
            self._process_unread()
        self._read_on()

    def _read_on(self) -> None:
        if self._holds or self._unread:
            return
        if self.lost:
            self._end()
        elif self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def _process_unread(self) -> None:
        if self._processing:
            return
        self._processing = True
        try:
            while self._unread and not self._holds:
                data = self._unread[:SLICE_BYTES]
                del self._unread[:SLICE_BYTES]
                self._process(data)
        finally:
            self._processing = False
        if not self._unread:
            self._unread = None
        elif len(self._unread) > WRITE_BUFFER_BYTES:
            self._pause()

    # frames

    def _process(self, data: bytes | bytearray) -> None:
        protocol, peer = self.protocol, self.peer
        if peer is not None and (frame := protocol.whole_message(data)) is not None and not peer.protocol.extensions:
            self._relay_whole(frame, peer)
            return
        protocol.receive_data(data)
        events = protocol.events
        if events:
            protocol.events = []
            if self.peer is not None:
                self._relay(events)
            else:
                self._handshake(events)
        if protocol.writes:
            self.flush()
        if self.peer is None:
            if protocol.handshake_exc is not None and self.on_handshake is not None:
                self._answered(protocol.handshake_exc)
        elif protocol.parser_exc is not None:
            self._failed()

    def _relay_whole(self, frame: Frame, peer: "Hop") -> None:
        """Do what `_relay` does, for the frequent case of a short message in one frame."""
        arrived_ns = self.clock_ns()
        theirs = peer.protocol
        if theirs.writable and not peer.lost:
            peer.transport.write(theirs.send_whole(frame))
        if self.on_frame is not None:
            self.on_frame(frame, self.from_charge_point, arrived_ns)

    def _relay(self, events: Sequence[Event]) -> None:
        peer, on_frame, arrived_ns = self.peer, self.on_frame, self.clock_ns()
        assert peer is not None  # noqa: S101
        theirs = peer.protocol
        for frame in events:
            if frame.opcode is _CLOSE:  # type: ignore[union-attr]
                theirs.pass_close(bytes(frame.data))  # type: ignore[union-attr]
            elif theirs.writable:
                theirs.send_frame(frame)  # type: ignore[arg-type]
        peer.flush()
        if on_frame is not None:
            for frame in events:
                on_frame(frame, self.from_charge_point, arrived_ns)  # type: ignore[arg-type]
        if self.protocol.close_received is not None:
            peer.expect_end()

    def _handshake(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Request | Response):
                self.hold()  # nothing is relayed before both ends are connected
                self._answered(event)
            else:
                self._early.append(event)  # it came in the same slice

    def _answered(self, event: Request | Response | Exception) -> None:
        on_handshake, self.on_handshake = self.on_handshake, None
        if on_handshake is not None:
            on_handshake(self, event)

    def join(self, peer: "Hop") -> None:
        """Relay to `peer` from now on, beginning with what arrived with the handshake."""
        self.peer = peer
        early, self._early = self._early, []
        if early:
            self._relay(early)

    def flush(self) -> None:
        """Write what the protocol has to send."""
        protocol, transport = self.protocol, self.transport
        writes, protocol.writes = protocol.writes, []
        if self.lost:
            return
        for data in writes:
            if data:
                transport.write(data)
            else:
                self._write_eof()

    def _write_eof(self) -> None:
        """End the connection in this direction, and all of it if that is impossible (TLS)."""
        if self.transport.can_write_eof():
            with contextlib.suppress(OSError, RuntimeError):  # the peer may be gone
                self.transport.write_eof()
        else:
            self.transport.close()
        self.expect_end()

    # ends

    def expect_end(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Abort the connection if it has not ended by itself in time."""
        if not self.lost and self._timer is None:
            self._timer = self.loop.call_later(timeout_s, self.transport.abort)

    def drop(self) -> None:
        """End the connection without a close frame, when everything is written: the other end is gone."""
        if self.lost:
            self._end()
            return
        if self.protocol.closed_with is not None:
            self.expect_end()  # it has a close frame, and ends the connection itself
            return
        self._holds = 0
        self._unread = None
        self.transport.close()
        self.expect_end(FLUSH_TIMEOUT_S)

    def close(self, code_and_reason: bytes) -> None:
        """Send a close frame of our own, such as at shutdown."""
        self.protocol.pass_close(code_and_reason)
        self.flush()
        self.expect_end()

    def _failed(self) -> None:
        """The end violated the protocol or a limit. It gets a close frame; for the other end it is simply gone."""
        if self.peer is not None:
            self.peer.drop()
        self.expect_end()

    def _lost_early(self) -> None:
        """The end is gone before both were joined. What it sent with its handshake is kept for `join`."""
        if self.on_handshake is not None:
            self.protocol.receive_eof()
            self.protocol.writes.clear()
            events, self.protocol.events = self.protocol.events, []
            self._handshake(events)  # the body of a refusal may end with the connection
        self._report_loss()

    def _end(self) -> None:
        """End what follows from the loss of this connection, once."""
        if self._ended:
            return
        self._ended = True
        self._unread = None
        if self.protocol.state is not CLOSED:
            self.protocol.receive_eof()
            self.protocol.writes.clear()
        if self.peer is not None:
            self.peer.drop()
        self._report_loss()

    def _report_loss(self) -> None:
        if self.on_lost is not None:
            on_lost, self.on_lost = self.on_lost, None
            on_lost(self)


def _keep_alive(transport: asyncio.Transport) -> None:
    found = transport.get_extra_info("socket")
    if found is None:
        return
    with contextlib.suppress(OSError):  # a Unix socket has none
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE:
            if hasattr(socket, name):  # not on every platform
                found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
