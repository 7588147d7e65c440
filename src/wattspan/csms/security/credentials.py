"""Makes the secrets of charge points, and checks them. It keeps none and logs none.

OCPP 1.6 security whitepaper §3.1: the Basic password is the AuthorizationKey, 16 to 20 bytes, configured in hex. Some
charge points send the bytes, some the hex digits; both are the same secret here.
"""

import asyncio
import hmac
import secrets
import string
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

from wattspan.csms.security.hashing import hash_fast, hash_slow, is_slow, verify

SECRET_CHARACTERS = 20
"""The length of the longest AuthorizationKey; as letters and digits it has 119 bits."""
THREADS = 2
"""How many slow checks run at once: 19 MiB each, and the event loop needs a core."""
MAX_REMEMBERED = 20_000
"""Slow secrets that were right, remembered by a fast hash, so that a fleet that reconnects at once is not slow."""

_ALPHABET = string.ascii_letters + string.digits
_HEX_LENGTHS = range(32, 41, 2)


def new_secret() -> str:
    """Return a secret that every charge point takes: 20 letters and digits, or 40 hex digits as AuthorizationKey."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_CHARACTERS))


def hash_secret(secret: str | bytes, machine_made: bool) -> str:
    """Return what the store keeps of a secret. `machine_made`: it is random enough for a fast hash.

    A person's is hashed slowly (argon2id, tens of milliseconds and 19 MiB): not on the event loop.
    """
    return hash_fast(_key(secret)) if machine_made else hash_slow(_key(secret))


def readings_of(value: str) -> list[bytes]:
    """Return the passwords that a charge point may use after this value was configured, as bytes.

    Hex digits of the right length are one secret (see above). Hex digits of another length may be text or bytes.
    """
    raw = value.encode("utf-8", "surrogateescape")
    if len(raw) in _HEX_LENGTHS:
        return [raw]
    try:
        decoded = bytes.fromhex(value) if " " not in value else b""
    except ValueError:
        return [raw]
    return [raw, decoded] if decoded else [raw]


def check_secret(secret: str | bytes, stored: str) -> bool:
    """Return whether `stored` was made of `secret`; False for anything that `hash_secret` did not make.

    Takes as long as `hash_secret` did, and the same time for every wrong secret.
    """
    return verify(_key(secret), stored)


class SecretChecker:
    """Checks secrets for the event loop: machine-made ones at once, people's in its own threads.

    A slow secret that was right is remembered by a keyed hash for the life of the process.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="wattspan-secret")
        self._process_key = secrets.token_bytes(32)
        self._right: OrderedDict[str, bytes] = OrderedDict()

    async def check(self, secret: bytes, stored: str) -> bool:
        """Return whether it is the secret. Cancellation: safe; a check in progress finishes, and its result is kept."""
        if self.check_quickly(secret, stored):
            return True
        if not is_slow(stored):
            return False
        digest = self._digest(secret)
        checked = asyncio.get_running_loop().run_in_executor(self._threads, check_secret, secret, stored)
        checked.add_done_callback(lambda done: self._remember(stored, digest, done))
        return await asyncio.shield(checked)

    def check_quickly(self, secret: bytes, stored: str) -> bool:
        """Return whether it is the secret, as far as that is known without slow work."""
        if not is_slow(stored):
            return check_secret(secret, stored)
        known = self._right.get(stored)
        return known is not None and hmac.compare_digest(known, self._digest(secret))

    async def hash(self, secret: str) -> str:
        """Return the hash of a secret that a person chose."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, hash_secret, secret, False)

    def close(self) -> None:
        """Drop the checks that have not begun, and end the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _digest(self, secret: bytes) -> bytes:
        return blake2b(_key(secret), key=self._process_key, digest_size=32).digest()

    def _remember(self, stored: str, digest: bytes, done: "asyncio.Future[bool]") -> None:
        if done.cancelled() or done.exception() is not None or not done.result():
            return
        self._right[stored] = digest
        while len(self._right) > MAX_REMEMBERED:
            self._right.popitem(last=False)


def _key(secret: str | bytes) -> bytes:
    """Return the bytes of a key, which may be given as hex digits."""
    raw = secret.encode("utf-8", "surrogateescape") if isinstance(secret, str) else secret
    if len(raw) in _HEX_LENGTHS:
        try:
            return bytes.fromhex(raw.decode("ascii"))
        except ValueError:
            return raw
    return raw


__all__ = ["SecretChecker", "check_secret", "hash_secret", "is_slow", "new_secret", "readings_of"]
