"""The queue of messages to the central system. Transaction messages are kept until they are acknowledged.

It owns their order and retries: OCPP 1.6 §3.7.1 (errors in transaction messages) and §4.1 (while offline). It must not
know what messages mean.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from wattspan.simulator.clock import Clock
from wattspan.simulator.ledger import Figures
from wattspan.simulator.rpc import Payload, RpcClient


@dataclass(slots=True, kw_only=True, eq=False)
class Message:
    """A CALL to send. `payload()` is called at each attempt, since a transaction id may arrive late; None: give up."""

    action: str
    payload: Callable[[], Payload | None]
    acknowledged: Callable[[Payload], None]
    """Called with the answer. May raise AttributeError, KeyError, TypeError or ValueError if it is invalid."""
    durable: bool = False
    """Whether it survives a disconnect."""
    repeat: Callable[[Payload], None] | None = None
    """Called with the second answer; if set, the message is sent again after its first answer."""
    given_up: Callable[[], None] | None = None
    """Called when the message is dropped: refused too often, or `payload()` returned None."""
    attempts: int = 0


class Outbox:
    """The queue of one charge point.

    `attempts` and `retry_s` return TransactionMessageAttempts and TransactionMessageRetryInterval.
    """

    def __init__(
        self, clock: Clock, figures: Figures, *, attempts: Callable[[], int], retry_s: Callable[[], float]
    ) -> None:
        self._clock = clock
        self._figures = figures
        self._attempts = attempts
        self._retry_s = retry_s
        self._queue: deque[Message] = deque()
        self._open = False
        self._not_empty = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def durable(self) -> int:
        """Number of queued transaction messages."""
        return sum(message.durable for message in self._queue)

    def put(self, message: Message) -> None:
        """Queue `message`; without a connection, drop it unless it is durable."""
        if message.durable or self._open:
            self._queue.append(message)
            self._update_events()

    def open(self, first: Iterable[Message]) -> None:
        """Accept all messages from now on, and send `first` before what is queued."""
        self._open = True
        self._queue.extendleft(reversed(list(first)))
        self._update_events()

    def close(self) -> None:
        """Drop the messages that are not durable, and accept only durable ones from now on."""
        self._open = False
        self._queue = deque(message for message in self._queue if message.durable)
        self._update_events()

    async def drained(self) -> None:
        """Wait until nothing is queued."""
        await self._empty.wait()

    async def deliver(self, rpc: RpcClient) -> None:
        """Send one message after the other until cancelled.

        Raises ConnectionDown; the message being sent then stays first in the queue.
        """
        while True:
            await self._not_empty.wait()
            await self._deliver_first(rpc, self._queue[0])

    async def _deliver_first(self, rpc: RpcClient, message: Message) -> None:
        payload = message.payload()
        if payload is None:
            self._give_up(message)
            return
        reply = await rpc.call(message.action, payload)
        if reply.code is None and _acknowledge(message, reply.payload):
            self._remove(message)
            if message.repeat is not None:
                await self._repeat(rpc, message, payload)
            return
        self._figures.refused += 1
        message.attempts += 1
        if message.durable and message.attempts < self._attempts():
            await self._clock.sleep(self._retry_s() * message.attempts)
        elif message.durable:
            self._give_up(message)
        else:
            self._remove(message)

    async def _repeat(self, rpc: RpcClient, message: Message, payload: Payload) -> None:
        reply = await rpc.call(message.action, payload)
        if reply.code is None and message.repeat is not None:
            self._figures.repeats += 1
            message.repeat(reply.payload)

    def _give_up(self, message: Message) -> None:
        self._figures.given_up += 1
        self._remove(message)
        if message.given_up is not None:
            message.given_up()

    def _remove(self, message: Message) -> None:
        """Remove `message` by identity: while it was being sent, the queue may have been closed and reopened."""
        if self._queue and self._queue[0] is message:
            self._queue.popleft()
        self._update_events()

    def _update_events(self) -> None:
        to_set, to_clear = (self._not_empty, self._empty) if self._queue else (self._empty, self._not_empty)
        to_set.set()
        to_clear.clear()


def _acknowledge(message: Message, answer: Payload) -> bool:
    """Return whether the answer is valid; one without a transaction id counts as an error."""
    try:
        message.acknowledged(answer)
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return True
