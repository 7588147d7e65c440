"""Links to other nodes end when the server stops, whatever an error hides."""

import asyncio
from typing import Any

import pytest

from wattspan.app.node_links import _kept_running
from wattspan.cluster.pipeline import Pipeline
from wattspan.cluster.redis import RedisAddress


async def test_work_that_turns_its_cancellation_into_an_error_ends_all_the_same() -> None:
    started = asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("the connection was closed while it was read") from None

    task = asyncio.create_task(_kept_running(work))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await task


async def test_work_that_fails_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wattspan.app.node_links.RESTART_S", 0)
    again = asyncio.Event()
    tries: list[int] = []

    async def work() -> None:
        tries.append(1)
        if len(tries) > 1:
            again.set()
        raise ValueError("a fault of ours")

    task = asyncio.create_task(_kept_running(work))
    async with asyncio.timeout(5):
        await again.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class SwallowingClient:
    """A client, its pool and its connection in one, whose answers turn a cancellation into an answer."""

    def __init__(self, started: asyncio.Event) -> None:
        self.connection_pool = self
        self._started = started

    async def get_connection(self) -> Any:
        return self

    def pipeline(self, **_: Any) -> Any:
        return self

    def execute_command(self, *_: Any) -> None:
        pass

    async def execute(self, **_: Any) -> list[Any]:
        return [await self.read_response()]

    def pack_commands(self, commands: Any) -> Any:
        return commands

    async def send_packed_command(self, *_: Any, **_more: Any) -> None:
        pass

    async def read_response(self) -> bytes:
        self._started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return b"OK"
        return b""

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize("is_cluster", [False, True])
async def test_the_pipeline_ends_though_the_client_swallows_its_cancellation(is_cluster: bool) -> None:
    started = asyncio.Event()
    client: Any = SwallowingClient(started)
    address = RedisAddress(open=lambda _answer_s: client, database=0, is_cluster=is_cluster)
    pipeline = Pipeline(address, lambda _took_s: None)
    running = asyncio.create_task(pipeline.run())
    asking = asyncio.create_task(pipeline.ask("SET", "a", "b"))
    async with asyncio.timeout(5):
        await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await running
    assert await asking == b"OK"
