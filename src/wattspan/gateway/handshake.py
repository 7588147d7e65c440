"""Who may connect: the path names the charge point, credentials prove it, the subprotocol names its version."""

import asyncio
import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote_to_bytes, urlsplit

from wattspan.csms.credentials import check_secret
from wattspan.errors import HandshakeRefused
from wattspan.store.store import Registration
from wattspan.versions import VERSIONS
from wattspan.versions.base import Version

PREFIXES = ("ws", "ocpp")
MAX_CP_ID = 255
"""Characters of an identity. OCPP allows 48 (2.x); longer ones are met, but not without end."""


class Credentials(Protocol):
    """The read of the store that a handshake needs. What it finds may be on file in another letter case."""

    async def credential(self, cp_id: str) -> Registration | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Whether a charge point that nobody registered may come in."""

    accepts_unknown: bool


def identity(target: str) -> str:
    """The charge point's id in a request target: `/ws/CP1`, `/CP1`, `/ocpp/CP1`, percent-encoded, or within a full URL.

    Raises:
        HandshakeRefused: 404; there is none, or it holds what no identity may.
    """
    path = urlsplit(target).path if "://" in target.split("?", 1)[0] else target.split("?", 1)[0]
    parts = [part for part in path.split("/") if part]
    if len(parts) == 2 and parts[0] in PREFIXES:  # noqa: PLR2004
        del parts[0]
    if len(parts) != 1 or parts[0] in PREFIXES:
        raise HandshakeRefused(404, "path", "the path is /ws/{cp_id}, /ocpp/{cp_id} or /{cp_id}")
    try:
        cp_id = unquote_to_bytes(parts[0]).decode()
    except UnicodeDecodeError:
        raise HandshakeRefused(404, "identity", "the identity is not UTF-8") from None
    if not cp_id.isprintable() or len(cp_id) > MAX_CP_ID or "/" in cp_id or not cp_id.strip():
        raise HandshakeRefused(404, "identity", "no such charge point")
    return cp_id


async def admit(cp_id: str, headers: Mapping[str, str], credentials: Credentials, policy: Policy) -> str:
    """Let a charge point in, or say why not. Returns the identity it has on file: its letters may be of another case.

    Raises:
        HandshakeRefused: 404 for an unknown one (OCPP-J 1.6 §3.2), 401 for credentials missing or wrong.
        StoreUnavailable: the store could not say.
    """
    known = await credentials.credential(cp_id)
    if (known is None or known.registered_ts is None) and not policy.accepts_unknown:
        raise HandshakeRefused(404, "unknown", "no such charge point")
    if known is None:
        return cp_id
    if known.secret is None:
        return known.cp_id
    given = _basic(headers.get("Authorization"))
    if given is None:
        raise HandshakeRefused(401, "credentials", "basic credentials are required")
    user, secret = given
    # The check may be slow on purpose (a person's password), so it runs off the loop.
    if user.casefold() != cp_id.casefold() or not await asyncio.to_thread(check_secret, secret, known.secret):
        raise HandshakeRefused(401, "credentials", "wrong credentials")
    return known.cp_id


def choose(offered: Sequence[str], default: str) -> tuple[Version | None, str | None]:
    """The version to speak and the subprotocol to name in the answer, by the client's order (OCPP-J 2.1 §3.1.2).

    Nothing offered: the `default` subprotocol's version, and no header. Nothing in common: (None, None); the handshake
    is completed without the header and the connection closed (OCPP-J 1.6 §3.2).
    """
    if not offered:
        return VERSIONS[default], None
    for name in offered:
        if name in VERSIONS:
            return VERSIONS[name], name
    return None, None


def _basic(header: str | None) -> tuple[str, bytes] | None:
    """User and password of an Authorization header (RFC 7617). The password as bytes: a key may be any."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, secret = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):  # ValueError: not even ASCII
        return None
    return (user.decode(errors="replace"), secret) if colon else None
