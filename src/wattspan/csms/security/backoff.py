"""Back-off after failed attempts, and what counts as one source. In memory and bounded; a restart forgets.

It must not know what is attempted: handshakes of charge points and logins of people use it alike.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

MAX_DOUBLINGS = 10


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last_s: float = 0.0
    locked_until_s: float = 0.0


class Backoff(Generic[K]):
    """Locks a key after `free` failures, from then on for twice as long with each further failure.

    The first lock lasts `first_s`, the longest `longest_s`. A key starts afresh after `forget_s` without failures. At
    most `max_keys` keys are kept; the least recent failure is forgotten first. Times are of a monotonic clock.
    """

    def __init__(self, *, free: int, first_s: float, longest_s: float, forget_s: float, max_keys: int) -> None:
        self._free = free
        self._first_s = first_s
        self._longest_s = longest_s
        self._forget_s = forget_s
        self._max_keys = max_keys
        self._failures: OrderedDict[K, _Failures] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys have failures."""
        return len(self._failures)

    def wait_s(self, key: K, now_s: float) -> float:
        """Return for how many seconds the key is still locked; 0 if it is not."""
        found = self._failures.get(key)
        return 0.0 if found is None else max(0.0, found.locked_until_s - now_s)

    def failed(self, key: K, now_s: float) -> bool:
        """Record a failure. Returns whether it locked the key."""
        found = self._failures.pop(key, None)
        if found is None or now_s - found.last_s > self._forget_s:
            found = _Failures()
        found.count += 1
        found.last_s = now_s
        locks = found.count >= self._free
        if locks:
            doublings = min(found.count - self._free, MAX_DOUBLINGS)
            found.locked_until_s = now_s + min(self._longest_s, self._first_s * 2.0**doublings)
        self._failures[key] = found
        while len(self._failures) > self._max_keys:
            self._failures.popitem(last=False)
        return locks

    def forget(self, key: K) -> None:
        """Drop the failures of a key."""
        self._failures.pop(key, None)


def source_network(address: str) -> str:
    """Return the source an address counts as: IPv4 itself, of IPv6 its /64, which one subscriber has to himself.

    A text that is no address is its own source.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped is not None else str(ipaddress.ip_network((parsed, 64), strict=False))
