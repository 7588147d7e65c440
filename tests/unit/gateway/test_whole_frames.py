"""A frame that is a whole message is taken without the parser of `websockets`, with the same result."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from wattspan.gateway.connection import ChargePointConnection

MAX_BYTES = 1_000


class Received:
    """A connection of the gateway, what it delivered, and its client."""

    def __init__(self, connection: ChargePointConnection) -> None:
        self.connection = connection
        self.client: ClientConnection | None = None
        self.messages: list[bytes] = []
        self.by_parser = 0
        connection.attach(self.messages.append)
        parse = connection._process

        def counted(data: bytes | bytearray) -> None:
            self.by_parser += 1
            parse(data)

        self.parse = counted

    def take(self, *chunks: bytes) -> None:
        """Pass data as the transport does, in one turn of the event loop."""
        for chunk in chunks:
            self.connection.data_received(chunk)


@asynccontextmanager
async def receiving(compression: str | None = None) -> AsyncIterator[Received]:
    """Yield a connection on a real socket whose client sends nothing by itself."""
    entered: asyncio.Future[Received] = asyncio.get_running_loop().create_future()

    async def handler(connection: ServerConnection) -> None:
        assert isinstance(connection, ChargePointConnection)
        entered.set_result(Received(connection))
        await connection.lost()

    options = {"create_connection": ChargePointConnection, "compression": compression, "max_size": MAX_BYTES}
    async with (
        serve(handler, "127.0.0.1", 0, **options) as server,
        connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", compression=compression) as client,
    ):
        received = await entered
        received.client = client
        yield received


def framed(data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    """Return a masked frame."""
    return Frame(opcode, data, fin).serialize(mask=True)


def whole(data: bytes) -> list[bytes]:
    return [framed(data)]


def fragmented(data: bytes) -> list[bytes]:
    half = len(data) // 2
    return [framed(data[:half], fin=False), framed(data[half:], Opcode.CONT)]


def with_pings(data: bytes) -> list[bytes]:
    return [framed(b"p", Opcode.PING), *fragmented(data), framed(b"", Opcode.PONG)]


messages = st.lists(
    st.tuples(st.sampled_from([whole, whole, whole, fragmented, with_pings]), st.binary(max_size=200)), max_size=8
)


@settings(deadline=None, max_examples=60)
@given(messages, st.lists(st.integers(0, 1_200), max_size=12))
def test_messages_are_delivered_however_the_bytes_arrive(sent, cuts):
    frames = [frame for shape, data in sent for frame in shape(data)]
    stream = b"".join(frames)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[begin:end] for begin, end in pairwise(places)]

    async def run() -> list[bytes]:
        async with receiving() as received:
            received.take(*chunks, *whole(b"last"))
            return received.messages

    assert asyncio.run(run()) == [*(data for _, data in sent), b"last"]


async def test_a_whole_message_needs_no_parser(monkeypatch):
    async with receiving() as received:
        received.take(*fragmented(b"first"))
        monkeypatch.setattr(ChargePointConnection, "_process", lambda _self, data: received.parse(data))
        received.take(*whole(b"second"), *whole(b"x" * 300))
        assert received.messages == [b"first", b"second", b"x" * 300]
        assert received.by_parser == 0


async def test_a_text_within_a_fragmented_message_is_a_protocol_error():
    async with receiving() as received:
        received.take(framed(b"begin", fin=False), *whole(b"another"))
        assert received.messages == []
        assert received.connection.protocol.close_sent.code == 1002


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (framed(b"x" * (MAX_BYTES + 1)), 1009),
        (Frame(Opcode.TEXT, b"not masked").serialize(mask=False), 1002),
        (b"\xc1" + framed(b"rsv1")[1:], 1002),
    ],
    ids=["too big", "not masked", "reserved bit"],
)
async def test_what_the_parser_refuses_is_refused(data, code):
    async with receiving() as received:
        received.take(*whole(b"first"), data, *whole(b"after"))
        assert received.messages == [b"first"]
        assert received.connection.protocol.close_sent.code == code


async def test_nothing_is_delivered_after_the_close_frame():
    async with receiving() as received:
        received.take(*whole(b"first"), framed(b"\x03\xe8", Opcode.CLOSE), *whole(b"after"))
        assert received.messages == [b"first"]
        assert received.connection.protocol.state is not State.OPEN


@pytest.mark.parametrize("size", [0, 1, 125, 126, 300, 65_535, 65_536])
async def test_a_message_is_sent_as_websockets_would_send_it(size):
    async with receiving() as received:
        received.connection.send_now(b"a" * size)
        assert await received.client.recv(decode=False) == b"a" * size


@pytest.mark.parametrize("size", [5, 300])
async def test_with_compression_the_parser_takes_and_sends_everything(size):
    async with receiving("deflate") as received:
        await received.client.send("b" * size)
        received.connection.send_now(b"a" * size)
        assert await received.client.recv(decode=False) == b"a" * size
        assert received.connection.protocol.extensions
        assert not received.connection._between_frames
