"""The opening handshake: identity from the path, authentication, and the OCPP version from the subprotocol."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote_to_bytes, urlsplit

from websockets.datastructures import Headers

from wattspan.csms.security.credentials import SecretChecker, is_slow
from wattspan.csms.security.profiles import proven
from wattspan.errors import HandshakeRefused
from wattspan.gateway.certificates import PeerCertificate, Revocations
from wattspan.gateway.guarded_checks import GuardedChecks
from wattspan.gateway.ocsp import PAUSE_S, OcspClient, Status
from wattspan.gateway.throttle import Hold, Throttle
from wattspan.settings import Settings
from wattspan.store.records import NOW, PendingSecret, Registration
from wattspan.versions import VERSIONS
from wattspan.versions.base import Version

PREFIXES = ("ws", "ocpp")
MAX_CP_ID = 255
"""Longest identity accepted, in characters. OCPP 2.x allows 48, but longer ones are in use."""
_SUSPICIOUS = frozenset(
    {"unknown", "credentials", "certificate_of_another", "certificate_organization", "certificate_revoked"}
)
"""Reasons of a refusal that may mean somebody is guessing credentials."""


class Credentials(Protocol):
    """The store queries that a handshake needs. A registration may be found in another letter case."""

    async def credential(self, cp_id: str) -> Registration | None: ...
    async def is_rejected(self, cp_id: str) -> bool: ...
    async def confirm_secret(self, cp_id: str, stored: str, until_ts: float) -> None: ...
    async def set_profile(self, cp_id: str, former: int | None, values: Mapping[str, int | bool | None]) -> None: ...
    async def adopt_secret(self, cp_id: str, stored: str) -> None: ...
    async def end_pending_secrets(self, cp_id: str, ended: Sequence[PendingSecret]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionAttempt:
    """A charge point that asks to connect.

    `source` is the network address that limits apply to. `certificate` is verified, but may belong to somebody else;
    `certificate_der` is the whole of it.
    """

    cp_id: str
    source: str
    authorization: str | None
    tls: bool
    certificate: PeerCertificate | None
    certificate_der: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A charge point that may connect, and its security profile. `pending`: it has to wait for approval.

    `proven`: columns to change once it is connected, because of its profile; `required`: the profile it needed.
    `owner`: the node of a cluster that owned it, and the owner epoch, when the handshake began; None: it was unknown.
    """

    cp_id: str
    profile: int
    certificate: PeerCertificate | None = None
    pending: bool = False
    proven: Mapping[str, int | bool | None] = field(default_factory=dict)
    required: int | None = None
    owner: tuple[str | None, int] | None = None


