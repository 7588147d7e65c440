"""Certificates for tests: a server authority, client certificates good, expired, of others and of nobody."""

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    cert: Path
    key: Path

    @property
    def serial(self) -> int:
        return x509.load_pem_x509_certificate(self.cert.read_bytes()).serial_number


class TestAuthority:
    """An authority that signs whatever a test wants."""

    __test__ = False

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.cert = folder / f"{name}.pem"
        made = (
            self._begun(self._name, self._key, timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def pair(
        self,
        common_name: str,
        *,
        use: x509.ObjectIdentifier = CLIENT,
        ends_in: timedelta = timedelta(days=1),
        alternative: tuple[str, ...] = (),
        organization: str = "",
        responder: str = "",
        file: str = "",
    ) -> Pair:
        """A certificate for `common_name`; `ends_in` below 0: expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organization:
            names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        subject = x509.Name(names)
        # Python 3.13 verifies strictly (RFC 5280 §4.2.1.1): a certificate names its issuer's key.
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            self._begun(subject, key, ends_in)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(issuer, critical=False)
        )
        if responder:
            place = x509.UniformResourceIdentifier(responder)
            access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
            builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        if alternative:
            others = x509.SubjectAlternativeName([_general(name) for name in alternative])
            builder = builder.add_extension(others, critical=False)
        name = file or f"{self.cert.stem}-{common_name}"
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        pair.cert.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pair

    def ocsp_answer(
        self,
        pair: Pair,
        status: ocsp.OCSPCertStatus,
        *,
        signed_by: "TestAuthority | None" = None,
        age: timedelta = timedelta(),
    ) -> bytes:
        """A responder's answer about a certificate, `age` old and valid for an hour; `signed_by` somebody else."""
        signer = signed_by or self
        begins = datetime.now(UTC) - age
        revoked = status is ocsp.OCSPCertStatus.REVOKED
        built = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=x509.load_pem_x509_certificate(pair.cert.read_bytes()),
                issuer=x509.load_pem_x509_certificate(self.cert.read_bytes()),
                algorithm=hashes.SHA1(),  # noqa: S303 - names the certificate, as RFC 5019 requires
                cert_status=status,
                this_update=begins,
                next_update=begins + timedelta(hours=1),
                revocation_time=begins if revoked else None,
                revocation_reason=None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.NAME, x509.load_pem_x509_certificate(signer.cert.read_bytes()))
            .sign(signer._key, hashes.SHA256())
        )
        return built.public_bytes(serialization.Encoding.DER)

    def crl(self, *serials: int) -> Path:
        """Its revocation list, as a file."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now)
            .next_update(now + timedelta(days=1))
        )
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(revoked)
        path = self._folder / f"{self.cert.stem}.crl"
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path

    def _begun(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, ends_in: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + ends_in)
        )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)


def client_context(server_ca: Path, pair: Pair | None = None) -> ssl.SSLContext:
    """What a charger connects with: it trusts `server_ca`, and shows `pair`."""
    context = ssl.create_default_context(cafile=str(server_ca))
    if pair is not None:
        context.load_cert_chain(pair.cert, pair.key)
    return context


def certificate_request(common_name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None) -> str:
    """A PEM request for a certificate."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    key = key or ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def as_pair(folder: Path, chain: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> Pair:
    """What a charge point does with its certificate: keep it beside its key."""
    pair = Pair(folder / "signed.pem", folder / "signed.key")
    pair.cert.write_text(chain)
    pair.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pair
