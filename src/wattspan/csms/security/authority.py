"""A small certificate authority: a folder with its key, its certificate and its revocation list.

It signs requests of charge points in their own name only (OCPP 1.6 security whitepaper §4.2, 2.0.1 Part 2 A02). It must
not know where certificates are stored or sent. Everything here blocks on disk or processor.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wattspan.domain.certificates import MAX_CSR
from wattspan.errors import AuthorityError, CsrRefused

CERTIFICATE, KEY, REVOCATIONS = "ca.pem", "ca.key", "crl.pem"
"""The files in its folder."""


class SignerFiles(NamedTuple):
    """The names of the files of one of the authority's keys."""

    certificate: str
    key: str
    revocations: str


ECDSA = SignerFiles(CERTIFICATE, KEY, REVOCATIONS)
RSA = SignerFiles("ca-rsa.pem", "ca-rsa.key", "crl-rsa.pem")
RSA_BITS = 3072
SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
AUTHORITY_DAYS = 3650
"""How long the authority's own certificate and a revocation list are valid."""
MIN_RSA_BITS = 2048
"""OCPP security whitepaper §2.4: as strong as 112 symmetric bits."""
MIN_EC_BITS = 224
_BACKDATED = timedelta(hours=1)
"""Certificates become valid a little in the past, for charge points' clocks are not exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed certificate. `chain` is PEM, the charge point's own first."""

    chain: str
    serial: str
    expires_ts: float


