"""Who may read a port: bearer token or basic credentials. It owns the check of one header and knows no routes."""

import hashlib
import hmac
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from typing import Self

from pydantic import SecretStr

from wattspan.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The credentials that a port accepts. With neither a token nor a password, everybody may read."""

    token: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the credentials of the metrics port as the settings name them."""
        return cls(
            token=_revealed(settings.metrics_token),
            user=settings.metrics_user,
            password=_revealed(settings.metrics_password),
        )

    @property
    def challenge(self) -> str:
        """The WWW-Authenticate header of a 401 (RFC 9110 §11.6.1); empty when everybody may read."""
        schemes = {"Bearer": self.token, "Basic": self.password}
        return ", ".join(f'{scheme} realm="wattspan"' for scheme, secret in schemes.items() if secret is not None)

    def allows(self, authorization: str) -> bool:
        """Return whether this Authorization header grants access, in a time that does not depend on the secret."""
        if not self.challenge:
            return True
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "bearer" and self.token is not None:
            return _same(given.strip().encode(), self.token.encode())
        if scheme.lower() == "basic" and self.password is not None:
            try:
                sent = b64decode(given.strip(), validate=True)
            except (Base64Error, ValueError):
                return False
            return _same(sent, f"{self.user or ''}:{self.password}".encode())
        return False


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _same(given: bytes, expected: bytes) -> bool:
    # Digests have one length, so the comparison does not reveal the length of the secret either.
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(expected).digest())
