"""Passwords of people: argon2id, in threads of their own. It keeps none, logs none, and hashes one a thread.

The first admin's generated password is random enough for the fast hash that machines' secrets have (csms.credentials).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from wattspan.api.problems import Problem
from wattspan.csms.security.credentials import check_secret, hash_secret, new_secret

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

THREADS = 2
"""Hashes at a time: each takes 19 MiB and some 20 ms."""
WAITING = 64
"""Hashes that may wait; whoever comes after is told to come again, or memory and patience would have no end."""

_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)
"""OWASP's parameters for argon2id."""
_NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"""Checked against for a name that nobody has, so that the time taken does not tell."""


class Passwords:
    """Hashes and checks off the loop. `close` when done."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="wattspan-password")
        self._waiting = 0

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """What the store keeps of a password."""
        return await self._run(_hash, password)

    async def check(self, password: str, stored: str | None) -> bool:
        """Whether `password` is the one `stored` was made of; None: nobody's, which takes as long."""
        return await self._run(_check, password, stored or _NOBODYS)

    async def _run(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        if self._waiting >= WAITING:
            raise Problem(503, "too many people log in at once", kind="busy", headers={"Retry-After": "2"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1


def generated() -> tuple[str, str]:
    """A password made here, and what the store keeps of it."""
    password = new_secret()
    return password, hash_secret(password, machine_made=True)


def _hash(password: str) -> str:
    return _HASHER.hash(password)


def _check(password: str, stored: str) -> bool:
    if not stored.startswith("$argon2"):
        _check(password, _NOBODYS)  # takes as long as any other, so that nobody learns that it was never changed
        return check_secret(password, stored)
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
