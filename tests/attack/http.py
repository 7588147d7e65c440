"""What one peer can do by HTTP: to the API and the metrics port, and as a Collector."""

import asyncio
import time
from contextlib import suppress

import httpx

from attack.server import PASSWORD
from attack.target import Target, heartbeat

ADMITTED_S = 2.0
"""How long a charge point may take to connect and send a Heartbeat, while the peer sends a gigabyte beside it."""
MAX_LOG_BYTES = 1_000_000
MAX_SENT_MIB = 200
"""Of a Collector's answers; most of it is in the buffers of sockets."""

BODY = b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"


async def begun_bodies(server: Target, seconds: float) -> str:
    """Begin 1,100 bodies of 1 MB; meanwhile a charge point connects, and Prometheus asks."""
    held = await connections(server.api_port, 1_100)
    for _, writer in held:
        writer.write(BODY + b" " * 999_000)
        await asyncio.sleep(0)  # copying all of it at once would hold up the charge point that is measured
    until = time.perf_counter() + seconds
    longest, answers = 0.0, set()
    while time.perf_counter() < until:
        began = time.perf_counter()
        async with server.peer("/ws/LATE") as late:
            await heartbeat(late)
        longest = max(longest, time.perf_counter() - began)
        answers.add((await answered(server.metrics_port, b"GET /readyz HTTP/1.0\r\n\r\n"))[9:12].decode())
        await asyncio.sleep(0.1)
    for _, writer in held:
        writer.transport.abort()
    verdict = "admitted" if longest < ADMITTED_S and answers == {"200"} else "late"
    return f"a charger is {verdict} in {longest * 1e3:.0f} ms, /readyz {sorted(answers)}"


async def unread_answers(server: Target, seconds: float) -> str:
    """Ask for the metrics page and the API's description on 200 connections, and read nothing."""
    held = await connections(server.metrics_port, 100) + await connections(server.api_port, 100)
    for number, (reader, writer) in enumerate(held):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        path = b"/metrics" if number < 100 else b"/openapi.json"
        writer.write((b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n") * 16)
    await asyncio.sleep(seconds)
    for _, writer in held:
        writer.transport.abort()
    return ""


async def pipelined(server: Target, seconds: float) -> str:
    """Send requests without waiting for answers, on 20 connections."""
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    until = time.perf_counter() + seconds
    most = 0

    async def one() -> None:
        nonlocal most
        while time.perf_counter() < until:
            (reader, writer), *_ = await connections(server.metrics_port, 1)
            writer.write(request * 10_000)
            found = b""
            with suppress(ConnectionError):
                while data := await reader.read(1 << 16):
                    found += data
            most = max(most, found.count(b"HTTP/1.1 200"))
            writer.transport.abort()

    await asyncio.gather(*(one() for _ in range(20)))
    return f"bounded: {most} answers at most" if most < 100 else f"{most} answers"


async def no_http(server: Target, seconds: float) -> str:
    """Send, in turn, bytes that are no HTTP, two Authorization headers and half of a surrogate pair."""
    upgrade = (
        b"GET /ws/X HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    )
    body = rb'{"name":"admin","password":"\ud800"}'
    login = BODY.replace(b"1000000", str(len(body)).encode() + b"\r\nConnection: close") + body
    wanted = {
        (server.api_port, b"\x16\x03\x01 hello?\r\n\r\n"): "400",
        (server.port, b"\x16\x03\x01 hello?\r\n\r\n"): "400",
        (server.port, upgrade + b"Authorization: Basic eA==\r\n" * 2 + b"\r\n"): "401",
        (server.api_port, login): "422",
    }
    times, wrong = 0, set()
    for (port, data), status in wanted.items():
        until = time.perf_counter() + seconds / len(wanted)
        while time.perf_counter() < until:
            times += 1
            found = (await answered(port, data))[9:12].decode()
            wrong |= {f"{found} for {status}"} - {f"{status} for {status}"}
    size = server.log.stat().st_size
    verdict = "refused" if not wrong and size < MAX_LOG_BYTES else f"not refused ({sorted(wrong)})"
    return f"{verdict}: {times} times, {size / 1e3:.0f} kB of log"


async def right_logins(server: Target, _seconds: float) -> str:
    """Log in rightly five times at once."""
    login = {"name": "admin", "password": PASSWORD}
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=20) as client:  # noqa: S501
        url = f"http://127.0.0.1:{server.api_port}/api/v1/session"
        answers = await asyncio.gather(*(client.post(url, json=login) for _ in range(5)))
    return f"{sum(answer.status_code == 200 for answer in answers)} of 5 in"


async def endless_answer(_server: Target, seconds: float) -> str:
    """Answer the server's telemetry without end. The Collector is this process; see `collector`."""
    began = COLLECTOR.sent
    await asyncio.sleep(max(seconds, 12))
    return (
        f"read {'little' if COLLECTOR.sent - began < 200 << 20 else 'all'}: {(COLLECTOR.sent - began) >> 20} MiB sent"
    )


class EndlessCollector:
    """A Collector whose answers do not end."""

    sent = 0

    async def start(self) -> dict[str, str]:
        """Listen, and return the variables that make a server send its telemetry here."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
                self.sent += 65_536
        writer.transport.abort()


COLLECTOR = EndlessCollector()


async def connections(port: int, number: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect `number` times."""
    return [await asyncio.open_connection("127.0.0.1", port) for _ in range(number)]


async def answered(port: int, data: bytes) -> bytes:
    """Return what a port answers until it closes the connection."""
    ((reader, writer),) = await connections(port, 1)
    try:
        writer.write(data)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()
