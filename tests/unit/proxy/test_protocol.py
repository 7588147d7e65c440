"""A short message takes a quicker way than the parser of `websockets`; the result is the same, or it is not taken."""

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from wattspan.proxy.protocol import ChargerProtocol, RelayProtocol, UpstreamProtocol

SIZES = st.sampled_from((0, 1, 125, 126, 127, 200, 65_535))


def protocols() -> tuple[RelayProtocol, RelayProtocol]:
    """Both ends after their handshakes."""
    charger, upstream = ChargerProtocol(state=OPEN), UpstreamProtocol(parse_uri("ws://x/"), state=OPEN)
    return charger, upstream


def parsed(protocol: RelayProtocol, data: bytes) -> list[Frame]:
    protocol.receive_data(data)
    return [Frame(event.opcode, bytes(event.data), event.fin) for event in protocol.events_received()]


@given(SIZES, st.sampled_from((Opcode.TEXT, Opcode.BINARY)), st.booleans())
def test_a_short_message_is_what_the_parser_reads_and_the_serializer_writes(size, opcode, from_charger):
    frame = Frame(opcode, bytes(range(256)) * (size // 256) + bytes(size % 256))
    data = frame.serialize(mask=from_charger)
    taking, reading = (protocols()[0 if from_charger else 1] for _ in range(2))
    assert taking.whole_message(data) == frame
    assert parsed(reading, data) == [frame]
    sending = protocols()[1 if from_charger else 0]
    written = sending.send_whole(frame)
    assert parsed(protocols()[0 if from_charger else 1], written) == [frame]
    assert (written == data) is not from_charger  # another mask


@given(st.binary(max_size=300), st.booleans())
def test_whatever_comes_the_quick_way_agrees_with_the_parser(data, from_charger):
    taking, reading = (protocols()[0 if from_charger else 1] for _ in range(2))
    found = taking.whole_message(data)
    if found is not None:
        assert parsed(reading, data) == [found]
        assert reading.parser_exc is None


@given(SIZES, st.integers(1, 5))
def test_nothing_is_taken_within_a_frame_or_a_fragmented_message(size, cut):
    whole = Frame(Opcode.TEXT, b"x" * size).serialize(mask=True)
    protocol = protocols()[0]
    protocol.receive_data(whole[:cut])
    assert protocol.whole_message(whole) is None
    protocol = protocols()[0]
    protocol.receive_data(Frame(Opcode.TEXT, b"part", fin=False).serialize(mask=True))
    assert protocol.whole_message(whole) is None
    protocol.receive_data(Frame(Opcode.CONT, b"end").serialize(mask=True))
    assert protocol.whole_message(whole) is not None


def test_nothing_is_taken_after_a_close_frame():
    protocol = protocols()[0]
    protocol.receive_data(Frame(Opcode.CLOSE, b"").serialize(mask=True))
    assert protocol.whole_message(Frame(Opcode.TEXT, b"late").serialize(mask=True)) is None
