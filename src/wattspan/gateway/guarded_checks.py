"""Checks of secrets that people chose, for sources that failed too often: few and slow, but never none.

A charger with the right secret may share its address with whoever guesses, so it must get its turn. It knows no
credentials: a check is a function that it calls.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

PAUSE_S = 1.0
"""Time that a wrong secret costs its source: guesses from there are no faster than one in so many seconds."""
MAX_WAITING_OF_IDENTITY = 4
MAX_WAITING = 16
"""Checks of one source that may wait."""


class GuardedChecks:
    """One check at a time for each source, with a pause after a wrong one."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, Counter[str]] = {}

    async def check(self, source: str, identity: str, check: Callable[[], Awaitable[bool]]) -> bool | None:
        """Return the result of `check`, or None if too many wait. A result of False comes after PAUSE_S.

        Cancellation: safe.
        """
        waiting = self._waiting.setdefault(source, Counter())
        if waiting[identity] >= MAX_WAITING_OF_IDENTITY or waiting.total() >= MAX_WAITING:
            return None
        waiting[identity] += 1
        try:
            async with self._locks.setdefault(source, asyncio.Lock()):
                right = await check()
                if not right:
                    await asyncio.sleep(PAUSE_S)
                return right
        finally:
            waiting[identity] -= 1
            if not waiting.total():
                self._waiting.pop(source, None)
                self._locks.pop(source, None)
