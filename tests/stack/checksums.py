"""Both ends of a relay, which write down each message they send and receive, with its type: nothing between them may
alter, reorder or double one.

Knows nothing of OCPP, nor of Wattspan's code.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from stack.process import LOOPBACK

RETRY_S = 0.05
CLOSE_S = 5.0
Digest = bytes


def digest(message: str | bytes) -> Digest:
    """A checksum of a message's type and content."""
    kind, data = (b"t", message.encode()) if isinstance(message, str) else (b"b", message)
    return hashlib.sha256(kind + data).digest()


@dataclass
class End:
    """What one end of one connection sent and received, in order."""

    sent: list[Digest] = field(default_factory=list)
    received: list[Digest] = field(default_factory=list)


@dataclass
class Ends:
    """Both ends of every connection, by its number."""

    charger: dict[str, End] = field(default_factory=lambda: defaultdict(End))
    central: dict[str, End] = field(default_factory=lambda: defaultdict(End))
    port: int = 0

    @property
    def received(self) -> int:
        """Messages that arrived at either end."""
        return sum(len(end.received) for side in (self.charger, self.central) for end in side.values())

    def assert_unharmed(self) -> None:
        """What either end received is the beginning of what the other sent on that connection, and nothing else."""
        assert self.central.keys() <= self.charger.keys()
        for number, central in self.central.items():
            charger = self.charger[number]
            assert central.received == charger.sent[: len(central.received)], number
            assert charger.received == central.sent[: len(charger.received)], number

    async def serve(self, connection: ServerConnection) -> None:
        """The central system: sends and receives until the connection is gone."""
        assert connection.request is not None
        end = self.central[connection.request.path.rpartition("n=")[2]]
        sending = asyncio.create_task(talk(connection, end, random.Random(len(self.central))))
        with suppress(ConnectionClosed):
            async for message in connection:
                end.received.append(digest(message))
        sending.cancel()


async def talk(connection: object, end: End, rng: random.Random) -> None:
    """Send messages of every type and size, whole and in fragments, as quickly as the other end reads."""
    with suppress(ConnectionClosed):
        for number in itertools.count():
            size = rng.choice((0, 10, 200, 3_000, 70_000)) if rng.random() < 0.999 else 1 << 20
            text = f"{number}:" + "é" * (size // 2)
            message: str | bytes = text if rng.random() < 0.7 else text.encode()
            end.sent.append(digest(message))
            parts = [message] if rng.random() < 0.8 else [message[:5], message[5:100], message[100:]]
            await connection.send(parts if len(parts) > 1 else message)  # type: ignore[attr-defined]
            if number % 5 == 0:
                await asyncio.sleep(0)


@asynccontextmanager
async def checked_ends(proxy_port: int, chargers: int) -> AsyncIterator[Ends]:
    """A central system, and charge points that connect to it through a proxy again and again until the end."""
    ends = Ends()
    numbers = itertools.count()

    async def charge_point(cp_id: int) -> None:
        while True:
            number = str(next(numbers))
            url = f"ws://{LOOPBACK}:{proxy_port}/CP{cp_id}?n={number}"
            compression = "deflate" if cp_id % 2 else None
            end = ends.charger[number]
            try:
                async with connect(url, compression=compression, max_size=None, close_timeout=CLOSE_S) as connection:
                    sending = asyncio.create_task(talk(connection, end, random.Random(cp_id)))
                    with suppress(ConnectionClosed):
                        async for message in connection:
                            end.received.append(digest(message))
                    sending.cancel()
            except (OSError, InvalidHandshake, TimeoutError, EOFError):
                await asyncio.sleep(RETRY_S)

    async with serve(ends.serve, LOOPBACK, 0, compression=None, max_size=None, close_timeout=CLOSE_S) as server:
        ends.port = next(iter(server.sockets)).getsockname()[1]
        tasks: list[asyncio.Task[None]] = []

        try:
            tasks = [asyncio.create_task(charge_point(cp_id)) for cp_id in range(chargers)]
            yield ends
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
