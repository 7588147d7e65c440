"""Client certificates: their names, expiry and revocation. No network access."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID

_CRL = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)

Revoked = tuple[bytes, int]
"""Issuer's name and serial number, which together identify a certificate (RFC 5280 §4.1.2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCertificate:
    """A client certificate that TLS has verified.

    `names`: its common names and DNS names. `organizations`: the organizationName of its subject.
    """

    names: frozenset[str]
    organizations: frozenset[str]
    mark: Revoked | None
    """None: only its name is known, from a load balancer, which has to check revocation lists itself."""
    expires_ts: float | None

    @classmethod
    def named(cls, common_name: str) -> "PeerCertificate":
        """Return a certificate of which only the common name is known."""
        return cls(names=frozenset({common_name}), organizations=frozenset(), mark=None, expires_ts=None)

    @classmethod
    def parse(cls, der: bytes) -> "PeerCertificate":
        """Return the parsed certificate. Raises ValueError for one that OpenSSL accepts and cryptography does not."""
        certificate = x509.load_der_x509_certificate(der)
        subject = certificate.subject
        names = {str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
        organizations = {str(each.value) for each in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)}
        try:
            alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            pass
        else:
            names.update(alternative.value.get_values_for_type(x509.DNSName))
        return cls(
            names=frozenset(names),
            organizations=frozenset(organizations),
            mark=(certificate.issuer.public_bytes(), certificate.serial_number),
            expires_ts=certificate.not_valid_after_utc.timestamp(),
        )


@dataclass(frozen=True, slots=True)
class Revocations:
    """The contents of the revocation lists."""

    revoked: frozenset[Revoked]

    @classmethod
    def read(cls, lists: Iterable[Path], authorities: Iterable[Path]) -> "Revocations":
        """Return the revocations of all lists.

        Raises ValueError for a list that none of the authorities signed, OSError for a file that can't be read.
        """
        issuers = [each for path in authorities for each in x509.load_pem_x509_certificates(path.read_bytes())]
        revoked: set[Revoked] = set()
        for path in lists:
            content = path.read_bytes()
            found = [x509.load_pem_x509_crl(pem) for pem in _CRL.findall(content)]
            if not found:
                found = [x509.load_der_x509_crl(content)]
            for crl in found:
                if not any(_signed(crl, issuer) for issuer in issuers):
                    raise ValueError(f"{path} has a revocation list that none of the configured authorities signed")
                revoked.update((crl.issuer.public_bytes(), each.serial_number) for each in crl)
        return cls(frozenset(revoked))

    def __contains__(self, certificate: PeerCertificate) -> bool:
        return certificate.mark is not None and certificate.mark in self.revoked


def _signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    if crl.issuer != issuer.subject or not isinstance(key, (EllipticCurvePublicKey, RSAPublicKey)):
        return False
    try:
        return crl.is_signature_valid(key)
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