def identity(target: str) -> str:
    """Return the charge point's id from a request target: /ws/CP1, /CP1, /ocpp/CP1, percent-encoded, or a full URL.

    Raises:
        HandshakeRefused: 404; the target has no identity, or one with characters that no identity may have.
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


def is_browser(headers: Headers) -> bool:
    """Return whether a browser sent the request: a page of another site can open WebSockets from inside a network.

    Origin says nothing, because libraries that chargers use send it, too.
    """
    agents = headers.get_all("User-Agent")
    return any("Mozilla/" in agent for agent in agents) or any(
        name.lower().startswith("sec-fetch-") for name in headers
    )


class HandshakeAuthenticator:
    """Authenticates charge points by security profile (OCPP 1.6 security whitepaper §2, 2.0.1 Part 2 A00)."""

    def __init__(
        self,
        credentials: Credentials,
        settings: Settings,
        *,
        throttle: Throttle,
        checker: SecretChecker,
        revocations: Callable[[], Revocations | None],
        ocsp: OcspClient | None,
        clock: Callable[[], float],
    ) -> None:
        self._credentials = credentials
        self._policy = settings.charge_point_policy
        self._least = settings.min_security_profile
        self._cpo_name = settings.cpo_name
        self._grace_s = settings.credential_grace_s
        self._throttle = throttle
        self._checker = checker
        self._guarded = GuardedChecks()
        self._revocations = revocations
        self._ocsp = ocsp
        self._ocsp_required = settings.tls_client_ocsp == "hard"
        self._clock = clock

    async def admit(self, attempt: ConnectionAttempt) -> Admitted:
        """Return the charge point as admitted.

        After too many failures, certificates and secrets are still checked, so that the right ones get in. Wrong ones
        are answered with 429, and secrets that people chose are checked no faster than `GuardedChecks` allows.

        Raises:
            HandshakeRefused: 404 for an unknown one (OCPP-J 1.6 §3.2), 401 for missing or wrong credentials, 403 for
                another charge point's certificate or a security profile that is too low, 429 after too many failures.
            StoreUnavailable: the store can't be read.
        """
        who = attempt.cp_id.casefold()  # otherwise each spelling of the identity would allow new guesses
        hold, wait_s = self._throttle.hold(attempt.source, who)
        guarded_s = None if hold is Hold.NOT else wait_s
        try:
            admitted = await self._judge(attempt, guarded_s)
        except HandshakeRefused as refusal:
            if refusal.reason in _SUSPICIOUS:
                self._throttle.failed(attempt.source, who)
            if guarded_s is not None and refusal.reason == "credentials":
                raise _later(guarded_s) from refusal
            raise
        if admitted.profile:
            self._throttle.succeeded(attempt.source, who)
        return admitted

    async def _judge(self, attempt: ConnectionAttempt, guarded_s: float | None) -> Admitted:
        """`guarded_s`: seconds for which the source is slowed down, or None if it is not."""
        known = await self._credentials.credential(attempt.cp_id)
        is_known = known is not None and known.registered_ts is not None
        if not is_known:
            await self._unknown(attempt, guarded_s)
        required = max(self._least, (known.security_profile if known is not None else None) or 0)
        if _strongest(attempt) < required:
            raise HandshakeRefused(403, "profile", f"security profile {required} is required here")
        pending = not is_known and self._policy == "pending"
        if attempt.certificate is not None:
            self._check_certificate(attempt, known, attempt.certificate)
            await self._check_online(attempt)
            profile = 3
        elif pending or (required == 0 and not await self._has_secret(attempt, known, guarded_s)):
            profile = 0
        else:
            await self._check_secret(attempt, known, guarded_s)
            profile = 2 if attempt.tls else 1
        cp_id = attempt.cp_id if known is None else known.cp_id
        return Admitted(
            cp_id=cp_id,
            profile=profile,
            certificate=attempt.certificate,
            pending=pending,
            proven={} if pending else proven(known, profile),
            required=None if known is None else known.security_profile,
            owner=None if known is None else (known.owner, known.owner_epoch),
        )

    async def _unknown(self, attempt: ConnectionAttempt, guarded_s: float | None) -> None:
        """Refuse an unregistered charge point unless the policy accepts it."""
        if self._policy == "accept":
            return
        if guarded_s is not None:
            raise _later(guarded_s)
        if self._policy == "reject":
            raise HandshakeRefused(404, "unknown", "no such charge point")
        if await self._credentials.is_rejected(attempt.cp_id):
            raise HandshakeRefused(404, "rejected", "no such charge point")

    def _check_certificate(
        self, attempt: ConnectionAttempt, known: Registration | None, certificate: PeerCertificate
    ) -> None:
        own = {attempt.cp_id} if known is None else {attempt.cp_id, known.cp_id, known.registered_serial} - {""}
        if not own & certificate.names:
            raise HandshakeRefused(403, "certificate_of_another", "the client certificate is not this charge point's")
        if self._cpo_name is not None and self._cpo_name not in certificate.organizations:
            raise HandshakeRefused(403, "certificate_organization", "the client certificate is of another organization")
        revocations = self._revocations()
        if revocations is not None and certificate in revocations:
            raise HandshakeRefused(403, "certificate_revoked", "the client certificate was revoked")

    async def _check_online(self, attempt: ConnectionAttempt) -> None:
        """Refuse a certificate that its OCSP responder reports as revoked or, if required, does not vouch for."""
        status = Status.NOT_ASKED
        if self._ocsp is not None:
            der = attempt.certificate_der
            status = await self._ocsp.status(der) if der else Status.UNKNOWN
        if status is Status.REVOKED:
            raise HandshakeRefused(403, "certificate_revoked", "the client certificate was revoked")
        if status is Status.UNKNOWN and self._ocsp_required:
            text = "the client certificate can't be checked for revocation now"
            raise HandshakeRefused(503, "ocsp", text, retry_after_s=PAUSE_S)

    async def _check_secret(
        self, attempt: ConnectionAttempt, known: Registration | None, guarded_s: float | None
    ) -> None:
        given = _basic(attempt.authorization)
        if given is None:
            raise HandshakeRefused(401, "credentials", "basic credentials are required")
        user, secret = given
        if known is not None and user.casefold() == attempt.cp_id.casefold():
            used = await self._match(attempt, secret, self._valid(known), guarded_s)
            if used is not None:
                await self._secret_used(known, used)
                return
        raise HandshakeRefused(401, "credentials", "wrong credentials")

    async def _has_secret(
        self, attempt: ConnectionAttempt, known: Registration | None, guarded_s: float | None
    ) -> bool:
        """Return whether a secret has to be checked.

        A first secret that the charge point may not have is not required: until then, none was checked.
        """
        if known is None or known.secret is not None:
            return known is not None
        given = _basic(attempt.authorization)
        expected = self._valid(known)
        return (
            bool(expected)
            and given is not None
            and await self._match(attempt, given[1], expected, guarded_s) is not None
        )

    def _valid(self, known: Registration) -> list[str]:
        """Return the hashes of the secrets that are accepted, the most probable first."""
        ends_ts = known.other_until_ts
        other = known.other_secret if ends_ts is None or self._clock() < ends_ts else None
        pending = [each.secret for each in reversed(known.pending)]
        return [each for each in (known.secret, other, *pending) if each is not None]

    async def _match(
        self, attempt: ConnectionAttempt, secret: bytes, valid: Sequence[str], guarded_s: float | None
    ) -> str | None:
        """Return the hash that the secret belongs to, or None."""
        for stored in valid:
            if self._checker.check_quickly(secret, stored):
                return stored
        slow = [stored for stored in valid if is_slow(stored)]
        found: str | None = None

        async def check() -> bool:
            nonlocal found
            for stored in slow:
                if await self._checker.check(secret, stored):
                    found = stored
                    return True
            return False

        if not slow or guarded_s is None:
            await check()
        elif await self._guarded.check(attempt.source, attempt.cp_id.casefold(), check) is None:
            raise _later(guarded_s)
        return found

    async def _secret_used(self, known: Registration, used: str) -> None:
        """Store what the use of a secret proves: which of several the charge point has."""
        if any(each.secret == used for each in known.pending):
            await self._credentials.adopt_secret(known.cp_id, used)
            return
        if used == known.other_secret and known.other_until_ts is None:
            await self._credentials.confirm_secret(known.cp_id, used, self._clock() + self._grace_s)
            return
        ended = [each for each in known.pending if each.when == NOW]
        if ended:
            await self._credentials.end_pending_secrets(known.cp_id, ended)


def _strongest(attempt: ConnectionAttempt) -> int:
    """Return the highest security profile that the connection can have."""
    if attempt.certificate is not None:
        return 3
    return 2 if attempt.tls else 1


def _later(wait_s: float) -> HandshakeRefused:
    return HandshakeRefused(429, "throttled", "too many failed attempts", retry_after_s=wait_s)


def choose(offered: Sequence[str], default: str) -> tuple[Version | None, str | None]:
    """Return the OCPP version and the subprotocol header of the response, by the client's order (OCPP-J 2.1 §3.1.2).

    Nothing offered: the version of the `default` subprotocol and no header. Nothing in common: (None, None); the
    handshake is completed without the header and the connection closed (OCPP-J 1.6 §3.2).
    """
    if not offered:
        return VERSIONS[default], None
    for name in offered:
        if name in VERSIONS:
            return VERSIONS[name], name
    return None, None


def _basic(header: str | None) -> tuple[str, bytes] | None:
    """Return user and password of an Authorization header (RFC 7617), or None. Keys may be binary, so it is bytes."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, secret = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return None
    return (user.decode(errors="replace"), secret) if colon else None
