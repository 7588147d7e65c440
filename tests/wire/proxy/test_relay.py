"""The relay on real sockets: what one end writes, the other reads, and nothing else."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawCharger, masked
from support.raw_central import Front, RawCentralSystem, RawConnection, frame, relay_to
from support.waiting import eventually

FINAL = 0x80


class Joined(NamedTuple):
    """A charge point that is connected through a relay."""

    front: Front
    charger: RawCharger
    central: RawConnection


@pytest.fixture
async def joined() -> AsyncIterator[Joined]:
    async with (
        RawCentralSystem() as csms,
        relay_to(f"ws://127.0.0.1:{csms.port}/ocpp/{{cp_id}}") as front,
        front.charger() as charger,
    ):
        yield Joined(front, charger, await csms.next())


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("data", [b"", b'[3,"1",{}]', b"\xff\xfe not UTF-8", bytes(range(256)) * 256, b"x" * (1 << 20)])
async def test_a_message_arrives_to_the_byte_with_its_type_in_both_directions(joined, opcode, data):
    joined.charger.write(data, opcode)
    assert await joined.central.read() == (opcode | FINAL, data)
    joined.central.write(data, opcode)
    assert await joined.charger.read() == (opcode, data)


async def test_fragments_are_relayed_one_by_one_without_waiting_for_the_last(joined):
    joined.charger.write(b"first ", TEXT, final=False)
    assert await joined.central.read() == (TEXT, b"first ")
    joined.charger.write(b"in between", PING)
    assert await joined.central.read() == (PING | FINAL, b"in between")
    joined.charger.write(b"last", CONTINUATION)
    assert await joined.central.read() == (CONTINUATION | FINAL, b"last")


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_pings_and_pongs_are_relayed_with_their_payload_and_never_answered(joined, opcode):
    joined.charger.write(b"payload", opcode)
    assert await joined.central.read() == (opcode | FINAL, b"payload")
    joined.central.write(b"other", opcode)
    assert await joined.charger.read() == (opcode, b"other")
    joined.central.write(b"marker")
    assert await joined.charger.read() == (TEXT, b"marker")  # no answer came in between


CLOSES = [struct.pack("!H", 1000) + b"done", struct.pack("!H", 4999), b"", struct.pack("!H", 1001) + b"\xc3\xa9"]


@pytest.mark.parametrize("data", CLOSES)
async def test_a_close_of_the_charge_point_is_relayed_and_so_is_the_answer(joined, data):
    joined.charger.write(data, CLOSE)
    assert await joined.central.read() == (CLOSE | FINAL, data)
    answer = struct.pack("!H", 1000) + b"answer"
    joined.central.write(answer, CLOSE)
    assert await joined.charger.read() == (CLOSE, answer)
    assert await joined.charger.ended() == b""
    joined.central.writer.close()
    expected = (1005, "") if not data else (struct.unpack("!H", data[:2])[0], data[2:].decode())
    await eventually(lambda: joined.front.seen.closed == [expected])
    await eventually(lambda: joined.front.seen.sockets == 0)


@pytest.mark.parametrize("data", CLOSES)
async def test_a_close_of_the_central_system_is_relayed(joined, data):
    joined.central.write(b"last words")
    joined.central.write(data, CLOSE)
    assert await joined.charger.read() == (TEXT, b"last words")
    assert await joined.charger.read() == (CLOSE, data)
    joined.charger.write(b"was under way")
    joined.charger.write(data, CLOSE)
    assert await joined.central.read() == (TEXT | FINAL, b"was under way")
    assert await joined.central.read() == (CLOSE | FINAL, data)


async def test_a_charge_point_that_vanishes_in_mid_frame_leaves_no_part_of_it(joined):
    joined.charger.write(b"whole")
    joined.charger.writer.write(masked(b"x" * 1000)[:500])
    await joined.charger.writer.drain()
    joined.charger.writer.close()
    assert await joined.central.read() == (TEXT | FINAL, b"whole")
    assert await joined.central.ended() == b""
    await eventually(lambda: joined.front.seen.closed == [(1006, "")])


async def test_a_central_system_that_is_killed_ends_the_charge_points_connection_after_all_it_sent(joined):
    for number in range(100):
        joined.central.write(b"%d" % number)
    joined.central.writer.close()
    assert [(await joined.charger.read()).data for _ in range(100)] == [b"%d" % number for number in range(100)]
    assert await joined.charger.ended() == b""


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/CP1", "/ocpp/CP1"),
        ("/any/path/CP1", "/ocpp/CP1"),
        ("/ws/CP%201%C3%A9?a=%20b&a=c", "/ocpp/CP%201%C3%A9?a=%20b&a=c"),
        ("/CP1/", "/ocpp/CP1"),
    ],
)
async def test_the_template_replaces_the_path_and_keeps_escapes_and_query(target, expected):
    async with RawCentralSystem() as csms, relay_to(f"ws://127.0.0.1:{csms.port}/ocpp/{{cp_id}}") as front:
        async with front.charger(target, Authorization="Basic Q1AxOnNlY3JldA==", X_Vendor="7") as charger:
            central = await csms.next()
        port = csms.port
    assert charger.status == 101
    assert central.target == expected
    assert central.headers["authorization"] == "Basic Q1AxOnNlY3JldA=="
    assert central.headers["x-vendor"] == "7"
    assert central.headers["host"] == f"127.0.0.1:{port}"
    assert central.headers["x-forwarded-for"] == "127.0.0.1"


async def test_the_central_system_chooses_the_subprotocol():
    async with RawCentralSystem() as csms, relay_to(f"ws://127.0.0.1:{csms.port}/{{cp_id}}") as front:
        async with front.charger(Sec_WebSocket_Protocol="ocpp1.6, ocpp2.0.1, vendor9") as charger:
            assert charger.headers["sec-websocket-protocol"] == "vendor9"  # it takes the last
            await csms.next()
        assert front.seen.opened[0].subprotocol == "vendor9"
        async with front.charger(Sec_WebSocket_Protocol="") as charger:
            assert charger.status == 101
            assert "sec-websocket-protocol" not in charger.headers


@pytest.mark.parametrize(
    ("status", "header", "body"),
    [
        ("401 Unauthorized", 'WWW-Authenticate: Basic realm="csms"', b"who are you"),
        ("404 Not Found", "X-Reason: unknown", b""),
        ("503 Service Unavailable", "Retry-After: 17", b"later"),
        ("302 Found", "Location: wss://other.example/CP1", b""),
    ],
)
async def test_a_refusal_of_the_central_system_is_the_charge_points(status, header, body):
    refusal = f"HTTP/1.1 {status}\r\n{header}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    async with RawCentralSystem(refusal) as csms, relay_to(f"ws://127.0.0.1:{csms.port}/{{cp_id}}") as front:
        async with front.charger() as charger:
            name, _, value = header.partition(": ")
            assert (charger.status, charger.headers[name.lower()]) == (int(status[:3]), value)
            assert await charger.ended() == body
        assert front.seen.refused == [f"upstream_{status[:3]}"]
        assert front.seen.opened == []  # it was never let in


async def test_a_refusal_whose_body_ends_with_the_connection_is_relayed_too():
    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\nno length")
        writer.close()

    async with await asyncio.start_server(accepted, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with relay_to(f"ws://127.0.0.1:{port}/{{cp_id}}") as front, front.charger() as charger:
            assert charger.status == 403
            assert await charger.ended() == b"no length"


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [(b"SSH-2.0-server\r\n", 502, "upstream_invalid"), (b"", 503, "upstream_unreachable")],
)
async def test_a_central_system_that_speaks_no_http_or_hangs_up_is_a_bad_gateway(answer, status, reason):
    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(accepted, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with relay_to(f"ws://127.0.0.1:{port}/{{cp_id}}") as front, front.charger() as charger:
            assert charger.status == status
            assert front.seen.refused == [reason]


async def test_an_unreachable_central_system_is_a_503_with_retry_after():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening
        async with relay_to(f"ws://127.0.0.1:{taken.getsockname()[1]}/{{cp_id}}") as front, front.charger() as charger:
            assert (charger.status, charger.headers["retry-after"]) == (503, "10")
            assert b"127.0.0.1" not in await charger.ended()


@pytest.mark.parametrize("target", ["/", "/%2E%2E", "/a%2Fb", "/%00", "/%FF", "/" + "x" * 256])
async def test_a_path_without_an_identity_is_refused_here(target):
    async with RawCentralSystem() as csms, relay_to(f"ws://127.0.0.1:{csms.port}/{{cp_id}}") as front:
        async with front.charger(target) as charger:
            assert charger.status == 404
        assert csms.all == []


async def test_what_the_central_system_sends_with_its_answer_to_the_handshake_is_relayed():
    then = frame(b"early") + frame(b"x" * 10_000, BINARY) + frame(b"", PING)
    async with (
        RawCentralSystem(then=then) as csms,
        relay_to(f"ws://127.0.0.1:{csms.port}/{{cp_id}}") as front,
        front.charger() as charger,
    ):
        assert [await charger.read() for _ in range(3)] == [(TEXT, b"early"), (BINARY, b"x" * 10_000), (PING, b"")]


async def test_what_a_central_system_sends_before_it_hangs_up_at_once_is_relayed():
    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = RawConnection(reader, writer)
        await connection.handshake(None, b"".join(frame(b"%d" % number * 100) for number in range(100)))
        writer.close()

    async with await asyncio.start_server(accepted, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with relay_to(f"ws://127.0.0.1:{port}/{{cp_id}}") as front, front.charger() as charger:
            assert [(await charger.read()).data for _ in range(100)] == [b"%d" % number * 100 for number in range(100)]
            assert await charger.ended() == b""
            await eventually(lambda: front.seen.sockets == 0)


async def test_a_central_system_that_hangs_in_the_handshake_is_a_503(monkeypatch):
    monkeypatch.setattr("wattspan.proxy.dialing.UPSTREAM_TIMEOUT_S", 0.05)

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(accepted, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with relay_to(f"ws://127.0.0.1:{port}/{{cp_id}}") as front, front.charger() as charger:
            assert charger.status == 503
            assert b"can't be reached" in await charger.ended()


async def test_an_end_whose_machine_vanishes_is_noticed_by_tcp(joined):
    """A half-open connection: neither end sends a ping, so only the kernel can find out."""
    (link,) = joined.front.relay._links
    for hop in (link.charger, link.upstream):
        kernel = hop.transport.get_extra_info("socket")
        assert kernel.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert kernel.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 120_000


async def test_an_end_that_does_not_read_stops_the_other_and_little_is_buffered(joined):
    joined.central.reader._limit = 1  # type: ignore[attr-defined]  # reads no more than the kernel buffers
    joined.central.writer.transport.pause_reading()
    data = b"x" * 65_000
    sent = 0
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 10
    while loop.time() < deadline:
        joined.charger.write(data)
        sent += 1
        try:
            async with asyncio.timeout(0.5):
                await joined.charger.writer.drain()
        except TimeoutError:
            break
    assert sent * len(data) < 64 << 20  # the kernel's buffers, not ours
    joined.central.reader._limit = 1 << 22  # type: ignore[attr-defined]
    joined.central.writer.transport.resume_reading()
    for _ in range(sent):
        assert await joined.central.read() == (TEXT | FINAL, data)


async def test_a_violation_closes_the_violator_with_its_code_and_drops_the_other(joined):
    joined.charger.writer.write(frame(b"not masked"))
    answer = await joined.charger.read()
    assert (answer.opcode, answer.close_code) == (CLOSE, 1002)
    assert await joined.central.ended() == b""


async def test_a_frame_above_the_limit_closes_with_1009_and_one_below_passes():
    async with (
        RawCentralSystem() as csms,
        relay_to(f"ws://127.0.0.1:{csms.port}/{{cp_id}}", max_frame_bytes=1024) as front,
        front.charger() as charger,
    ):
        central = await csms.next()
        charger.write(b"x" * 1024)
        assert len((await central.read()).data) == 1024
        charger.write(b"x" * 1025)
        assert (await charger.read()).close_code == 1009
        assert await central.ended() == b""


async def echo(connection: ServerConnection) -> None:
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        pass


@pytest.mark.parametrize("charger", ["deflate", None])
@pytest.mark.parametrize("central", ["deflate", None])
async def test_compression_is_each_hops_own(charger, central):
    async with serve(echo, "127.0.0.1", 0, compression=central, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        async with (
            relay_to(f"ws://127.0.0.1:{port}/{{cp_id}}") as front,
            connect(f"ws://127.0.0.1:{front.relay.port}/CP1", compression=charger, max_size=None) as client,
        ):
            for message in ("a", "é" * 70_000, b"\x00\xff" * 9, "", "x" * (1 << 20)):
                await client.send(message)
                assert await client.recv() == message
            await client.send(["frag", "men", "ted"])
            assert await client.recv() == "fragmented"
            assert bool(client.protocol.extensions) == (charger is not None)


async def test_stopping_closes_both_ends_with_1001_and_refuses_further_ones():
    async with (
        RawCentralSystem() as csms,
        relay_to(f"ws://127.0.0.1:{csms.port}/{{cp_id}}") as front,
        front.charger() as charger,
    ):
        central = await csms.next()
        stopping = asyncio.ensure_future(front.relay.stop())
        assert (await charger.read()).close_code == 1001
        assert struct.unpack("!H", (await central.read()).data[:2]) == (1001,)
        charger.write(struct.pack("!H", 1001), CLOSE)
        central.write(struct.pack("!H", 1001), CLOSE)
        central.writer.close()
        await stopping


async def test_a_browser_or_a_scanner_gets_426_and_the_central_system_sees_nothing():
    async with RawCentralSystem() as csms, relay_to(f"ws://127.0.0.1:{csms.port}/{{cp_id}}") as front:
        async with front.charger(Upgrade="") as charger:
            assert charger.status == 426
        assert csms.all == []
        assert front.seen.refused == ["request"]


async def test_a_charge_point_that_leaves_during_the_handshake_leaves_no_connection_behind():
    hanging: list[asyncio.StreamWriter] = []

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hanging.append(writer)
        assert await reader.read(1 << 16)
        assert await reader.read() == b""
        writer.close()
        hanging.clear()

    async with await asyncio.start_server(accepted, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with relay_to(f"ws://127.0.0.1:{port}/{{cp_id}}") as front:
            _, writer = await asyncio.open_connection("127.0.0.1", front.relay.port)
            writer.write(b"GET /CP1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
            writer.write(b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
            await eventually(lambda: hanging)
            writer.close()
            await eventually(lambda: not hanging)


async def test_many_charge_points_at_once_get_their_own_messages_in_order():
    async def numbers(connection: ServerConnection) -> None:
        await echo(connection)

    async with serve(numbers, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with relay_to(f"ws://127.0.0.1:{port}/{{cp_id}}") as front:

            async def charge_point(cp_id: int) -> None:
                async with connect(f"ws://127.0.0.1:{front.relay.port}/CP{cp_id}") as client:
                    for number in range(50):
                        await client.send(f"{cp_id}/{number}" + "x" * (number * 37))
                    for number in range(50):
                        assert await client.recv() == f"{cp_id}/{number}" + "x" * (number * 37)

            await asyncio.gather(*(charge_point(cp_id) for cp_id in range(20)))
            assert len(front.seen.frames) == 20 * 50 * 2 + 20 * 2  # and the close frames
            await eventually(lambda: front.seen.sockets == 0)


async def test_a_refusal_reaches_a_client_library_as_its_own_exception():
    refusal = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    async with RawCentralSystem(refusal) as csms, relay_to(f"ws://127.0.0.1:{csms.port}/{{cp_id}}") as front:
        with pytest.raises(InvalidStatus, match="404"):
            await connect(f"ws://127.0.0.1:{front.relay.port}/CP1")
