"""Charge points that press as hard as one core can: raw sockets in a loop that never sleeps (see docs/benchmarks.md).

Every answer is checked: a CALLRESULT with the id that is waited for, or the measurement fails. Frames are masked with
the key 0, which RFC 6455 allows and which spares this side the masking; the server unmasks them like any others.
Knows nothing of Wattspan's code.
"""

import json
import os
import select
import socket
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bench.words import FIRST_WH, V16, Words

CHUNK = 1 << 18
CONNECT_S = 10.0
ANSWER_S = 10.0
"""Longest wait for answers that are still out; what comes later is lost."""
TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
STEP_WH = 10


class LoadError(AssertionError):
    """The server under test did not answer as OCPP has it."""


def frame(payload: bytes, head: int = TEXT) -> bytes:
    """A masked WebSocket frame; up to 65,535 bytes (RFC 6455 §5.2)."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((head,)) + length + b"\0\0\0\0" + payload


class Charger:
    """One charge point: one CALL at a time. `sent_at` is when the one that is out was sent."""

    __slots__ = (
        "_asked",
        "_buffer",
        "_expected",
        "_number",
        "_template",
        "_words",
        "answer",
        "cp_id",
        "due",
        "sent_at",
        "sock",
        "waiting",
    )

    def __init__(self, cp_id: str, port: int, words: Words) -> None:
        self.cp_id = cp_id
        self.sock = _handshake(cp_id, port, words.subprotocol)
        self.waiting = False
        self.sent_at = 0.0
        self.answer: Any = None
        self.due: deque[float] = deque()
        self._buffer = b""
        self._number = 0
        self._asked = ""
        self._expected = b""
        self._template = b""
        self._words = words

    @property
    def sent(self) -> int:
        """How many messages it has prepared so far, of which at most one is not sent."""
        return self._number

    def ask(self, action: str, payload: Any) -> None:
        """Send any CALL; `receive` sees its answer, which then is in `answer`."""
        self._send_call(json.dumps([2, self._next_id(), action, payload], separators=(",", ":")).encode())

    def prepare(self, connector: int, transaction_id: Any) -> None:
        """Make the frame of a reading ready, all but message id, register and number of the event."""
        marks = "0123456789", 123456789, 987654321
        call = self._words.measure(connector, transaction_id, *marks[1:])
        framed = frame(json.dumps([2, marks[0], *call], separators=(",", ":")).encode()).replace(b"%", b"%%")
        for mark, place in zip(marks, (b"%(id)010d", b"%(register)d", b"%(number)d"), strict=True):
            framed = framed.replace(str(mark).encode(), place)
        self._template = framed

    def measure(self) -> None:
        """Send the next reading: the register has risen, the id is new."""
        self._next_id()
        number = self._number
        self.waiting = True
        fields = {b"id": number, b"register": FIRST_WH + STEP_WH * number, b"number": FIRST_WH + number}
        self.sock.send(self._template % fields)

    def send_when_due(self, due_at: float) -> None:
        """Send the next MeterValues, which was due at `due_at`, now or as soon as the one before is answered."""
        self.due.append(due_at)
        if not self.waiting:
            self.measure()

    def answered(self) -> float:
        """When the message was due that has just been answered; the next one that is due leaves."""
        due_at = self.due.popleft()
        if self.due:
            self.measure()
        return due_at

    def receive(self) -> bool:
        """Take what came; True when the answer that was waited for is among it."""
        data = self.sock.recv(CHUNK)
        if data == self._expected and not self._buffer:
            self.waiting = False
            return True
        if not data:
            raise LoadError(f"{self.cp_id}: the server closed the connection")
        self._buffer += data
        was_waiting = self.waiting
        while self._take_frame():
            pass
        return was_waiting and not self.waiting

    def close(self) -> None:
        with suppress(OSError):
            self.sock.send(frame(b"\x03\xe8", CLOSE))
        self.sock.close()

    def _next_id(self) -> str:
        self._number += 1
        self._asked = asked = f"{self._number:010}"
        # What a MeterValues is answered with nearly always; what differs is read as JSON.
        self._expected = b'\x81\x13[3,"%s",{}]' % asked.encode()
        return asked

    def _send_call(self, text: bytes) -> None:
        self.waiting = True
        self.sent_at = time.perf_counter()
        self.sock.send(frame(text))

    def _take_frame(self) -> bool:
        """Handle the first whole frame of the buffer; False when there is none. Servers do not mask."""
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        size, begin = buffer[1] & 0x7F, 2
        if size == 126:
            size, begin = int.from_bytes(buffer[2:4], "big"), 4
        if len(buffer) < begin + size:
            return False
        payload, self._buffer = buffer[begin : begin + size], buffer[begin + size :]
        if buffer[0] == TEXT:
            self._take_message(json.loads(payload))
        elif buffer[0] == PING:
            self.sock.send(frame(payload, PONG))
        elif buffer[0] == CLOSE:
            raise LoadError(f"{self.cp_id}: the server closes with {payload!r}")
        return True

    def _take_message(self, message: Any) -> None:
        if message[0] == 2:  # a command: ocpp-go's example sends some; nothing here can be commanded
            refusal = [4, message[1], "NotSupported", "", {}]
            self.sock.send(frame(json.dumps(refusal).encode()))
        elif message[0] == 3 and self.waiting and message[1] == self._asked:
            self.answer, self.waiting = message[2], False
        else:
            raise LoadError(f"{self.cp_id}: waits for an answer to {self._asked}, and gets {message!r}")


def _handshake(cp_id: str, port: int, subprotocol: str) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=CONNECT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = (
        f"GET /{cp_id} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    )
    sock.sendall(request.encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (byte := sock.recv(1)):
            raise LoadError(f"{cp_id}: no handshake: {head!r}")
        head += byte
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise LoadError(f"{cp_id}: refused: {head!r}")
    sock.setblocking(False)
    return sock


@dataclass(slots=True, kw_only=True)
class Measured:
    """What came of a measurement. `latencies_s` has each message's own, in the order of the answers.

    `lost`: messages that were never answered.
    """

    answers: int
    seconds: float
    lost: int
    latencies_s: "array[float]" = field(repr=False)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds

    def percentile_s(self, share: float) -> float:
        """The latency that `share` of the messages kept below."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Fleet:
    """All charge points of a measurement, on one epoll."""

    def __init__(self, port: int, name: str = "BENCH", words: Words = V16) -> None:
        self._port = port
        self._words = words
        self._name = name
        self._poll = select.epoll()
        self._by_fd: dict[int, Charger] = {}
        self.chargers: list[Charger] = []

    def connect(self, count: int) -> None:
        """Connect more, until there are `count`."""
        while len(self.chargers) < count:
            charger = Charger(f"{self._name}{len(self.chargers):05}", self._port, self._words)
            self.chargers.append(charger)
            self._by_fd[charger.sock.fileno()] = charger
            self._poll.register(charger.sock, select.EPOLLIN)
            if len(self.chargers) % 50 == 0:
                self.spin_once()  # pings want answers meanwhile

    def close(self) -> None:
        for charger in self.chargers:
            charger.close()
        self._poll.close()

    def each(
        self, message: Callable[[Charger], tuple[str, Any]], chargers: Sequence[Charger] | None = None
    ) -> list[Any]:
        """Have every charge point send a message, at most 50 at a time; the answers in order."""
        asked = self.chargers if chargers is None else chargers
        for first in range(0, len(asked), 50):
            group = asked[first : first + 50]
            for charger in group:
                charger.ask(*message(charger))
            deadline = time.perf_counter() + ANSWER_S
            while any(charger.waiting for charger in group):
                self.spin_once()
                if time.perf_counter() > deadline:
                    raise LoadError("no answer in time")
        return [charger.answer for charger in asked]

    def begin_charging(self, connector: int = 1) -> None:
        """Boot, start a transaction, and be ready to measure it."""
        words = self._words
        self.each(lambda _: words.boot())
        self.each(lambda _: words.status(connector))
        answers = self.each(lambda charger: words.start(connector, charger.cp_id))
        for charger, answer in zip(self.chargers, answers, strict=True):
            charger.prepare(connector, words.transaction_id(answer, charger.cp_id))

    def closed_loop(self, seconds: float) -> Measured:
        """Each sends its next MeterValues as soon as the last is answered."""
        latencies = array("d")
        poll, by_fd, clock = self._poll.poll, self._by_fd, time.perf_counter
        began = now = clock()
        end = began + seconds
        for charger in self.chargers:
            charger.sent_at = now
            charger.measure()
        while now < end:
            for fd, _ in poll(0):
                charger = by_fd[fd]
                if charger.receive():
                    now = clock()
                    latencies.append(now - charger.sent_at)
                    charger.sent_at = now
                    charger.measure()
            now = clock()
        return Measured(answers=len(latencies), seconds=now - began, lost=self._drain(), latencies_s=latencies)

    def paced(self, rate: float, seconds: float, chargers: int, beside: "Beside | None" = None) -> Measured:
        """`rate` MeterValues a second, spread evenly over the first `chargers`, whether answers are quick or not.

        A message that is due while its charge point still waits is late from when it was due, so nothing hides.
        `beside` is polled too, and the measurement goes on until it is done.
        """
        latencies = array("d")
        by_fd, clock, period = self._by_fd, time.perf_counter, 1.0 / rate
        sending, sent = self.chargers[:chargers], 0
        began = now = clock()
        end = began + seconds
        if beside is not None:
            self._poll.register(beside.sock, select.EPOLLIN)
        while now < end or (beside is not None and not beside.done and now < end + ANSWER_S):
            while (due := began + sent * period) <= now:
                sending[sent % chargers].send_when_due(due)
                sent += 1
            for fd, _ in self._poll.poll(0):
                if beside is not None and fd == beside.fd:
                    beside.receive()
                elif by_fd[fd].receive():
                    latencies.append(clock() - by_fd[fd].answered())
            now = clock()
        if beside is not None:
            self._poll.unregister(beside.sock)
        measured = Measured(answers=len(latencies), seconds=now - began, lost=self._drain(), latencies_s=latencies)
        for charger in sending:
            charger.due.clear()
        return measured

    def _drain(self) -> int:
        """Wait for the answers that are still out: they are checked like all others. How many never came."""
        deadline = time.perf_counter() + ANSWER_S
        while (out := sum(charger.waiting for charger in self.chargers)) and time.perf_counter() < deadline:
            self.spin_once()
        for charger in self.chargers:
            charger.waiting = False
        return out

    def join(self, other: "Fleet") -> None:
        """Have the charge points of another fleet in this one's loop; the other is used no more, except to close it."""
        self.chargers += other.chargers
        self._by_fd |= other._by_fd
        for charger in other.chargers:
            self._poll.register(charger.sock, select.EPOLLIN)
        other.chargers = []

    def spin_once(self, wait_s: float = 0.0) -> None:
        """Take what has come, or what comes within `wait_s`."""
        for fd, _ in self._poll.poll(wait_s):
            self._by_fd[fd].receive()


