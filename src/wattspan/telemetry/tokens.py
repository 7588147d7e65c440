"""Hashes id tokens, which are personal data: telemetry has no more of them (docs/adr/0012-founding-decisions.md#11).

The caller keeps the key. Without one, a random key lives as long as the process: sessions of one token can be found
together, and after a restart the hashes are different.
"""

import secrets
from hashlib import blake2b

KEY_BYTES = 32
HASH_BYTES = 8


class TokenHash:
    """Hashes id tokens with one key. `key` None: a random key for this process alone."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(KEY_BYTES)

    def __call__(self, token: str) -> str:
        """Return 16 hexadecimal digits, the same for every letter case (OCPP 1.6 §7.28: a CiString)."""
        return blake2b(token.casefold().encode(errors="replace"), key=self._key, digest_size=HASH_BYTES).hexdigest()
