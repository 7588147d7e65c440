"""Id tokens are personal data: telemetry shows a keyed hash of them, or nothing (design decision 11).

The key is the caller's to keep. Without one it is random and lives as long as the process: sessions of one token are
found together, and after a restart nobody can tell whose they were.
"""

import secrets
from hashlib import blake2b

KEY_BYTES = 32
HASH_BYTES = 8


class TokenHash:
    """Hashes id tokens under one key. `key` None: random, for this process alone."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(KEY_BYTES)

    def __call__(self, token: str) -> str:
        """16 hexadecimal digits, the same in whatever case the token is sent (OCPP 1.6 §7.28: a CiString)."""
        return blake2b(token.casefold().encode(errors="replace"), key=self._key, digest_size=HASH_BYTES).hexdigest()
