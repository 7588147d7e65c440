"""One-way hashes of secrets: what the store keeps of passwords and keys, and how they are verified.

Two schemes: BLAKE2b for secrets that a machine made, argon2id (OWASP's parameters: 19 MiB, two passes) for those that a
person chose. argon2id hashes are PHC strings; `argon2id$salt$digest`, an earlier format, is still verified.
"""

import hmac
import secrets
from base64 import b64decode, b64encode
from hashlib import blake2b

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import hash_secret_raw

_SALT_BYTES = 16
_DIGEST_BYTES = 32
_TIME_COST, _MEMORY_KIB, _LANES = 2, 19 * 1024, 1
_ARGON2 = PasswordHasher(
    time_cost=_TIME_COST,
    memory_cost=_MEMORY_KIB,
    parallelism=_LANES,
    hash_len=_DIGEST_BYTES,
    salt_len=_SALT_BYTES,
    type=Type.ID,
)
_FAST, _PHC, _EARLIER = "blake2b$", "$argon2", "argon2id$"

UNMATCHED = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"""A slow hash that no secret matches: verifying it takes as long as verifying a person's password."""


def hash_fast(secret: bytes) -> str:
    """Return a salted BLAKE2b hash, for a secret random enough that no guess can find it."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"{_FAST}{b64encode(salt).decode()}${b64encode(_blake2b(secret, salt)).decode()}"


def hash_slow(secret: bytes) -> str:
    """Return an argon2id hash, for a secret that a person chose. Takes some 20 ms and 19 MiB: not on the event loop."""
    return _ARGON2.hash(secret)


def is_slow(stored: str) -> bool:
    """Return whether verifying takes so long that it belongs in a thread."""
    return stored.startswith((_PHC, _EARLIER))


def verify(secret: bytes, stored: str) -> bool:
    """Return whether `stored` was made of `secret`; False for anything that was not made here.

    Takes as long as making the hash did, and the same time for every wrong secret.
    """
    if stored.startswith(_PHC):
        try:
            return _ARGON2.verify(stored, secret)
        except (VerificationError, InvalidHashError):
            return False
    scheme, _, rest = stored.partition("$")
    salt_text, _, digest_text = rest.partition("$")
    try:
        salt, digest = b64decode(salt_text, validate=True), b64decode(digest_text, validate=True)
        if len(salt) != _SALT_BYTES:
            return False
        if f"{scheme}$" == _FAST:
            return hmac.compare_digest(_blake2b(secret, salt), digest)
        return f"{scheme}$" == _EARLIER and hmac.compare_digest(_earlier_argon2(secret, salt), digest)
    except ValueError:  # not base64
        return False


def _blake2b(secret: bytes, salt: bytes) -> bytes:
    return blake2b(secret, key=salt, digest_size=_DIGEST_BYTES).digest()


def _earlier_argon2(secret: bytes, salt: bytes) -> bytes:
    return hash_secret_raw(
        secret,
        salt,
        time_cost=_TIME_COST,
        memory_cost=_MEMORY_KIB,
        parallelism=_LANES,
        hash_len=_DIGEST_BYTES,
        type=Type.ID,
    )
