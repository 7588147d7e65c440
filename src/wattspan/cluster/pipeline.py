"""Sends commands to Redis: in the order in which they were given, many at a time, and never more than fit the queue.

While Redis does not answer, commands fail at once, and nothing is kept to be sent later: it would be out of date.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from wattspan.cluster.redis import ANSWER_S, CONNECT_S, ERRORS, Command, Exchange, RedisAddress, raise_if_cancelled
from wattspan.errors import RedisUnavailable
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

MAX_QUEUED = 10_000
"""Commands that may wait to be sent."""
BATCH = 256
"""Commands sent at once."""

Lost = Callable[[], None]
"""Called when a command was not, or perhaps not, executed."""


def _ignore() -> None:
    """Do nothing."""


class Pipeline:
    """The queue of commands and the task that sends them. `took` gets the seconds of each round trip."""

    def __init__(self, address: RedisAddress, took: Callable[[float], None]) -> None:
        self._address = address
        self._took = took
        self._queue: deque[tuple[Command, asyncio.Future[Any] | Lost]] = deque()
        self._wake = asyncio.Event()
        self._exchange: Exchange | None = None
        self._closed = False
        self.available = True
        """Whether the last round trip succeeded."""
        self.dropped = 0
        """Commands without an answer that were not, or perhaps not, executed."""

    def post(self, *command: Any, lost: Lost = _ignore) -> None:
        """Send a command whose answer nobody needs. `lost` is called, perhaps at once, if it may not be executed."""
        if self._closed or not self.available or len(self._queue) >= MAX_QUEUED:
            self._lose(lost)
            return
        self._put(command, lost)

    async def ask(self, *command: Any) -> Any:
        """Send a command and return its answer. Raises RedisUnavailable. Cancellation: it is sent nevertheless."""
        if not self.available or len(self._queue) >= MAX_QUEUED:
            raise RedisUnavailable("Redis can't be reached" if not self.available else "too much waits for Redis")
        return await self.probe(*command)

    async def probe(self, *command: Any) -> Any:
        """Do as `ask`, also while Redis is taken for unavailable."""
        if self._closed:
            raise RedisUnavailable("the node stops")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._put(command, answer)
        return await answer

    async def run(self) -> None:
        """Send what is queued, until cancelled."""
        self._closed = False
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    await self._send()
                    raise_if_cancelled()
        finally:
            self._closed = True
            await self._close()
            self._fail(list(self._queue), RedisUnavailable("the node stops"))
            self._queue.clear()

    def _put(self, command: Command, then: asyncio.Future[Any] | Lost) -> None:
        self._queue.append((command, then))
        self._wake.set()

    async def _send(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        began_s = time.perf_counter()
        try:
            async with asyncio.timeout(ANSWER_S if self._exchange is not None else CONNECT_S + ANSWER_S):
                if self._exchange is None:
                    self._exchange = await Exchange.open(self._address)
                answers = await self._exchange.execute([command for command, _ in batch])
        except asyncio.CancelledError:
            self._fail(batch, RedisUnavailable("the node stops"))
            raise
        except Exception as exc:
            if not isinstance(exc, ERRORS):
                log.exception("commands to Redis failed")
            self.available = False
            reason = str(exc) or type(exc).__name__
            limited(log, logging.WARNING, "redis", "Redis does not answer: %s", reason)
            await self._close()
            self._fail(batch, RedisUnavailable(f"Redis does not answer: {reason}"))
            raise_if_cancelled()
            return
        self.available = True
        self._took(time.perf_counter() - began_s)
        for (_, then), answer in zip(batch, answers, strict=True):
            self._settle(then, answer)

    def _settle(self, then: asyncio.Future[Any] | Lost, answer: Any) -> None:
        is_error = isinstance(answer, Exception)
        if is_error:
            limited(log, logging.WARNING, "redis answer", "Redis refused a command: %s", answer)
        if not isinstance(then, asyncio.Future):
            if is_error:
                self._lose(then)
        elif not then.done():
            if is_error:
                then.set_exception(RedisUnavailable(f"Redis refused a command: {answer}"))
            else:
                then.set_result(answer)

    def _fail(self, batch: list[tuple[Command, asyncio.Future[Any] | Lost]], error: RedisUnavailable) -> None:
        for _, then in batch:
            if not isinstance(then, asyncio.Future):
                self._lose(then)
            elif not then.done():
                then.set_exception(error)

    def _lose(self, lost: Lost) -> None:
        self.dropped += 1
        lost()

    async def _close(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await exchange.close()
