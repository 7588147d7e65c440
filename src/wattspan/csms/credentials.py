"""Secrets of charge points: made, hashed for the store, and checked. It keeps none and logs none.

OCPP 1.6 security whitepaper §3.1: the Basic password is the AuthorizationKey, 16 to 20 bytes, told to it in hex.
Some chargers send the bytes, some the hex digits; both are the same secret here.
"""

import hmac
import secrets
import string
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import blake2b, scrypt

SECRET_CHARACTERS = 20
"""The longest AuthorizationKey there is; of letters and digits, 119 bits."""

_ALPHABET = string.ascii_letters + string.digits
_HEX_LENGTHS = range(32, 41, 2)
_SALT_BYTES = 16


def new_secret() -> str:
    """A secret that fits every charger: 20 letters and digits, or 40 hex digits when told as AuthorizationKey."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_CHARACTERS))


def hash_secret(secret: str | bytes, machine_made: bool) -> str:
    """What the store keeps of a secret. `machine_made`: random enough that a fast hash gives nothing away.

    A person's is hashed slowly (scrypt, tens of milliseconds and 16 MiB): not on the event loop.
    """
    scheme = "blake2b" if machine_made else "scrypt"
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
    return stored.startswith("scrypt$")


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
    return scrypt(key, salt=salt, n=2**14, r=8, p=1, dklen=32)


_SCHEMES: dict[str, Callable[[bytes, bytes], bytes]] = {"blake2b": _fast, "scrypt": _slow}
