"""The two times of a simulation: real time, and the faster simulated time of cars and drivers.

It owns both and the waits in them. It must not know what they are used for.
"""

import asyncio
import time
from collections.abc import Callable

_DAY_S = 86_400


class Clock:
    """Reads both times and waits in them.

    `time_factor` is the number of simulated seconds in a real second. `protocol_factor` speeds up the waits of the
    protocol (back-off, heartbeats) in the same way; values other than 1 are for tests.
    """

    def __init__(
        self, *, time_factor: float = 1.0, protocol_factor: float = 1.0, now_ts: Callable[[], float] = time.time
    ) -> None:
        self.time_factor = time_factor
        self._protocol_factor = protocol_factor
        self.now_ts = now_ts
        """Returns real Unix seconds."""
        self._started_ts = now_ts()
        self._started_at_s = time.monotonic()

    def simulated_s(self) -> float:
        """Return the simulated seconds since the clock was created."""
        return (time.monotonic() - self._started_at_s) * self.time_factor

    def ahead_s(self, since_s: float) -> float:
        """Return by how many seconds simulated time has got ahead of real time since a simulated time."""
        elapsed_s = self.simulated_s() - since_s
        return elapsed_s - elapsed_s / self.time_factor

    def hour(self) -> int:
        """Return the hour of the simulated day, 0 to 23, UTC."""
        return int((self._started_ts + self.simulated_s()) % _DAY_S // 3600)

    async def sleep(self, simulated_s: float) -> None:
        """Wait for `simulated_s` simulated seconds."""
        await asyncio.sleep(simulated_s / self.time_factor)

    async def wait(self, event: asyncio.Event, simulated_s: float) -> bool:
        """Wait for `event`, at most `simulated_s` simulated seconds, and return whether it is set."""
        try:
            async with asyncio.timeout(max(simulated_s, 0) / self.time_factor):
                return await event.wait()
        except TimeoutError:
            return False

    async def pause(self, real_s: float) -> None:
        """Wait for `real_s` real seconds."""
        await asyncio.sleep(real_s / self._protocol_factor)
