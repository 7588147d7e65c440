"""How long the Heartbeats of 100 charge points wait beside one that floods, and without it.

The flooder is admitted and sends Heartbeats as fast as `make attack` does, without waiting for answers; the server
pauses it again and again. In each round it is a new one, because the server closes one that goes on.
"""

import contextlib
import select
import time
from array import array
from pathlib import Path

from bench import servers
from bench.figures import Figure, Results, middle
from bench.load import Charger, LoadError, frame
from bench.servers import Collector
from bench.words import V16

CHARGERS = 100
EACH_S = 0.5
"""Between two Heartbeats of a charge point."""
RATE = 1_000_000
"""Bytes a second of the flood."""
ROUNDS = 5
TARGET_MS = 100.0
LOST_S = 10.0
"""A Heartbeat that is not answered within this time is lost."""
_CHUNK = 1 << 16
_FLOOD = frame(b'[2,"h","Heartbeat",{}]') * 512


class Flooder:
    """One that floods, on a socket that never blocks."""

    def __init__(self, cp_id: str, port: int) -> None:
        self.sock = Charger(cp_id, port, V16).sock
        self.sent = 0
        self.closed = False
        """Whether the server has closed it."""
        self._began = time.perf_counter()
        self._unsent = b""

    def step(self) -> None:
        """Send what is due, as far as the socket takes it, and drop what came."""
        try:
            with contextlib.suppress(BlockingIOError):
                self.closed = self.closed or not self.sock.recv(_CHUNK)
            if self.closed or self.sent > (time.perf_counter() - self._began) * RATE:
                return
            with contextlib.suppress(BlockingIOError):
                data = self._unsent or _FLOOD
                taken = self.sock.send(data)
                self.sent, self._unsent = self.sent + taken, data[taken:]
        except ConnectionError:
            self.closed = True


def heartbeats(chargers: list[Charger], seconds: float, flooder: Flooder | None = None) -> "array[float]":
    """Have each charge point send a Heartbeat every EACH_S; the waits in seconds, each from when it was due.

    Raises LoadError if one is not answered.
    """
    waits, clock = array("d"), time.perf_counter
    poll, by_fd = select.epoll(), {charger.sock.fileno(): charger for charger in chargers}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    period, sent, began = EACH_S / len(chargers), 0, clock()
    now, end = began, began + seconds
    while now < end or any(charger.waiting for charger in chargers):
        if now > end + LOST_S:
            raise LoadError("a Heartbeat was not answered")
        while (due := began + sent * period) <= now < end:
            charger = chargers[sent % len(chargers)]
            charger.due.append(due)
            if not charger.waiting:
                charger.ask("Heartbeat", {})
            sent += 1
        for fd, _ in poll.poll(0):
            charger = by_fd[fd]
            if charger.receive():
                waits.append(clock() - charger.due.popleft())
                if charger.due:
                    charger.ask("Heartbeat", {})
        if flooder is not None:
            flooder.step()
        now = clock()
    poll.close()
    return waits


async def beside_a_flooder(folder: Path, collector: Collector, seconds: float, results: Results) -> None:
    """The row on the longest wait beside a flooder."""
    alone, beside, floods = [], [], []
    async with servers.wattspan(folder, collector) as server:
        chargers = [Charger(f"CALM{number:03}", server.port, V16) for number in range(CHARGERS)]
        heartbeats(chargers, 1.0)
        for number in range(ROUNDS):
            alone.append(max(heartbeats(chargers, seconds)))
            flooder = Flooder(f"FLOOD{number}", server.port)
            beside.append(max(heartbeats(chargers, seconds, flooder)))
            floods.append({"bytes": flooder.sent, "closed": flooder.closed})
            flooder.sock.close()
        for charger in chargers:
            charger.close()
    results.raw["flooder"] = {
        "longest_wait_ms": [wait * 1e3 for wait in beside],
        "longest_wait_without_ms": [wait * 1e3 for wait in alone],
        "floods": floods,
    }
    taken = sum(flood["bytes"] for flood in floods) / len(floods) / seconds
    detail = (
        f"worst {max(beside) * 1e3:.1f} ms; {middle(alone) * 1e3:.1f} ms without, worst {max(alone) * 1e3:.1f} ms; "
        f"{taken / 1e3:.0f} kB/s of the flood sent"
    )
    name = f"longest wait of {CHARGERS} beside a flooder, median of {ROUNDS}"
    results.add(Figure(name=name, value=middle(beside) * 1e3, target=TARGET_MS, unit="ms", below=True, detail=detail))
