"""A split network: one of two nodes sees PostgreSQL and its chargers, but not Redis; the other sees all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from stack.process import LOOPBACK
from stack.test_cluster_commands import answering, node, see_each_other
from support.chargers import BOOT, START, Charger, stop
from support.databases import query
from support.operators import Operator, admin
from support.postgres import PostgresServer
from support.redis_servers import RedisServer
from support.waiting import eventually


class Line:
    """A connection to a server that can be cut and mended. Made by `line`."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open: set[asyncio.StreamWriter] = set()
        self.is_cut = False
        self.port = 0
        self.refused = 0
        """Connections that were tried while it was cut."""

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection(LOOPBACK, self._to)
        self._open |= {writer, to_writer}
        if self.is_cut:  # asked last: it may have been cut meanwhile
            self.refused += 1
            self.cut()
            return
        await asyncio.gather(self._copy(reader, to_writer), self._copy(to_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()
        self._open.discard(writer)

    def cut(self) -> None:
        self.is_cut = True
        for writer in list(self._open):
            writer.transport.abort()


@asynccontextmanager
async def line(port: int) -> AsyncIterator[Line]:
    made = Line(port)
    server = await asyncio.start_server(made.carry, LOOPBACK)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.cut()


async def status(operator: Operator, cp_id: str) -> int:
    answer = await operator.send("POST", f"/charge-points/{cp_id}/commands/Reset", json={"type": "Soft"})
    return answer.status_code


async def test_a_node_without_redis_keeps_and_loses_charge_points_rightly(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.empty()
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer.run())
        wire = await stack.enter_async_context(line(redis.port))
        cut_off = f"redis://{LOOPBACK}:{wire.port}/0"
        north = await stack.enter_async_context(node(tmp_path, url, cut_off, "north"))
        south = await stack.enter_async_context(node(tmp_path, url, redis, "south"))
        await see_each_other([north, south])
        there, here = [await stack.enter_async_context(admin(each)) for each in (north, south)]
        stays, moves = [await stack.enter_async_context(north.charger(cp_id)) for cp_id in ("CP1", "CP2")]
        transactions = []
        for charger in (stays, moves):
            await charger.call("BootNotification", BOOT)
            transactions.append((await charger.call("StartTransaction", START))["transactionId"])
        await stack.enter_async_context(answering(stays, {}))
        assert await status(here, "CP1") == 200

        wire.cut()

        async def refused() -> bool:
            return await status(here, "CP1") == 503

        await eventually(refused, within_s=20)
        assert await status(there, "CP1") == 200, "north commands its own"
        moved: Charger = await stack.enter_async_context(south.charger("CP2"))
        assert await moved.call("StopTransaction", stop(transactions[1])) == {}
        await moves.send("StopTransaction", stop(transactions[1]))  # to the node that lost it
        assert await moves.closed() == 1008
        assert await north.metric("ocpp_cp_connected", cp_id="CP2") is None
        assert await south.metric("ocpp_cp_connected", cp_id="CP2") == 1
        assert await south.metric("ocpp_cp_connected", cp_id="CP1") is None
        assert await north.metric("ocpp_cp_connected", cp_id="CP1") == 1

        await eventually(lambda: wire.refused > 5, within_s=20)
        assert await refused()
        wire.is_cut = False

        async def reached() -> bool:
            return await status(here, "CP1") == 200

        await eventually(reached)
    stops = "SELECT cp_id, stopped_received_ts IS NULL FROM transactions ORDER BY cp_id"
    assert query(url, stops) == [("CP1", True), ("CP2", False)]
