"""Keeps the messages of the last hours, masked: a queue on the message's path, everything else off it.

On the path of a message a tuple is appended to a queue. A task takes at most MAX_PER_S of them, checks and masks them
in short slices, and collects their lines by charge point; blocks are written when they are large or old. When the queue
is full, all messages are dropped and counted until half of it is processed, so that what is kept has CALLs with
answers.
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, takewhile

import orjson

from wattspan.domain import events as ev
from wattspan.domain.counters import ServerCounters
from wattspan.domain.erased_token import ErasedToken
from wattspan.errors import StoreError
from wattspan.store.queries import messages as message_queries
from wattspan.store.queries.messages import MessageBlock
from wattspan.store.store import Store
from wattspan.telemetry.logs import limited
from wattspan.telemetry.recorder import MessageSpan

log = logging.getLogger(__name__)

MAX_QUEUED = 4_000
MAX_PER_S = 1_000
"""Entries of the queue processed in a second: two messages and a trace id for each CALL of a charge point."""
TURN_S = 0.25
SLICE = 16
"""Entries processed between two pauses for messages."""
MAX_LENGTH = 20_000
"""The longest message that is kept whole."""
BLOCK_BYTES = 64 * 1024
BLOCK_S = 300.0
"""A block with so many bytes or seconds is written."""
MAX_HEADS = 20_000
"""Charge points whose part of a line is cached."""
MAX_BUFFERED_BYTES = 48 << 20
TRACE_BYTES = len(b',"trace_id":""') + 32
WRITE_BLOCKS = 32
"""Blocks written in one transaction."""
TURN_BLOCKS = 4 * WRITE_BLOCKS
"""Blocks written in a turn, in which messages wait in the queue: all of a fleet that came at once are due at once."""

_SENSITIVE = re.compile(
    rb'id_?tag|id_?token|password|authorizationkey|customeridentifier|emaid|vpn|"variable"|\\u', re.IGNORECASE
)
"""What a message contains that must be masked, or that can't be ruled out without parsing it."""

Mask = Callable[[object], object]


Queued = tuple[int, str, str, bytes | int]
"""(Unix nanoseconds, charge point, direction, data): a message; "event" and the rest of a line; or "trace" and the
trace id of the last answer before it. A plain tuple: a named one takes three times as long to create."""


@dataclass(slots=True)
class Buffer:
    """The lines of a charge point that are not written yet: JSON objects, each with a line break."""

    first_ts: float
    last_ts: float
    messages: int = 0
    text: bytearray = field(default_factory=bytearray)
    takes_trace: bool = False
    """Whether the last line is a message without a trace id."""

    def add(self, ts: float, line: bytes, *, is_message: bool) -> None:
        """Add a line."""
        self.text += line
        self.last_ts = ts
        self.messages += 1
        self.takes_trace = is_message

    def trace(self, trace_id: int) -> None:
        """Add a trace id to the last line: TRACE_BYTES."""
        self.text[-2:] = b',"trace_id":"%032x"}\n' % trace_id
        self.takes_trace = False


