"""`gateway.connection` uses members of `websockets` that are not documented: they exist and have the expected shape."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame
from websockets.protocol import State
from websockets.server import ServerProtocol

import wattspan
from wattspan.gateway.connection import ChargePointConnection

HOLDS_FOR = ("17.4",)
"""Versions of websockets that were tested. With another one: run the wire tests, read its changes, and add it."""

OVERRIDDEN = {
    "connection_made": ["self", "transport"],
    "connection_lost": ["self", "exc"],
    "data_received": ["self", "data"],
    "eof_received": ["self"],
    "process_event": ["self", "event"],
    "start_keepalive": ["self"],
    "pause_writing": ["self"],
    "resume_writing": ["self"],
}
CALLED = {"send_data": ["self"], "close": ["self", "code", "reason"], "set_connection_exc": ["self", "exc"]}
CALLED_OF_PROTOCOL = {
    "send_text": ["self", "data", "fin"],
    "send_ping": ["self", "data"],
    "fail": ["self", "code", "reason"],
    "receive_data": ["self", "data"],
    "events_received": ["self"],
    "close_expected": ["self"],
    "send_eof": ["self"],
}
"""The argument names of each method; more that are optional may follow."""


@asynccontextmanager
async def connected() -> AsyncIterator[ChargePointConnection]:
    """A connection as the gateway creates it, after its handshake."""
    entered: asyncio.Future[ChargePointConnection] = asyncio.get_running_loop().create_future()

    async def handler(connection: ServerConnection) -> None:
        assert isinstance(connection, ChargePointConnection)
        connection.attach(lambda _data: None)
        entered.set_result(connection)
        await connection.lost()

    async with (
        serve(handler, "127.0.0.1", 0, create_connection=ChargePointConnection, compression=None) as server,
        connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", compression=None),
    ):
        yield await entered


def test_the_installed_version_was_tested():
    assert version("websockets") in HOLDS_FOR


def test_no_other_module_overrides_or_reaches_into_a_server_connection():
    root = Path(wattspan.__file__).parent
    reaching = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if "(ServerConnection)" in (text := path.read_text()) or ".protocol.send_" in text or "recv_messages" in text
    ]
    assert reaching == ["gateway/connection.py"]  # the proxy is built on the protocols alone: see its own test


@pytest.mark.parametrize(
    ("owner", "methods"),
    [(ServerConnection, OVERRIDDEN | CALLED), (ServerProtocol, CALLED_OF_PROTOCOL)],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_the_methods_exist_with_the_arguments_we_pass(owner, methods):
    for name, expected in methods.items():
        parameters = inspect.signature(getattr(owner, name)).parameters.values()
        names = [each.name for each in parameters]
        assert names[: len(expected)] == expected, name
        assert all(each.default is not each.empty for each in list(parameters)[len(expected) :]), name


async def test_the_attributes_have_the_shape_we_rely_on():
    async with connected() as connection:
        assert connection.protocol.state is State.OPEN
        assert connection.recv_messages.frames.queue is None  # set by us; the attribute is theirs
        assert list(connection.drain_waiters) == []
        assert connection.request is not None
        assert connection.response is not None
        assert connection.logger is not connection.server.logger
        assert isinstance(connection.loop, asyncio.AbstractEventLoop)
        assert connection.close_deadline is None
        assert connection.protocol.parser_exc is None
        assert connection.protocol.max_message_size > 0
        assert connection.protocol.max_fragment_size is None
        assert connection.protocol.current_size is None
        assert connection.protocol.writes == []
        assert list(connection.protocol.extensions) == []
        assert connection.protocol.debug is False
        assert connection._between_frames  # the parser's generators are nested as we expect
        assert hasattr(connection.protocol, "available_extensions")
        for method in ("pause_reading", "resume_reading", "is_closing", "abort"):
            assert callable(getattr(connection.transport, method))
        for name in ("ping_interval", "ping_timeout", "close_timeout"):
            assert getattr(connection, name) is None or getattr(connection, name) > 0


def test_frames_have_the_fields_we_read():
    assert {"opcode", "data", "fin"} <= set(inspect.signature(Frame).parameters)
