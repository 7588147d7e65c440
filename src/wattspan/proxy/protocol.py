"""The WebSocket protocol of one hop, without its automatic answers.

`websockets` answers a ping and a close frame by itself. A relay must not: the answer comes from the other end. It owns
what is sent on one hop and must not know the other hop.

Which methods of `websockets.protocol.Protocol` a subclass may override is not documented;
`tests/unit/proxy/test_websockets_private.py` names the versions this holds for.
"""

from collections.abc import Generator
from typing import Any

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, CLOSED, CLOSING, OPEN, SERVER, Protocol
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

_TEXT, _BINARY, _CONT, _CLOSE = Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.CLOSE
"""Module constants, because attribute access on an enum is slow in Python 3.11."""


class RelayProtocol(Protocol):
    """A protocol that passes each frame on as it came: fragments one by one, pings, pongs and close frames too."""

    close_received: bytes | None = None
    """Payload of the peer's close frame."""
    closed_with: bytes | None = None
    """Payload of the close frame that was sent to the peer."""

    def recv_frame(self, frame: Frame) -> None:
        """Called by the parser with each frame. Raises ProtocolError for a fragment out of order (RFC 6455 §5.4)."""
        opcode = frame.opcode
        if opcode is _TEXT or opcode is _BINARY:
            if self.current_size is not None:
                raise ProtocolError("expected a continuation frame")
            if not frame.fin:
                self.current_size = 0  # only says that a message has begun: nothing is assembled
        elif opcode is _CONT:
            if self.current_size is None:
                raise ProtocolError("unexpected continuation frame")
            if frame.fin:
                self.current_size = None
        elif opcode is _CLOSE:
            self.close_received = bytes(frame.data)
            self.parser = self._ignore()
            next(self.parser)
            if self.closed_with is not None:
                self._finish()
        self.events.append(frame)

    @property
    def writable(self) -> bool:
        """Whether frames may still be sent."""
        return self.state is OPEN

    def pass_close(self, data: bytes) -> None:
        """Send a close frame with this payload, whatever it is. Does nothing if one was sent."""
        if self.state is not OPEN:
            return
        self.send_frame(Frame(_CLOSE, data))
        self.closed_with = data
        self.state = CLOSING
        if self.close_received is not None:
            self._finish()

    def _finish(self) -> None:
        """End the TCP connection after both close frames. The server does so first (RFC 6455 §7.1.1)."""
        if self.side is SERVER and not self.eof_sent:
            self.send_eof()

    def _ignore(self) -> Generator[None]:
        """Discard what follows a close frame."""
        while not (yield from self.reader.at_eof()):
            self.reader.discard()
        if self.side is CLIENT and not self.eof_sent:
            self.send_eof()
        self.state = CLOSED
        yield


class ChargerProtocol(RelayProtocol, ServerProtocol):
    """The hop to the charge point. The subprotocol is chosen by the central system, so not here."""

    def process_subprotocol(self, headers: Headers) -> Subprotocol | None:
        """Return None: the header of the response is set when the central system has answered."""
        return None


class UpstreamProtocol(RelayProtocol, ClientProtocol):
    """The hop to the central system. Any subprotocol it names is passed on, for the charge point to judge."""

    def process_subprotocol(self, headers: Headers) -> Subprotocol | None:
        """Return the header as it is."""
        values: list[Any] = headers.get_all("Sec-WebSocket-Protocol")
        return Subprotocol(", ".join(values)) if values else None