class MessageLog:
    """The messages that are not written yet. An `EventSink` for connections. For the event loop's thread."""

    events: tuple[type[ev.Event], ...] = (ev.ChargePointConnected, ev.ChargePointDisconnected)

    def __init__(
        self, store: Store, counters: ServerCounters, mask: Mask, clock_ns: Callable[[], int], retention_s: float
    ) -> None:
        self._store = store
        self._counters = counters
        self._mask = mask
        self._clock_ns = clock_ns
        self.retention_s = retention_s
        """How long messages are kept; 0: none are."""
        self._queue: deque[Queued] = deque()
        self._full = False
        self._lost = 0
        self._heads: dict[str, bytes] = {}
        self._buffers: dict[str, Buffer] = {}
        """In the order of their first lines."""
        self._large: set[str] = set()
        """Charge points whose buffer is a whole block."""
        self._buffered = 0
        self._busy = asyncio.Lock()

    def tap(self, cp_id: str) -> Callable[[str, bytes], None]:
        """Return what takes each message of a charge point."""
        append, clock_ns = self._queue.append, self._clock_ns

        def take(direction: str, data: bytes) -> None:
            if self._full:
                self._lost += 1
            else:
                append((clock_ns(), cp_id, direction, data))

        return take

    def ended(self, span: MessageSpan) -> None:
        """Take the trace id of the last answer."""
        if not self._full:
            self._queue.append((0, span.cp_id, "trace", span.trace_id))
            self._full = len(self._queue) >= MAX_QUEUED

    def put(self, event: ev.Event) -> None:
        """Take the begin or end of a connection as a line of the log."""
        if len(self._queue) < 2 * MAX_QUEUED:
            if isinstance(event, ev.ChargePointConnected):
                rest: dict[str, object] = {"event": "connected", "protocol": event.protocol}
            else:
                rest = {"event": "disconnected", "code": getattr(event, "code", None)}
            self._queue.append((int(event.received_ts * 1e9), event.cp_id, "event", orjson.dumps(rest)))

    async def run(self) -> None:
        """Process the queue until cancelled."""
        while True:
            await asyncio.sleep(TURN_S)
            await self.process(int(MAX_PER_S * TURN_S))

    async def process(self, limit: int = 2 * MAX_QUEUED) -> None:
        """Process up to `limit` entries of the queue, and write the blocks that are due."""
        async with self._busy:
            left = min(limit, len(self._queue))
            while left > 0:
                for _ in range(min(SLICE, left)):
                    self._collect(self._queue.popleft())
                left -= SLICE
                await asyncio.sleep(0)
            self._full = len(self._queue) >= (MAX_QUEUED // 2 if self._full else MAX_QUEUED)
            if self._lost:
                self._dropped(self._lost)
                self._lost = 0
            await self._write(self._due())

    async def lines(self, cp_id: str, from_ts: float, until_ts: float) -> list[bytes]:
        """Return the kept lines of a charge point, stored or not, oldest first. Raises StoreError."""
        await self.process()
        async with self._busy:  # a block must be either stored or in memory
            stored = await self._store.read(message_queries.lines, cp_id, from_ts, until_ts)
            buffer = self._buffers.get(cp_id)
            return stored if buffer is None else [*stored, *bytes(buffer.text).splitlines()]

    async def flush(self) -> None:
        """Process and write everything."""
        await self.process()
        async with self._busy:
            await self._write(list(self._buffers))

    async def erase(self, token: ErasedToken) -> None:
        """Replace an id token in what is not written yet."""
        await self.process()
        async with self._busy:
            for buffer in self._buffers.values():
                former = len(buffer.text)
                buffer.text = bytearray(message_queries.without_token(buffer.text, token))
                self._buffered += len(buffer.text) - former
                await asyncio.sleep(0)

    async def expire(self) -> None:
        """Delete messages that are old, or exceed the ring of their charge point. Raises StoreError."""
        rows = limit = 200
        while rows == limit:
            rows = await self._store.do(message_queries.expire, self._clock_ns() / 1e9 - self.retention_s, limit)
        for cp_id, size in (await self._store.read(message_queries.sizes)).items():
            await self._store.do(message_queries.trim, cp_id, size - message_queries.MAX_RING_BYTES)

    def _collect(self, item: Queued) -> None:
        at_ns, cp_id, direction, data = item
        buffer = self._buffers.get(cp_id)
        if isinstance(data, int):
            if buffer is not None and buffer.takes_trace:
                buffer.trace(data)
                self._buffered += TRACE_BYTES
            return
        ts = at_ns / 1e9
        if buffer is None:
            buffer = self._buffers[cp_id] = Buffer(ts, ts)
        is_message = direction != "event"
        if is_message:
            line = b'{"ts":%.6f,%s,"direction":"%s","frame":%s}\n' % (
                ts,
                self._head(cp_id),
                direction.encode(),
                _frame(data, self._mask),
            )
        else:
            line = b'{"ts":%.6f,%s,%s\n' % (ts, self._head(cp_id), data[1:])
        buffer.add(ts, line, is_message=is_message)
        self._buffered += len(line)
        if len(buffer.text) >= BLOCK_BYTES:
            self._large.add(cp_id)
        while self._buffered > MAX_BUFFERED_BYTES:
            self._dropped(self._take(next(iter(self._buffers))).messages)

    def _head(self, cp_id: str) -> bytes:
        head = self._heads.get(cp_id)
        if head is None:
            if len(self._heads) > MAX_HEADS:
                self._heads.clear()
            head = self._heads[cp_id] = b'"cp_id":' + orjson.dumps(cp_id)
        return head

    def _due(self) -> list[str]:
        """Return charge points whose buffer is large, or old; after a clock was set back, its newer ones as well.

        Looks only at these, because this is asked often and buffers are as many as charge points.
        """
        now_ts = self._clock_ns() / 1e9
        old = takewhile(lambda item: not 0 <= now_ts - item[1].first_ts < BLOCK_S, self._buffers.items())
        due = dict.fromkeys(chain(self._large, (cp_id for cp_id, _ in islice(old, TURN_BLOCKS))))
        return list(due)[:TURN_BLOCKS]

    def _take(self, cp_id: str) -> Buffer:
        buffer = self._buffers.pop(cp_id)
        self._large.discard(cp_id)
        self._buffered -= len(buffer.text)
        return buffer

    async def _write(self, cp_ids: Sequence[str]) -> None:
        try:
            for first in range(0, len(cp_ids), WRITE_BLOCKS):
                chosen = {cp_id: self._buffers[cp_id] for cp_id in cp_ids[first : first + WRITE_BLOCKS]}
                blocks = await asyncio.to_thread(_blocks, chosen)
                await self._store.do(message_queries.put_blocks, blocks)
                for cp_id in chosen:
                    self._take(cp_id)
        except StoreError as exc:
            limited(log, logging.WARNING, "messages", "messages can't be stored, and wait: %s", exc)

    def _dropped(self, count: int) -> None:
        counts = self._counters.history_dropped
        counts["messages"] = counts.get("messages", 0) + count


def _blocks(chosen: Mapping[str, Buffer]) -> list[MessageBlock]:
    """Return blocks of lines. In a thread; nothing is added to the buffers meanwhile."""
    return [
        message_queries.compressed(cp_id, each.first_ts, each.last_ts, each.messages, each.text)
        for cp_id, each in chosen.items()
    ]


def _frame(data: bytes, mask: Mask) -> bytes:
    """Return a message as masked JSON; of one that is long or no JSON, only its length."""
    if len(data) > MAX_LENGTH:
        return b'{"bytes":%d}' % len(data)
    try:
        parsed = orjson.loads(data)
        if _SENSITIVE.search(data) is not None:
            return orjson.dumps(mask(parsed))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return b'{"unreadable":%d}' % len(data)
    return orjson.dumps(parsed) if b"\n" in data or b"\r" in data else data
