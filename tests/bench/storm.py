"""A reconnect storm: a whole fleet with credentials loses its connections at one moment, and is back at the next."""

import http.client
import json
import select
import socket
import struct
import time
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from bench import servers
from bench.figures import Figure, Results
from bench.load import Beside, LoadError, frame
from bench.servers import Collector
from bench.words import V16
from wattspan.csms.security.credentials import hash_secret, new_secret
from wattspan.store.queries import charge_points as charge_point_queries
from wattspan.store.store import Store

PASSWORD = "a password for the benchmark"
LONGEST_S = 120.0
"""After so long whoever is not back counts as lost."""
TARGET_S = 30.0
"""Who waits much longer for an answer gives up, and comes a second time."""
BOOT = json.dumps([2, "boot", *V16.boot()]).encode()
ANSWERED = b'[3,"boot",{'


class Comer:
    """A charge point on its way: connection, handshake with its credentials, boot; `back_s` when that is answered."""

    __slots__ = ("_buffer", "_request", "back_s", "booting", "sock")

    def __init__(self, cp_id: str, secret: str, port: int) -> None:
        basic = b64encode(f"{cp_id}:{secret}".encode()).decode()
        self._request = (
            f"GET /{cp_id} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: ocpp1.6\r\nAuthorization: Basic {basic}\r\n\r\n"
        ).encode()
        self._buffer = b""
        self.booting = False
        self.back_s: float | None = None
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.connect_ex(("127.0.0.1", port))

    def connected(self) -> None:
        """The TCP connection is there; raises LoadError when it is not."""
        if error := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise LoadError(f"no connection: error {error}")
        self.sock.send(self._request)

    def receive(self) -> bool:
        """Take what came; True when it is back."""
        data = self.sock.recv(65_536)
        self._buffer += data
        if not self.booting and b"\r\n\r\n" in self._buffer:
            if not self._buffer.startswith(b"HTTP/1.1 101 "):
                raise LoadError(f"refused: {self._buffer[:100]!r}")
            self.booting, self._buffer = True, b""
            self.sock.send(frame(BOOT))
        elif not data:
            raise LoadError(f"the server closed the connection: {self._buffer[:100]!r}")
        return self.booting and ANSWERED in self._buffer

    def vanish(self) -> None:
        """Gone without a word, as when a power cut ends a switch."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Pages:
    """One request after the other for each page, for as long as the storm lasts."""

    def __init__(self, poll: select.epoll, wanted: dict[str, tuple[int, str, str]]) -> None:
        self._poll = poll
        self._wanted = wanted
        self._open: dict[int, tuple[str, Beside]] = {}
        self.seconds: dict[str, list[float]] = {name: [] for name in wanted}
        for name in wanted:
            self._ask(name)

    def receive(self, fd: int) -> bool:
        """Whether it was one of these sockets."""
        if fd not in self._open:
            return False
        name, page = self._open[fd]
        page.receive()
        if page.done:
            self._poll.unregister(fd)
            del self._open[fd]
            page.close()
            self.seconds[name].append(page.seconds)
            self._ask(name)
        return True

    def close(self) -> None:
        """Let go of those that are open; how long they have waited counts as well."""
        for name, page in self._open.values():
            self.seconds[name].append(page.waited_s)
            page.close()

    def _ask(self, name: str) -> None:
        port, path, headers = self._wanted[name]
        page = Beside(port, path, headers)
        self._open[page.fd] = name, page
        self._poll.register(page.sock, select.EPOLLIN)


def come(secrets: dict[str, str], port: int, pages: dict[str, tuple[int, str, str]]) -> tuple[list[Comer], Pages]:
    """Have all of them connect at once. Raises LoadError when one is refused or lost."""
    poll = select.epoll()
    beside = Pages(poll, pages)
    began = time.perf_counter()
    comers = {each.sock.fileno(): each for each in (Comer(cp_id, secret, port) for cp_id, secret in secrets.items())}
    for fd in comers:
        poll.register(fd, select.EPOLLOUT)
    away = len(comers)
    while away:
        if time.perf_counter() - began > LONGEST_S:
            raise LoadError(f"{away} are not back")
        for fd, event in poll.poll(1):
            if beside.receive(fd):
                continue
            comer = comers[fd]
            if event & select.EPOLLOUT:
                comer.connected()
                poll.modify(fd, select.EPOLLIN)
            elif comer.receive():
                comer.back_s = time.perf_counter() - began
                poll.unregister(fd)
                away -= 1
    beside.close()
    poll.close()
    return list(comers.values()), beside


async def storm(folder: Path, collector: Collector, many: int, results: Results) -> None:
    """The row on a fleet that comes back at once."""
    secrets = {f"STORM{number:05}": new_secret() for number in range(many)}
    options = {"WATTSPAN_ADMIN_PASSWORD": PASSWORD, "WATTSPAN_UNKNOWN_CHARGE_POINTS": "reject"}
    async with servers.wattspan(folder, collector, **options) as server:
        await register(str(server.database), secrets)
        first, _ = come(secrets, server.port, {})
        for each in first:
            each.vanish()
        api = server.api_port, "/api/v1/charge-points?limit=50", f"Cookie: {log_in(server.api_port)}\r\n"
        comers, pages = come(secrets, server.port, {"metrics": (server.metrics_port, "/metrics", ""), "api": api})
        for each in comers:
            with suppress(OSError):
                each.sock.close()
    waits = sorted(each.back_s or LONGEST_S for each in comers)
    slowest = {name: max(seconds) for name, seconds in pages.seconds.items()}
    results.raw["storm"] = {
        "longest_s": waits[-1],
        "median_s": waits[len(waits) // 2],
        "pages_s": pages.seconds,
    }
    detail = (
        f"all back, none refused; median {waits[len(waits) // 2]:.1f} s; meanwhile /metrics took at most "
        f"{slowest['metrics']:.2f} s ({len(pages.seconds['metrics'])} times), the API {slowest['api']:.2f} s "
        f"({len(pages.seconds['api'])} times)"
    )
    name = f"longest wait of {many:,} that come back at once, with credentials"
    results.add(Figure(name=name, value=waits[-1], target=TARGET_S, unit="s", below=True, detail=detail))


async def register(database: str, secrets: dict[str, str]) -> None:
    """Register them in the database of a server that runs, as `wattspan cp add` does."""

    def add(connection: sa.Connection) -> None:
        for cp_id, secret in secrets.items():
            charge_point_queries.register(connection, cp_id, hash_secret(secret, machine_made=True), time.time())

    store = await Store.open(database)
    try:
        await store.do(add)
    finally:
        await store.close()


def log_in(port: int) -> str:
    """The cookie of an operator's session."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps({"name": "admin", "password": PASSWORD})
    connection.request("POST", "/api/v1/session", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    cookie = (answer.getheader("Set-Cookie") or "").split(";", 1)[0]
    connection.close()
    if not cookie:
        raise LoadError(f"no session: {answer.status}")
    return cookie
