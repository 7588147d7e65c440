"""The events of all nodes in one Redis stream of bounded length, in the order in which every node reads them.

An event's number grows with its place in the stream. The stream has an identity, which changes when Redis has lost it.
It must not know what an event means.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from wattspan.cluster.bus import Bus
from wattspan.cluster.pipeline import Lost
from wattspan.cluster.redis import ANSWER_S, ERRORS, Client, RedisAddress, begin, close, raise_if_cancelled
from wattspan.errors import RedisUnavailable
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

KEPT = 10_000
"""Events that the stream keeps, at least."""
BLOCK_MS = 2_000
READ = 500
"""Events read at once."""
PAUSE_S = 0.5
INTERRUPTED: tuple[type[Exception], ...] = (*ERRORS, RedisUnavailable)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedEvent:
    """An event of any node."""

    number: int
    cp_id: str
    name: str
    data: bytes


class EventStream:
    """Appends events of this node, and reads those of all nodes, its own too.

    `deliver` gets each event. `reset` gets the identity of the stream and what it has so far, before the first event
    and again whenever some may be missing.
    """

    def __init__(
        self,
        address: RedisAddress,
        bus: Bus,
        deliver: Callable[[SharedEvent], None],
        reset: Callable[[str, Sequence[SharedEvent]], None],
    ) -> None:
        self._address = address
        self._bus = bus
        self._deliver = deliver
        self._reset = reset
        self._last = "0-0"
        self._identity = ""
        self._interrupted = asyncio.Event()
        bus.on_return(self._interrupted.set)

    def append(self, cp_id: str, name: str, data: bytes, lost: Lost) -> None:
        """Append an event; `lost` is called if that fails."""
        if not self._bus.available:
            lost()
            return
        key = self._key
        self._bus.pipeline.post(
            *("XADD", key, "MAXLEN", "~", KEPT, "*", "cp", cp_id, "name", name, "data", data), lost=lost
        )

    def forget(self) -> None:
        """Delete every event, and the stream's identity."""
        self._bus.pipeline.post("DEL", self._key, self._identity_key)
        self._interrupted.set()

    async def run(self) -> None:
        """Read the stream, until cancelled."""
        client: Client | None = None
        try:
            while True:
                try:
                    if client is None:
                        client = self._address.open(BLOCK_MS / 1000 + ANSWER_S)
                        await begin(client)
                    await self._read(client)
                except INTERRUPTED as exc:
                    raise_if_cancelled()
                    limited(log, logging.WARNING, "redis events", "events of other nodes are interrupted: %s", exc)
                    await close(client)
                    client = None
                    self._interrupted.set()
                    await asyncio.sleep(PAUSE_S)
        finally:
            await close(client)

    async def _identify(self) -> bool:
        """Read the stream's identity. Return whether it has another one than before, or events may be missing."""
        ask = self._bus.pipeline.ask
        await ask("SET", self._identity_key, secrets.token_hex(4), "NX")
        found = await ask("GET", self._identity_key)
        identity = "" if found is None else found.decode()
        begins_anew = identity != self._identity or self._interrupted.is_set()
        self._interrupted.clear()
        self._identity = identity
        return begins_anew

    async def _read(self, client: Client) -> None:
        """Deliver what follows, until the stream is interrupted or was lost."""
        if await self._identify():
            self._last, kept = "0-0", []
            while found := list(await self._next(client, None)):
                kept += found
            self._reset(self._identity, kept[-KEPT:])
        while not self._interrupted.is_set():
            found = list(await self._next(client, BLOCK_MS))
            for each in found:
                self._deliver(each)
            if not found:
                stored = await self._bus.pipeline.ask("GET", self._identity_key)
                if stored is None or stored.decode() != self._identity:
                    self._interrupted.set()

    async def _next(self, client: Client, block_ms: int | None) -> Iterator[SharedEvent]:
        """Return the next events; none if there are none, or none within `block_ms`."""
        block = () if block_ms is None else ("BLOCK", block_ms)
        answer = await client.execute_command("XREAD", "COUNT", READ, *block, "STREAMS", self._key, self._last)
        raise_if_cancelled()
        entries = [entry for _, of_stream in answer or () for entry in of_stream]
        if entries:
            self._last = entries[-1][0].decode()
        return (
            SharedEvent(
                number=_number(entry_id.decode()),
                cp_id=fields[b"cp"].decode(),
                name=fields[b"name"].decode(),
                data=fields[b"data"],
            )
            for entry_id, fields in entries
        )

    @property
    def _key(self) -> str:
        return f"{self._bus.prefix}:events"

    @property
    def _identity_key(self) -> str:
        return f"{self._bus.prefix}:events:identity"


def _number(entry_id: str) -> int:
    """Return the place of an entry: its milliseconds, then its number within them."""
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds) * 1_000_000 + min(int(sequence), 999_999)
