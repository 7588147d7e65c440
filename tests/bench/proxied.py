"""What the proxy costs: frames a second over a plain relay on the same library, added latency, memory a charge point.

The charge points and the central system behind the relay are one process and one epoll, so that neither waits for the
other to be scheduled.
"""

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

from websockets.speedups import apply_mask

from bench import servers
from bench.figures import Figure, Results, middle
from bench.load import CHUNK, Fleet, LoadError
from bench.rates import CONNECTIONS, Pressed, Times
from bench.servers import Collector, Server
from stack.servers import fetch

BACKLOG = 1_000
LATENCY_RATE = 1_000.0
"""Messages a second while latency is measured."""
FRAMES_A_MESSAGE = 2
_HEAD = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
)
_KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
_ANSWERS: Mapping[str, Any] = {
    "BootNotification": {"currentTime": "2026-11-21T10:00:00Z", "interval": 120, "status": "Accepted"},
    "StartTransaction": {"transactionId": 7, "idTagInfo": {"status": "Accepted"}},
}


class Central:
    """The central system's end of one charge point: answers each CALL at once."""

    __slots__ = ("_buffer", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""

    def receive(self) -> bool:
        """Answer what came. Never True: it is no answer that a charge point waits for."""
        data = self.sock.recv(CHUNK)
        if not data:
            raise LoadError("the relay closed the central system's connection")
        self._buffer += data
        while (payload := self._next()) is not None:
            self._answer(payload)
        return False

    def _next(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, begin = buffer[1] & 0x7F, 6
        if size == 126:
            size, begin = int.from_bytes(buffer[2:4], "big"), 8
        end = begin + size
        if len(buffer) < end:
            return None
        self._buffer = buffer[end:]
        return apply_mask(buffer[begin:end], buffer[begin - 4 : begin])

    def _answer(self, payload: bytes) -> None:
        end = payload.index(b'"', 4)
        message_id, rest = payload[4:end], payload[end + 3 : end + 24]
        answer = b"{}"
        if not rest.startswith(b"MeterValues"):
            answer = json.dumps(_ANSWERS.get(rest.partition(b'"')[0].decode(), {})).encode()
        text = b'[3,"%s",%s]' % (message_id, answer)
        size = len(text)
        head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")
        self.sock.send(head + text)


class ProxiedFleet(Fleet):
    """Charge points that connect to `port`, and the central system at `listener` that they reach through it."""

    def __init__(self, port: int, listener: socket.socket) -> None:
        super().__init__(port)
        self._listener = listener
        self._centrals: list[Central] = []

    def connect(self, count: int) -> None:
        """Connect more, until there are `count`. Handshakes block, so the central system's are in a thread."""
        accepting = threading.Thread(target=self._accept, args=(count - len(self.chargers),), daemon=True)
        accepting.start()
        super().connect(count)
        accepting.join()

    def close(self) -> None:
        super().close()
        for central in self._centrals:
            central.sock.close()
        self._listener.close()

    def _accept(self, count: int) -> None:
        for _ in range(count):
            sock, _ = self._listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += sock.recv(1)
            sock.sendall(_HEAD if _KEY in head else _accepting(head))
            sock.setblocking(False)
            central = Central(sock)
            self._centrals.append(central)
            self._by_fd[sock.fileno()] = central  # type: ignore[assignment]
            self._poll.register(sock, 1)


def _accepting(head: bytes) -> bytes:
    """The answer to a handshake with this request."""
    lines = head.decode("latin-1").split("\r\n")
    key = next(line.split(":", 1)[1].strip() for line in lines if line.lower().startswith("sec-websocket-key:"))
    digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()  # noqa: S324 - RFC 6455
    return _HEAD.replace(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", base64.b64encode(digest))


def listening() -> socket.socket:
    """A listening socket for the central system."""
    return socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)


async def proxied(folder: Path, collector: Collector, times: Times, charge_points: int, results: Results) -> None:
    """Measure the proxy, everything on, against the plain relay, in turns."""
    runs: dict[str, Callable[[int], AbstractAsyncContextManager[Server]]] = {
        "relay": lambda upstream: servers.plain_relay(folder, upstream),
        "proxy": lambda upstream: servers.proxy(folder, upstream, collector),
    }
    async with AsyncExitStack() as stack:
        pressed: dict[str, Pressed] = {}
        for kind, run in runs.items():
            listener = listening()
            server = await stack.enter_async_context(run(listener.getsockname()[1]))
            fleet = ProxiedFleet(server.port, listener)
            stack.callback(fleet.close)
            fleet.connect(CONNECTIONS)
            fleet.begin_charging()
            pressed[kind] = Pressed(server, fleet)
        for turn in range(-int(times.warm_up), times.turns):
            for each in pressed.values():
                each.press(counts=turn >= 0)
        for each in pressed.values():
            each.finish()
        page = await fetch(f"http://127.0.0.1:{pressed['proxy'].server.metrics_port}/metrics", accept="text/plain")
        unobserved = sum(
            float(line.rpartition(" ")[2])
            for line in page.splitlines()
            if line.startswith("ocpp_proxy_unobserved_total{")
        )
        relay, proxy = (FRAMES_A_MESSAGE * middle(pressed[kind].rates) for kind in ("relay", "proxy"))
        share = unobserved / (FRAMES_A_MESSAGE * pressed["proxy"].answered)
        detail = (
            f"{proxy:,.0f} and {relay:,.0f} frames/s; a CPU second "
            f"{pressed['proxy'].cpu_rate / pressed['relay'].cpu_rate:.2f} x "
            f"({FRAMES_A_MESSAGE * pressed['proxy'].cpu_rate:,.0f} and "
            f"{FRAMES_A_MESSAGE * pressed['relay'].cpu_rate:,.0f}); {share:.1%} unobserved"
        )
        results.add(
            Figure(name="proxy, complete, over a plain relay", value=proxy / relay, target=0.6, unit="x", detail=detail)
        )
        results.raw["proxy"] = {kind: each.rates for kind, each in pressed.items()}
        _latency({kind: each.fleet for kind, each in pressed.items()}, times, results)
    await _memory(folder, collector, charge_points, results)


def _latency(through: Mapping[str, Fleet], times: Times, results: Results) -> None:
    """What the proxy adds to the time of a message and its answer, at LATENCY_RATE; the plain relay is in the details.

    On a busy machine both are mostly the time until they get the core.
    """
    listener = listening()
    direct = ProxiedFleet(listener.getsockname()[1], listener)
    try:
        direct.connect(CONNECTIONS)
        direct.begin_charging()
        measured = {}
        for kind, fleet in {"direct": direct, **through}.items():
            fleet.paced(LATENCY_RATE, times.warm_up, CONNECTIONS)
            measured[kind] = fleet.paced(LATENCY_RATE, times.measured, CONNECTIONS)
    finally:
        direct.close()
    for share, target_ms in ((0.5, 0.3), (0.99, 2.0)):
        found = {kind: each.percentile_s(share) * 1e3 for kind, each in measured.items()}
        results.add(
            Figure(
                name=f"latency added by the proxy at {LATENCY_RATE:,.0f}/s, p{share * 100:g}",
                value=found["proxy"] - found["direct"],
                target=target_ms,
                unit="ms",
                below=True,
                detail=", ".join(f"{kind} {value:.2f} ms" for kind, value in found.items()),
            )
        )


async def _memory(folder: Path, collector: Collector, charge_points: int, results: Results) -> None:
    listener = listening()
    async with servers.proxy(folder, listener.getsockname()[1], collector) as server:
        fleet = ProxiedFleet(server.port, listener)
        try:
            fleet.connect(50)
            fleet.begin_charging()
            before = server.memory()
            fleet.connect(50 + charge_points)
            fleet.begin_charging()
            kib = (server.memory() - before) / charge_points / 1024
        finally:
            fleet.close()
    results.add(
        Figure(name=f"proxy: memory a charge point, of {charge_points:,}", value=kib, target=80, unit="KiB", below=True)
    )
