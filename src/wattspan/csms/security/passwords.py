"""Hashes and verifies the passwords of people in its own threads. It keeps none and logs none."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from wattspan.csms.security.credentials import new_secret
from wattspan.csms.security.hashing import UNMATCHED, hash_fast, hash_slow, is_slow, verify
from wattspan.errors import Overloaded

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

THREADS = 2
"""Hashes at a time: each takes 19 MiB and some 20 ms."""
MAX_WAITING = 64
"""Hashes that may wait, so that neither memory nor waiting times grow without bound."""
RETRY_AFTER_S = 2


class Passwords:
    """Hashes and verifies off the event loop. Call `close` when done."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="wattspan-password")
        self._waiting = 0

    def close(self) -> None:
        """Drop the work that has not begun, and end the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """Return what the store keeps of a password. Raises Overloaded."""
        return await self._run(hash_slow, password.encode())

    async def verify(self, password: str, stored: str | None) -> bool:
        """Return whether `stored` was made of `password`. None, for no such user, takes as long. Raises Overloaded."""
        return await self._run(_verify, password.encode(), stored or UNMATCHED)

    async def _run(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        if self._waiting >= MAX_WAITING:
            raise Overloaded("too many logins at once", RETRY_AFTER_S)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1


def generate_password() -> tuple[str, str]:
    """Return a new random password, and what the store keeps of it: random enough for the fast hash."""
    password = new_secret()
    return password, hash_fast(password.encode())


def _verify(password: bytes, stored: str) -> bool:
    if not is_slow(stored):
        verify(password, UNMATCHED)  # takes as long as any other, so that nobody learns that it was never changed
    return verify(password, stored)
