"""Asks the OCSP responder that a client certificate names whether it was revoked (RFC 6960). It refuses nobody.

The responder's address is in the certificate, which one of the configured authorities signed. Answers are kept in
memory, with bounded size. It must not know handshakes.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from hashlib import sha256
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

OCSP_TIMEOUT_S = 5.0
"""Seconds for one question, the connection included: the charger waits for its handshake."""
MAX_RESPONSE_BYTES = 64 << 10
MAX_KEPT = 10_000
"""Answers that are kept."""
KEPT_S = 3600.0
"""Longest time that an answer is kept, in seconds: a revocation must take effect."""
PAUSE_S = 30.0
"""Seconds for which a responder that failed is not asked again, because a whole fleet may reconnect."""
_CLOCK_SKEW = timedelta(minutes=5)
_MAX_AGE = timedelta(days=7)
"""Age of an answer without nextUpdate from which it is no proof."""


class Status(Enum):
    """What is known about a certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "the responder does not know it, or does not answer"
    NOT_ASKED = "the certificate names no responder"


class OcspClient:
    """Asks for the status of client certificates. `clock` returns Unix seconds. Call `close` when done."""

    def __init__(self, authorities: Callable[[], Sequence[Path]], clock: Callable[[], float]) -> None:
        self._authorities = authorities
        self._clock = clock
        self._http: httpx.AsyncClient | None = None
        self._kept: OrderedDict[bytes, tuple[float, Status]] = OrderedDict()
        self._failed_ts: dict[str, float] = {}

    async def close(self) -> None:
        """Close the connections to responders."""
        if self._http is not None:
            await self._http.aclose()

    async def status(self, der: bytes) -> Status:
        """Return the status of a certificate that TLS has verified. Takes at most OCSP_TIMEOUT_S. Never raises."""
        now_ts = self._clock()
        key = sha256(der).digest()
        kept = self._kept.get(key)
        if kept is not None and now_ts < kept[0]:
            return kept[1]
        certificate = x509.load_der_x509_certificate(der)
        url = _responder(certificate)
        if url is None:
            return Status.NOT_ASKED
        if now_ts - self._failed_ts.get(url, -PAUSE_S) < PAUSE_S:
            return Status.UNKNOWN
        try:
            async with asyncio.timeout(OCSP_TIMEOUT_S):
                status, until_ts = await self._ask(certificate, url, now_ts)
        except (TimeoutError, OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as exc:
            self._failed_ts = {each: ts for each, ts in self._failed_ts.items() if now_ts - ts < PAUSE_S}
            self._failed_ts[url] = now_ts
            limited(log, logging.WARNING, "ocsp", "OCSP responder %s: %s", url, str(exc) or type(exc).__name__)
            return Status.UNKNOWN
        self._kept[key] = (now_ts + PAUSE_S if status is Status.UNKNOWN else until_ts), status
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return status

    async def _ask(self, certificate: x509.Certificate, url: str, now_ts: float) -> tuple[Status, float]:
        """Return the status and until when it is valid. Raises ValueError for an answer that proves nothing."""
        issuer = await asyncio.to_thread(_issuer, certificate, self._authorities())
        # Every responder knows SHA-1 (RFC 5019 §2.1.1). It only identifies the issuer; nothing is signed with it.
        digest = hashes.SHA1()  # noqa: S303  # nosec B303
        request = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, digest).build()
        content = await self._post(url, request.public_bytes(serialization.Encoding.DER))
        response = ocsp.load_der_ocsp_response(content)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise ValueError(f"answered {response.response_status.name}")
        own = (request.serial_number, request.issuer_name_hash, request.issuer_key_hash)
        if (response.serial_number, response.issuer_name_hash, response.issuer_key_hash) != own:
            raise ValueError("the answer is about another certificate")
        _verify(response, issuer)
        until = _valid_until(response, datetime.fromtimestamp(now_ts, UTC))
        status = {ocsp.OCSPCertStatus.GOOD: Status.GOOD, ocsp.OCSPCertStatus.REVOKED: Status.REVOKED}
        return status.get(response.certificate_status, Status.UNKNOWN), min(until.timestamp(), now_ts + KEPT_S)

    async def _post(self, url: str, body: bytes) -> bytes:
        if self._http is None:
            self._http = httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=OCSP_TIMEOUT_S)
        headers = {"Content-Type": "application/ocsp-request", "Accept-Encoding": "identity"}
        content = bytearray()
        async with self._http.stream("POST", url, content=body, headers=headers) as answer:
            answer.raise_for_status()
            async for part in answer.aiter_raw():
                content += part
                if len(content) > MAX_RESPONSE_BYTES:
                    raise ValueError("the answer is too long")
        return bytes(content)


def _responder(certificate: x509.Certificate) -> str | None:
    """Return the first HTTP address of a responder that the certificate names, or None."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    places = [each.access_location for each in access if each.access_method == AuthorityInformationAccessOID.OCSP]
    urls = [str(place.value) for place in places if isinstance(place, x509.UniformResourceIdentifier)]
    return next((url for url in urls if url.startswith(("http://", "https://"))), None)


def _issuer(certificate: x509.Certificate, authorities: Sequence[Path]) -> x509.Certificate:
    """Return the authority's certificate that signed this one. Raises ValueError, OSError."""
    for path in authorities:
        for authority in x509.load_pem_x509_certificates(path.read_bytes()):
            try:
                certificate.verify_directly_issued_by(authority)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return authority
    raise ValueError("the issuer of the certificate is none of the configured authorities")


def _verify(response: ocsp.OCSPResponse, issuer: x509.Certificate) -> None:
    """Raise ValueError unless the issuer, or a responder that it authorised, signed the answer (RFC 6960 §4.2.2.2)."""
    signers = [issuer, *(each for each in response.certificates if _is_delegate(each, issuer))]
    algorithm = response.signature_hash_algorithm
    for signer in signers:
        key = signer.public_key()
        try:
            if isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
                key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
            elif isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
                key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), algorithm)
            else:
                continue
        except (InvalidSignature, UnsupportedAlgorithm):
            continue
        return
    raise ValueError("the answer is not signed by the certificate's issuer or its responder")


def _is_delegate(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    now = datetime.now(UTC)
    if not certificate.not_valid_before_utc - _CLOCK_SKEW <= now <= certificate.not_valid_after_utc + _CLOCK_SKEW:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in usage


def _valid_until(response: ocsp.OCSPResponse, now: datetime) -> datetime:
    """Return until when the answer is valid. Raises ValueError if it is too old, or of the future."""
    begins, ends = response.this_update_utc, response.next_update_utc
    until = begins + _MAX_AGE if ends is None else ends
    if now + _CLOCK_SKEW < begins or until + _CLOCK_SKEW < now:
        raise ValueError("the answer is not valid now")
    return until
