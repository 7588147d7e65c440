"""Secrets of charge points: made, hashed for the store, and checked. It keeps none and logs none.

OCPP 1.6 security whitepaper §3.1: the Basic password is the AuthorizationKey, 16 to 20 bytes, told to it in hex.
Some chargers send the bytes, some the hex digits; both are the same secret here.
"""

import asyncio
import hmac
import secrets
import string
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

from argon2.low_level import Type, hash_secret_raw

SECRET_CHARACTERS = 20
"""The longest AuthorizationKey there is; of letters and digits, 119 bits."""
THREADS = 2
"""How many slow checks run at once: 19 MiB each, and the loop must keep a core."""
REMEMBERED = 20_000
"""Slow secrets that were right, remembered by a fast hash: a fleet that comes back at once must not pay twice."""

_ALPHABET = string.ascii_letters + string.digits
_HEX_LENGTHS = range(32, 41, 2)
_SALT_BYTES = 16
_FAST, _SLOW = "blake2b", "argon2id"


def new_secret() -> str:
    """A secret that fits every charger: 20 letters and digits, or 40 hex digits when told as AuthorizationKey."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_CHARACTERS))


def hash_secret(secret: str | bytes, machine_made: bool) -> str:
    """What the store keeps of a secret. `machine_made`: random enough that a fast hash gives nothing away.

    A person's is hashed slowly (argon2id, tens of milliseconds and 19 MiB): not on the event loop.
    """
    scheme = _FAST if machine_made else _SLOW
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = _SCHEMES[scheme](_key(secret), salt)
    return "$".join((scheme, b64encode(salt).decode(), b64encode(digest).decode()))


def check_secret(secret: str | bytes, stored: str) -> bool:
    """Whether `secret` is the one that `stored` was made of; False for anything `hash_secret` did not make.

    As slow as `hash_secret` was. Takes the same time for a near miss as for any other.
    """
    scheme, _, rest = stored.partition("$")
    salt, _, digest = rest.partition("$")
    make = _SCHEMES.get(scheme)
    if make is None:
        return False
    try:
        expected = b64decode(digest, validate=True)
        return hmac.compare_digest(make(_key(secret), b64decode(salt, validate=True)), expected)
    except ValueError:  # no base64, or a salt of another length
        return False


def is_slow(stored: str) -> bool:
    """Whether `check_secret` takes so long that it belongs in a thread."""
    return stored.startswith(f"{_SLOW}$")


class SecretChecker:
    """Checks secrets for the event loop: machine-made ones at once, people's in threads of its own.

    A slow secret that was right is remembered by a keyed hash that lives as long as the process.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="wattspan-secret")
        self._process_key = secrets.token_bytes(32)
        self._right: OrderedDict[str, bytes] = OrderedDict()

    async def check(self, secret: bytes, stored: str) -> bool:
        """Whether it is the secret. Cancellation: safe; a check under way ends by itself, and its result is kept."""
        if self.check_quickly(secret, stored):
            return True
        if not is_slow(stored):
            return False
        digest = self._digest(secret)
        checked = asyncio.get_running_loop().run_in_executor(self._threads, check_secret, secret, stored)
        checked.add_done_callback(lambda done: self._remember(stored, digest, done))
        return await asyncio.shield(checked)

    def check_quickly(self, secret: bytes, stored: str) -> bool:
        """Whether it is known to be the secret without slow work."""
        if not is_slow(stored):
            return check_secret(secret, stored)
        known = self._right.get(stored)
        return known is not None and hmac.compare_digest(known, self._digest(secret))

    async def hash(self, secret: str) -> str:
        """`hash_secret` for a secret that a person chose."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, hash_secret, secret, False)

    def close(self) -> None:
        """Let go of what still waits."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _digest(self, secret: bytes) -> bytes:
        return blake2b(_key(secret), key=self._process_key, digest_size=32).digest()

    def _remember(self, stored: str, digest: bytes, done: "asyncio.Future[bool]") -> None:
        if done.cancelled() or done.exception() is not None or not done.result():
            return
        self._right[stored] = digest
        while len(self._right) > REMEMBERED:
            self._right.popitem(last=False)


def _key(secret: str | bytes) -> bytes:
    """The bytes of the key, whether they came as such or as hex digits."""
    raw = secret.encode("utf-8", "surrogateescape") if isinstance(secret, str) else secret
    if len(raw) in _HEX_LENGTHS:
        try:
            return bytes.fromhex(raw.decode("ascii"))
        except ValueError:
            return raw
    return raw


def _fast(key: bytes, salt: bytes) -> bytes:
    return blake2b(key, key=salt, digest_size=32).digest()


def _slow(key: bytes, salt: bytes) -> bytes:
    """OWASP's least parameters for argon2id."""
    if len(salt) != _SALT_BYTES:
        raise ValueError("no salt of ours")
    return hash_secret_raw(key, salt, time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, type=Type.ID)


_SCHEMES: dict[str, Callable[[bytes, bytes], bytes]] = {_FAST: _fast, _SLOW: _slow}
