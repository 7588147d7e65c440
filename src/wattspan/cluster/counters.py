"""Failures that nodes count together, in Redis: each further one locks a key for twice as long, and counts expire."""

import asyncio
from dataclasses import dataclass
from hashlib import sha256

from wattspan.cluster.bus import Bus
from wattspan.errors import RedisUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedBackoff:
    """A kind of failures, by key. Keys are stored as digests. While Redis is away, nothing is counted or locked.

    The failure number `free` locks for `first_s`, and no lock is longer than `longest_s`. A key starts afresh
    after `forget_s` without failures.
    """

    bus: Bus
    kind: str
    free: int
    first_s: float
    longest_s: float
    forget_s: float

    async def wait_s(self, key: str) -> float:
        """Return for how many seconds a key is still locked; 0: it is not."""
        try:
            left_ms = int(await self.bus.pipeline.ask("PTTL", self._key("locked", key)))
        except RedisUnavailable:
            return 0.0
        return max(left_ms, 0) / 1000

    async def failed(self, key: str) -> None:
        """Count a failure, and lock the key if it has too many."""
        ask, counter = self.bus.pipeline.ask, self._key("failed", key)
        try:
            failures, _ = await asyncio.gather(ask("INCR", counter), ask("EXPIRE", counter, int(self.forget_s)))
            over = int(failures) - self.free
            if over >= 0:
                lasts_s = min(self.first_s * 2.0 ** min(over, 60), self.longest_s)
                await ask("SET", self._key("locked", key), b"", "PX", int(lasts_s * 1000))
        except RedisUnavailable:
            pass  # this node's own count is still in force

    def forget(self, key: str) -> None:
        """Let a key start afresh."""
        self.bus.pipeline.post("DEL", self._key("failed", key), self._key("locked", key))

    def _key(self, what: str, key: str) -> str:
        digest = sha256(key.encode(errors="surrogatepass")).hexdigest()[:32]
        return f"{self.bus.prefix}:{self.kind}:{what}:{digest}"
