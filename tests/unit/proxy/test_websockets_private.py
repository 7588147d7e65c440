"""`proxy.protocol` overrides members of `websockets` that are not documented: they have the expected shape."""

import inspect
from importlib.metadata import version

import pytest
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

HOLDS_FOR = ("17.4",)
"""Versions of websockets that were tested. With another one: run the wire tests, read its changes, and add it."""

METHODS = {
    "recv_frame": ["self", "frame"],
    "send_frame": ["self", "frame"],
    "receive_data": ["self", "data"],
    "receive_eof": ["self"],
    "send_eof": ["self"],
    "fail": ["self", "code", "reason"],
}
"""Methods of the protocol that are overridden or called, with all their arguments."""


def test_the_installed_version_was_tested():
    assert version("websockets") in HOLDS_FOR


@pytest.mark.parametrize("name", METHODS)
def test_the_methods_of_the_protocol_have_the_arguments_we_pass(name):
    assert list(inspect.signature(getattr(Protocol, name)).parameters) == METHODS[name]


@pytest.mark.parametrize("owner", [ClientProtocol, ServerProtocol])
def test_the_subprotocol_is_negotiated_in_a_method_of_its_own(owner):
    assert list(inspect.signature(owner.process_subprotocol).parameters) == ["self", "headers"]


def test_the_attributes_have_the_shape_we_rely_on():
    protocol = ServerProtocol()
    assert (protocol.events, protocol.writes, protocol.extensions) == ([], [], [])
    assert protocol.state is State.CONNECTING
    for name in ("current_size", "parser_exc", "handshake_exc", "close_sent"):
        assert getattr(protocol, name) is None
    assert protocol.eof_sent is False
    assert next(protocol.parser) is None  # a generator, which waits for data
    assert list(inspect.signature(StreamReader.at_eof).parameters) == ["self"]
    assert bytes(protocol.reader.buffer) == b""


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY, Opcode.PING])
def test_a_frame_that_was_decoded_can_be_encoded_again(opcode):
    def extension() -> PerMessageDeflate:
        return PerMessageDeflate(False, False, 12, 12)

    sent = Frame(opcode, b"payload")
    received = extension().decode(extension().encode(sent))
    assert (received.opcode, bytes(received.data), received.rsv1) == (opcode, b"payload", False)
    received.check()
