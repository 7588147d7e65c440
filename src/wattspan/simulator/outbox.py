"""Messages to the central system, in order. What belongs to a transaction stays until it is acknowledged.

OCPP 1.6 §3.7.1 (errors in transaction messages) and §4.1 (while offline).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from wattspan.simulator.clock import Clock
from wattspan.simulator.ledger import Figures
from wattspan.simulator.link import Link, Payload


@dataclass(slots=True, kw_only=True, eq=False)
class Message:
    """A CALL to be made. `payload` is asked at each sending (a transaction id may come late); None: give it up."""

    action: str
    payload: Callable[[], Payload | None]
    acknowledged: Callable[[Payload], None]
    durable: bool = False
    """Survives a disconnect; else it is news only while connected."""
    repeat: Callable[[Payload], None] | None = None
    """Send it once more after its answer, and tell this the second answer."""
    given_up: Callable[[], None] | None = None
    attempts: int = 0


class Outbox:
    """One queue a charge point. `attempts` and `retry_s` are its TransactionMessageAttempts and …RetryInterval."""

    def __init__(
        self, clock: Clock, figures: Figures, *, attempts: Callable[[], int], retry_s: Callable[[], float]
    ) -> None:
        self._clock = clock
        self._figures = figures
        self._attempts = attempts
        self._retry_s = retry_s
        self._queue: deque[Message] = deque()
        self._open = False
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()

    @property
    def durable(self) -> int:
        """How many transaction messages wait."""
        return sum(message.durable for message in self._queue)

    def put(self, message: Message) -> None:
        """Queues it; without a connection, only if it is durable."""
        if message.durable or self._open:
            self._queue.append(message)
            self._note()

    def open(self, first: Iterable[Message]) -> None:
        """There is a connection: `first` goes before all that waited."""
        self._open = True
        self._queue.extendleft(reversed(list(first)))
        self._note()

    def close(self) -> None:
        """The connection is gone: what was news then is none later."""
        self._open = False
        self._queue = deque(message for message in self._queue if message.durable)
        self._note()

    async def drained(self) -> None:
        """Waits until nothing is queued."""
        await self._drained.wait()

    async def deliver(self, link: Link) -> None:
        """Sends one after the other, for ever. Raises LinkDown; the message under way then stays the first."""
        while True:
            await self._filled.wait()
            await self._deliver_first(link, self._queue[0])

    async def _deliver_first(self, link: Link, message: Message) -> None:
        payload = message.payload()
        if payload is None:
            self._give_up(message)
            return
        reply = await link.call(message.action, payload)
        if reply.code is None and _understood(message, reply.payload):
            self._remove(message)
            if message.repeat is not None:
                await self._repeat(link, message, payload)
            return
        self._figures.refused += 1
        message.attempts += 1
        if message.durable and message.attempts < self._attempts():
            await self._clock.sleep(self._retry_s() * message.attempts)
        elif message.durable:
            self._give_up(message)
        else:
            self._remove(message)

    async def _repeat(self, link: Link, message: Message, payload: Payload) -> None:
        again = await link.call(message.action, payload)
        if again.code is None and message.repeat is not None:
            self._figures.repeats += 1
            message.repeat(again.payload)

    def _give_up(self, message: Message) -> None:
        self._figures.given_up += 1
        self._remove(message)
        if message.given_up is not None:
            message.given_up()

    def _remove(self, message: Message) -> None:
        """By identity: while its answer was under way, the queue may have been closed and opened."""
        if self._queue and self._queue[0] is message:
            self._queue.popleft()
        self._note()

    def _note(self) -> None:
        some, none = (self._filled, self._drained) if self._queue else (self._drained, self._filled)
        some.set()
        none.clear()


def _understood(message: Message, answer: Payload) -> bool:
    """Whether the answer is what OCPP says it is; one without a transaction id is as good as an error."""
    try:
        message.acknowledged(answer)
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return True
