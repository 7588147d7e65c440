"""The two times of a simulation: the real one, and the faster one that cars and drivers live in."""

import asyncio
import time
from collections.abc import Callable

_DAY_S = 86_400


class Clock:
    """Tells and waits in both times.

    `time_factor`: simulated seconds in a real one. `protocol_factor` shortens the waits of the protocol (back-off,
    heartbeats) likewise; other than 1 it is for tests.
    """

    def __init__(
        self, *, time_factor: float = 1.0, protocol_factor: float = 1.0, now_ts: Callable[[], float] = time.time
    ) -> None:
        self.time_factor = time_factor
        self._protocol_factor = protocol_factor
        self.now_ts = now_ts
        """Real Unix seconds."""
        self._began_ts = now_ts()
        self._began = time.monotonic()

    def simulated_s(self) -> float:
        """Simulated seconds since the clock was made."""
        return (time.monotonic() - self._began) * self.time_factor

    def hour(self) -> int:
        """Hour of the simulated day, UTC."""
        return int((self._began_ts + self.simulated_s()) % _DAY_S // 3600)

    async def sleep(self, simulated_s: float) -> None:
        """Waits in simulated time."""
        await asyncio.sleep(simulated_s / self.time_factor)

    async def wait(self, event: asyncio.Event, simulated_s: float) -> bool:
        """Waits for `event`, in simulated time at most; whether it came."""
        try:
            async with asyncio.timeout(max(simulated_s, 0) / self.time_factor):
                return await event.wait()
        except TimeoutError:
            return False

    async def pause(self, real_s: float) -> None:
        """Waits in real time."""
        await asyncio.sleep(real_s / self._protocol_factor)
