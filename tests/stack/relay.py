"""A wire tap between a charge point and a central system: it hears every frame, and can be told to spoil answers.

It understands frames no further than JSON. Knows nothing of Wattspan's code, nor who is at either end.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from stack.process import LOOPBACK

Frame = list[Any]
CALL = 2

Become = Callable[[Frame], Sequence[str]]
"""The texts that reach the central system in place of a charge point's answer."""


def as_it_is(frame: Frame) -> Sequence[str]:
    """The answer, unspoilt."""
    return [json.dumps(frame)]


class Relay:
    """One charge point at a time. Made by `relaying`."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._central: ClientConnection | None = None
        self.url = ""
        """Where the charge point connects, without its identity."""
        self.commands: list[Frame] = []
        """CALLs of the central system, as they came."""
        self.answers: list[Frame] = []
        """The charge point's answers to them, as it gave them."""
        self.told: list[Frame] = []
        """The central system's answers to the charge point, once they went on to it."""
        self.most_at_once = 0
        """CALLs of the central system's that waited for an answer at one moment."""
        self.become: Become = as_it_is

    async def tell(self, text: str) -> None:
        """Say something to the central system in the charge point's name."""
        assert self._central is not None
        await self._central.send(text)

    def hang_up(self) -> None:
        """The central system loses the charge point at once, without a close frame."""
        assert self._central is not None
        self._central.transport.abort()

    async def serve(self, charger: ServerConnection) -> None:
        """One connection of the charge point's, from its handshake to its end."""
        assert charger.request is not None
        offered = [charger.subprotocol] if charger.subprotocol else None
        url = self._upstream + charger.request.path
        async with connect(url, subprotocols=offered, compression=None, proxy=None) as central:
            self._central = central
            down = asyncio.ensure_future(self._down(central, charger))
            with suppress(ConnectionClosed):
                await self._up(charger, central)
            down.cancel()

    async def _down(self, central: ClientConnection, charger: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for text in central:
                frame = json.loads(text)
                if frame[0] == CALL:
                    self.commands.append(frame)
                    self.most_at_once = max(self.most_at_once, len(self.commands) - len(self.answers))
                await charger.send(text)
                if frame[0] != CALL:
                    self.told.append(frame)
        await charger.close()

    async def _up(self, charger: ServerConnection, central: ClientConnection) -> None:
        async for text in charger:
            frame = json.loads(text)
            if frame[0] == CALL:
                await central.send(text)
                continue
            self.answers.append(frame)
            for each in self.become(frame):
                await central.send(each)


@asynccontextmanager
async def relaying(upstream: str, protocol: str) -> AsyncIterator[Relay]:
    """A relay to the central system at `upstream`, for charge points that speak `protocol`."""
    relay = Relay(upstream)
    async with serve(relay.serve, LOOPBACK, 0, subprotocols=[protocol], compression=None) as server:  # type: ignore[list-item]
        port = next(iter(server.sockets)).getsockname()[1]
        relay.url = f"ws://{LOOPBACK}:{port}"
        yield relay
