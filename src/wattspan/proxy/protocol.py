"""The WebSocket protocol of one hop, without its automatic answers.

`websockets` answers a ping and a close frame by itself. A relay must not: the answer comes from the other end. It owns
what is sent on one hop and must not know the other hop.

Which methods of `websockets.protocol.Protocol` a subclass may override is not documented;
`tests/unit/proxy/test_websockets_private.py` names the versions this holds for.
"""

import secrets
from collections.abc import Generator
from typing import Any

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, CLOSED, CLOSING, OPEN, SERVER, Protocol
from websockets.server import ServerProtocol
from websockets.streams import StreamReader
from websockets.typing import Subprotocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this platform
    from websockets.utils import apply_mask

_TEXT, _BINARY, _CONT, _CLOSE = Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.CLOSE
"""Module constants, because attribute access on an enum is slow in Python 3.11."""
_WHOLE = {0x81: _TEXT, 0x82: _BINARY}
_FIRST = {_TEXT: 0x81, _BINARY: 0x82}
"""First bytes of messages of one frame (RFC 6455 §5.2)."""
_LENGTH_16, _SMALLEST = 126, 2


class _Masks:
    """Masking keys, unpredictable as RFC 6455 §10.3 requires, without a system call for each."""

    def __init__(self) -> None:
        self._pool = b""
        self._used = 0

    def next(self) -> bytes:
        """Return the next key."""
        if self._used >= len(self._pool):
            self._pool, self._used = secrets.token_bytes(4096), 0
        self._used += 4
        return self._pool[self._used - 4 : self._used]


_masks = _Masks()


class BoundaryReader(StreamReader):
    """A reader that knows whether the parser waits for a new frame, with nothing of it read."""

    at_frame = False

    def at_eof(self) -> Generator[None, None, bool]:
        """Called by the parser between two frames."""
        while not self.buffer:
            if self.eof:
                return True
            self.at_frame = True
            yield
        self.at_frame = False
        return False


class RelayProtocol(Protocol):
    """A protocol that passes each frame on as it came: fragments one by one, pings, pongs and close frames too."""

    reader: BoundaryReader

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reader = BoundaryReader()
        self.parser = self.parse()  # again, with that reader
        next(self.parser)

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

    def whole_message(self, data: bytes | bytearray) -> Frame | None:
        """Return the frame if `data` is exactly one short, whole message, else None: then the parser takes it.

        Nearly all of OCPP's messages arrive so. The parser of `websockets`, a generator, takes three times as long.
        """
        size = len(data)
        if size < _SMALLEST or not self.reader.at_frame or self.current_size is not None:
            return None
        if self.state is not OPEN or self.close_received is not None:
            return None
        opcode = _WHOLE.get(data[0])  # with another first byte it is a fragment, compressed, or a control frame
        length, begin = data[1], 2
        if self.side is SERVER:
            length -= 0x80  # masked, or it is a violation
            begin = 6
        if length == _LENGTH_16:
            length = int.from_bytes(data[2:4], "big")
            begin += 2
        elif not 0 <= length < _LENGTH_16:  # longer, or masked by the wrong side
            return None
        if opcode is None or begin + length != size or self.extensions:
            return None
        if self.max_fragment_size is not None and length > self.max_fragment_size:
            return None
        payload = data[begin:]
        return Frame(opcode, apply_mask(payload, data[begin - 4 : begin]) if self.side is SERVER else bytes(payload))

    def send_whole(self, frame: Frame) -> bytes:
        """Return the bytes of a short, whole message. Only without compression."""
        data = frame.data
        length = len(data)
        masked = 0x80 if self.side is CLIENT else 0
        first = _FIRST[frame.opcode]
        if length < _LENGTH_16:
            head = bytes((first, masked | length))
        else:
            head = bytes((first, masked | _LENGTH_16, length >> 8, length & 0xFF))
        if not masked:
            return head + data
        mask = _masks.next()
        return head + mask + apply_mask(data, mask)

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
