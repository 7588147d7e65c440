"""A charge point that writes its WebSocket bytes itself: what no well-behaved client would send, or leave unread."""

import asyncio
import base64
import os
import struct
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple, Self

from support.waiting import WITHIN_S

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class RawFrame(NamedTuple):
    """A WebSocket frame (RFC 6455 §5.2) as it came from the server."""

    opcode: int
    data: bytes

    @property
    def close_code(self) -> int:
        """The code of a close frame; 1005 where it has none."""
        return int(struct.unpack("!H", self.data[:2])[0]) if len(self.data) >= 2 else 1005


class RawCharger:
    """One TCP connection; `status` and `headers` are what the handshake was answered with, 0 where nothing came."""

    def __init__(self, port: int, target: str, headers: Mapping[str, str]) -> None:
        self._port = port
        self._target = target
        self._headers = {
            "Host": f"127.0.0.1:{port}",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Protocol": "ocpp1.6",
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        self.status = 0
        self.headers: dict[str, str] = {}

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        asked = [
            f"GET {self._target} HTTP/1.1",
            *(f"{name}: {value}" for name, value in self._headers.items() if value),
        ]
        self.writer.write("\r\n".join([*asked, "", ""]).encode("latin-1"))
        async with asyncio.timeout(WITHIN_S):
            lines = [line async for line in self._head()]
        if not lines:
            return self
        head = [line.decode("latin-1").rstrip() for line in lines]
        self.status = int(head[0].split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.writer.transport.abort()

    async def _head(self) -> AsyncIterator[bytes]:
        while (line := await self.reader.readline()).strip():
            yield line

    def write(self, data: bytes, opcode: int = TEXT, *, final: bool = True) -> None:
        """Send one masked frame; nothing is waited for."""
        self.writer.write(masked(data, opcode, final=final))

    async def read(self) -> RawFrame:
        """The next frame of any kind. Raises IncompleteReadError at the end of the stream."""
        async with asyncio.timeout(WITHIN_S):
            first, length = await self.reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return RawFrame(first & 0x0F, await self.reader.readexactly(length))

    async def ended(self) -> bytes:
        """Read to the end of the stream; what came."""
        async with asyncio.timeout(WITHIN_S):
            return await self.reader.read()


def masked(data: bytes, opcode: int = TEXT, *, final: bool = True) -> bytes:
    """A client's frame; the mask is zero, so the data stay readable."""
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", opcode | 0x80 * final, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", opcode | 0x80 * final, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", opcode | 0x80 * final, 0x80 | 127, size)
    return head + bytes(4) + data