@dataclass(frozen=True, slots=True)
class _Signer:
    """A key of the authority with its certificate and revocation list."""

    folder: Path
    files: SignerFiles
    certificate: x509.Certificate
    key: SigningKey

    @classmethod
    def create(cls, folder: Path, files: SignerFiles, name: str) -> "_Signer":
        """Create key, certificate and an empty revocation list. Raises AuthorityError if the files exist."""
        key = _new_key(files)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with _translate_errors(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_new(folder / files.key, secret, 0o600)
            _write_new(folder / files.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        made = cls(folder, files, certificate, key)
        made.write_list([])
        return made

    @classmethod
    def open(cls, folder: Path, files: SignerFiles) -> "_Signer":
        """Read key and certificate. Raises AuthorityError if they are missing or do not match."""
        with _translate_errors(folder):
            certificate = x509.load_pem_x509_certificate((folder / files.certificate).read_bytes())
            key = serialization.load_pem_private_key((folder / files.key).read_bytes(), None)
        kind = rsa.RSAPrivateKey if files is RSA else ec.EllipticCurvePrivateKey
        if not isinstance(key, kind) or key.public_key() != certificate.public_key():
            named = "RSA" if files is RSA else "elliptic curve"
            raise AuthorityError(f"{folder}: {files.key} is not the {named} key of {files.certificate}")
        return cls(folder, files, certificate, key)

    def sign(
        self, subject: x509.Name, key: CertificatePublicKeyTypes, use: x509.ObjectIdentifier, days: float
    ) -> Signed:
        """Return a certificate for a key."""
        now = datetime.now(UTC)
        # X.509 has whole seconds.
        ends = min(now + timedelta(days=days), self.certificate.not_valid_after_utc).replace(microsecond=0)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        authority = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        return Signed(chain=pem + authority, serial=f"{certificate.serial_number:x}", expires_ts=ends.timestamp())

    def revoke(self, serial: int) -> None:
        """Add a serial number to the revocation list. Raises AuthorityError."""
        with _translate_errors(self.folder):
            listed = x509.load_pem_x509_crl((self.folder / self.files.revocations).read_bytes())
        revoked = list(listed)
        if all(each.serial_number != serial for each in revoked):
            builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(datetime.now(UTC))
            revoked.append(builder.build())
        self.write_list(revoked)

    def write_list(self, revoked: list[x509.RevokedCertificate]) -> None:
        """Replace the revocation list. Raises AuthorityError."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - _BACKDATED)
            .next_update(now + timedelta(days=AUTHORITY_DAYS))
        )
        for each in revoked:
            builder = builder.add_revoked_certificate(each)
        content = builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        with _translate_errors(self.folder):
            whole = self.folder / f".{self.files.revocations}"
            whole.write_bytes(content)
            whole.replace(self.folder / self.files.revocations)  # atomic, for a server reads it meanwhile


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority in `folder`; see `open` and `create`.

    It signs with its elliptic curve key; certificates for RSA keys with its RSA key, if `signs_with_rsa`.
    `organization`: what the certificates have as organizationName; None: what the request has.
    """

    folder: Path
    _ecdsa: _Signer
    _rsa: _Signer | None = None
    organization: str | None = None
    signs_with_rsa: bool = False

    @classmethod
    def create(cls, folder: Path, name: str = "Wattspan charge points") -> "Authority":
        """Create an authority. Raises AuthorityError when there is one already, or the folder can't be written."""
        return cls(folder, _Signer.create(folder, ECDSA, name))

    @classmethod
    def open(cls, folder: Path) -> "Authority":
        """Open the authority in `folder`. Raises AuthorityError when there is none, or it can't be read."""
        ecdsa = _Signer.open(folder, ECDSA)
        return cls(folder, ecdsa, _Signer.open(folder, RSA) if (folder / RSA.certificate).exists() else None)

    @classmethod
    def open_or_create(
        cls, folder: Path, *, organization: str | None = None, signs_with_rsa: bool = False
    ) -> "Authority":
        """Open the authority in `folder`, or create it, and its RSA key if that is needed. Raises AuthorityError."""
        found = cls.open(folder) if (folder / ECDSA.certificate).exists() else cls.create(folder)
        own_rsa = found._rsa
        if signs_with_rsa and own_rsa is None:
            own_rsa = _Signer.create(folder, RSA, "Wattspan charge points (RSA)")
        return cls(folder, found._ecdsa, own_rsa, organization, signs_with_rsa)

    def sign(self, csr: str, cp_id: str, days: float, *, serial_number: str = "") -> Signed:
        """Return a client certificate for a signing request of `cp_id`. Raises CsrRefused.

        `serial_number`: its registered one, which the request may name instead; "": none.
        """
        request = read_csr(csr, cp_id, serial_number=serial_number)
        return self._issue(request.subject, request.public_key(), days)

    def issue(self, cp_id: str, days: float) -> tuple[str, Signed]:
        """Return a new private key (PEM) and its client certificate, for a charge point that can't request one yet."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cp_id)])
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return secret.decode(), self._issue(name, key.public_key(), days)

    def revoke(self, serial: int) -> None:
        """Revoke a certificate; a running server sees it within seconds. Raises AuthorityError."""
        self._ecdsa.revoke(serial)
        if self._rsa is not None:
            self._rsa.revoke(serial)

    def _issue(self, subject: x509.Name, key: CertificatePublicKeyTypes, days: float) -> Signed:
        by_rsa = self._rsa is not None and self.signs_with_rsa and isinstance(key, rsa.RSAPublicKey)
        signer = self._rsa if by_rsa and self._rsa is not None else self._ecdsa
        return signer.sign(self._named(subject), key, ExtendedKeyUsageOID.CLIENT_AUTH, days)

    def _named(self, subject: x509.Name) -> x509.Name:
        """Return the subject with our organization, if there is one."""
        if self.organization is None:
            return subject
        others = [each for each in subject if each.oid != NameOID.ORGANIZATION_NAME]
        return x509.Name([*others, x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organization)])


def authority_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the certificates and the revocation lists of the authority in `folder`."""
    signers = [ECDSA, RSA] if (folder / RSA.certificate).exists() else [ECDSA]
    return [folder / each.certificate for each in signers], [folder / each.revocations for each in signers]


def _new_key(files: SignerFiles) -> SigningKey:
    return rsa.generate_private_key(65537, RSA_BITS) if files is RSA else ec.generate_private_key(ec.SECP256R1())


def read_csr(csr: str, cp_id: str, *, serial_number: str = "") -> x509.CertificateSigningRequest:
    """Return the parsed request of `cp_id`. Raises CsrRefused unless name, key strength and signature are right.

    It names `cp_id` or the registered `serial_number`; "": there is none.
    """
    if len(csr) > MAX_CSR:
        raise CsrRefused("it is too long")
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        names = [str(each.value) for each in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        key = request.public_key()
        if not request.is_signature_valid:
            raise CsrRefused("it is not signed by its own key")
    except (ValueError, InvalidSignature, UnsupportedAlgorithm) as exc:
        raise CsrRefused("it can't be read") from exc
    if len(names) != 1 or names[0] not in {cp_id, serial_number} - {""}:
        raise CsrRefused("its common name is neither the charge point's identity nor its registered serial number")
    strong_enough = (isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= MIN_EC_BITS
    )
    if not strong_enough:
        raise CsrRefused("its key is too weak, or neither RSA nor elliptic curve")
    return request


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a new file that has its mode from the start. Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


@contextmanager
def _translate_errors(folder: Path) -> Iterator[None]:
    """Translate errors of files and keys into AuthorityError."""
    try:
        yield
    except FileExistsError as exc:
        raise AuthorityError(f"{folder}: there is a certificate authority already") from exc
    except (OSError, ValueError, TypeError) as exc:  # TypeError: the key is encrypted
        raise AuthorityError(f"{folder}: the certificate authority can't be used: {exc}") from exc
