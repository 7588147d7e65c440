"""A central system that writes its WebSocket bytes itself, and relays in front of it."""

import asyncio
import base64
import hashlib
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

from websockets.frames import Frame

from support.raw import RawCharger, RawFrame
from support.waiting import WITHIN_S
from wattspan.proxy.relay import Opened, Relay, RelayCallbacks
from wattspan.proxy.target import Template, UpstreamTls

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class RawConnection:
    """One charge point as the central system sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.target = ""
        self.headers: dict[str, str] = {}

    async def handshake(self, response: bytes | None, then: bytes) -> None:
        """Read the request, and answer it with 101 or with `response`; `then` follows in the same write."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.target = head[0].split()[1]
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        key = self.headers["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()  # noqa: S324 - RFC 6455 §4.2.2
        if response is None:
            lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
            lines.append(f"Sec-WebSocket-Accept: {accept}")
            if offered := self.headers.get("sec-websocket-protocol"):
                lines.append(f"Sec-WebSocket-Protocol: {offered.split(',')[-1].strip()}")
            response = "\r\n".join([*lines, "", ""]).encode()
        self.writer.write(response + then)

    async def read(self) -> RawFrame:
        """The next frame, unmasked. Raises IncompleteReadError at the end of the stream."""
        async with asyncio.timeout(WITHIN_S):
            first, length = await self.reader.readexactly(2)
            length &= 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            mask = int.from_bytes(await self.reader.readexactly(4), "big")
            data = await self.reader.readexactly(length)
        pad = -length % 4
        words = int.from_bytes(data + bytes(pad), "big") ^ int.from_bytes(
            mask.to_bytes(4, "big") * ((length + pad) // 4), "big"
        )
        return RawFrame(first & 0x8F, words.to_bytes(length + pad, "big")[:length])

    def write(self, data: bytes, opcode: int = 1, *, final: bool = True) -> None:
        """Send one frame; nothing is waited for."""
        self.writer.write(frame(data, opcode, final=final))

    async def ended(self) -> bytes:
        """Read to the end of the stream; what came. A reset counts as the end."""
        async with asyncio.timeout(WITHIN_S):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


def frame(data: bytes, opcode: int = 1, *, final: bool = True) -> bytes:
    """A server's frame."""
    size = len(data)
    first = opcode | 0x80 * final
    if size < 126:
        return struct.pack("!BB", first, size) + data
    if size < 1 << 16:
        return struct.pack("!BBH", first, 126, size) + data
    return struct.pack("!BBQ", first, 127, size) + data


class RawCentralSystem:
    """Accepts charge points; `response` refuses them, `then` is sent with the answer to the handshake."""

    def __init__(self, response: bytes | None = None, then: bytes = b"") -> None:
        self._response = response
        self._then = then
        self.connections: asyncio.Queue[RawConnection] = asyncio.Queue()
        self.all: list[RawConnection] = []

    server: asyncio.Server

    @property
    def port(self) -> int:
        return int(self.server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, limit=1 << 22)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.server.close()
        for each in self.all:
            each.writer.transport.abort()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = RawConnection(reader, writer)
        self.all.append(connection)
        await connection.handshake(self._response, self._then)
        self.connections.put_nowait(connection)

    async def next(self) -> RawConnection:
        """The next charge point that connects."""
        async with asyncio.timeout(WITHIN_S):
            return await self.connections.get()


class Seen:
    """Everything a relay reported."""

    def __init__(self) -> None:
        self.opened: list[Opened] = []
        self.refused: list[str] = []
        self.sockets = 0
        self.frames: list[tuple[bool, bytes]] = []
        self.closed: list[tuple[int, str]] = []

    def on_opened(self, opened: Opened) -> "Seen":
        self.opened.append(opened)
        return self

    def on_sockets(self, change: int) -> None:
        self.sockets += change

    def frame(self, frame: Frame, from_charge_point: bool, at_ns: int) -> None:
        self.frames.append((from_charge_point, bytes(frame.data)))

    def on_closed(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))


class _Observer:
    def __init__(self, seen: Seen) -> None:
        self.frame = seen.frame
        self.closed = seen.on_closed


class Front:
    """A relay on a port of its own."""

    def __init__(self, relay: Relay, seen: Seen) -> None:
        self.relay = relay
        self.seen = seen

    def charger(self, target: str = "/CP1", **headers: str) -> RawCharger:
        return RawCharger(self.relay.port, target, headers)


@asynccontextmanager
async def relay_to(
    upstream: str,
    *,
    tls: UpstreamTls | None = None,
    max_frame_bytes: int = 16 << 20,
    make: Callable[..., Relay] = Relay,
    **start: Any,
) -> AsyncIterator[Front]:
    """A relay to this template of a URL."""
    seen = Seen()

    def opened(what: Opened) -> _Observer:
        seen.on_opened(what)
        return _Observer(seen)

    callbacks = RelayCallbacks(
        opened=opened, refused=lambda refusal: seen.refused.append(refusal.reason), sockets=seen.on_sockets
    )
    relay = make(Template.parse(upstream), tls, callbacks, max_frame_bytes=max_frame_bytes)
    await relay.start("127.0.0.1", 0, **start)
    try:
        yield Front(relay, seen)
    finally:
        await relay.stop(timeout_s=0.05)
