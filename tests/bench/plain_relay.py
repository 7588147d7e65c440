"""A plain WebSocket relay on `websockets`, as its documentation writes one: what the proxy is compared with.

`python tests/bench/plain_relay.py PORT UPSTREAM_PORT`. On uvloop, without compression and pings of its own.
"""

import asyncio
import sys
from contextlib import suppress

import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


async def pump(source: ServerConnection | ClientConnection, sink: ServerConnection | ClientConnection) -> None:
    """Send each message of `source` to `sink`, then close it."""
    with suppress(ConnectionClosed):
        async for message in source:
            await sink.send(message)
    await sink.close()


async def main(port: int, upstream_port: int) -> None:
    async def relay(charger: ServerConnection) -> None:
        assert charger.request is not None
        offered = [charger.subprotocol] if charger.subprotocol else None
        url = f"ws://127.0.0.1:{upstream_port}{charger.request.path}"
        connecting = connect(url, subprotocols=offered, compression=None, ping_interval=None, proxy=None)
        async with connecting as central, asyncio.TaskGroup() as both:
            both.create_task(pump(charger, central))
            both.create_task(pump(central, charger))

    serving = serve(relay, "127.0.0.1", port, subprotocols=["ocpp1.6"], compression=None, ping_interval=None)  # type: ignore[list-item]
    async with serving as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