class Beside:
    """An HTTP GET that the loop polls beside its charge points: a scrape by Prometheus, say."""

    def __init__(self, port: int, path: str, headers: str = "") -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=CONNECT_S)
        self.fd = self.sock.fileno()
        self.done = False
        self.seconds = 0.0
        self._chunks: list[bytes] = []
        self._began = time.perf_counter()
        request = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: gzip\r\nConnection: close\r\n"
        self.sock.sendall(f"{request}{headers}\r\n".encode())
        self.sock.setblocking(False)

    @property
    def waited_s(self) -> float:
        """How long it has been under way."""
        return time.perf_counter() - self._began

    @property
    def size(self) -> int:
        """Bytes of the response as sent, headers included."""
        return sum(map(len, self._chunks))

    def receive(self) -> None:
        """Take what came; at the end of the response it is `done`."""
        data = self.sock.recv(CHUNK)
        if data:
            self._chunks.append(data)
            return
        if not self.done:
            self.done, self.seconds = True, time.perf_counter() - self._began
        if not self._chunks or b" 200 " not in self._chunks[0][:20]:
            raise LoadError(f"the scrape got {self._chunks[:1]!r}")

    def close(self) -> None:
        self.sock.close()


def pin(core: int) -> None:
    """Keep this process, and what it starts from now on, on one core."""
    os.sched_setaffinity(0, {core})
