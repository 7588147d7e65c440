"""What the authority signs, and what it refuses to."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wattspan.csms.security.authority import Authority, read_csr
from wattspan.errors import CsrRefused


def request(key, *names: str) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    wanted = x509.BasicConstraints(ca=True, path_length=None)
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(wanted, critical=True)
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def authority(tmp_path):
    return Authority.create(tmp_path / "ca")


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)])
def test_only_what_a_client_needs_is_signed_whatever_is_asked_for(authority, key):
    signed = authority.sign(request(key, "CP1"), "CP1", 30)
    own = x509.load_pem_x509_certificates(signed.chain.encode())[0]
    assert not own.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert list(own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    assert own.not_valid_after_utc.timestamp() == signed.expires_ts
    assert f"{own.serial_number:x}" == signed.serial


def test_no_certificate_outlives_the_authority(authority):
    signed = authority.sign(request(ec.generate_private_key(ec.SECP256R1()), "CP1"), "CP1", 3650 * 2)
    own, issuer = x509.load_pem_x509_certificates(signed.chain.encode())
    assert own.not_valid_after_utc <= issuer.not_valid_after_utc


@pytest.mark.parametrize(
    ("key", "names"),
    [
        (ec.generate_private_key(ec.SECP256R1()), ["CP2"]),
        (ec.generate_private_key(ec.SECP256R1()), ["cp1"]),
        (ec.generate_private_key(ec.SECP256R1()), ["CP1", "CP2"]),
        (ec.generate_private_key(ec.SECP256R1()), []),
        (ec.generate_private_key(ec.SECP192R1()), ["CP1"]),
        (rsa.generate_private_key(65537, 1024), ["CP1"]),  # noqa: S505 - it is what is refused
        (ed25519.Ed25519PrivateKey.generate(), ["CP1"]),
    ],
    ids=["of another", "another case", "two names", "no name", "short curve", "short RSA", "a kind nobody specified"],
)
def test_what_may_not_be_is_refused(key, names):
    with pytest.raises(CsrRefused):
        read_csr(request(key, *names), "CP1")


def test_a_request_that_its_key_did_not_sign_is_refused():
    der = bytearray(
        x509.load_pem_x509_csr(request(ec.generate_private_key(ec.SECP256R1()), "CP1").encode()).public_bytes(
            serialization.Encoding.DER
        )
    )
    der[der.index(b"CP1") + 2] ^= 1  # now it says CP0
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(CsrRefused, match="own key"):
        read_csr(forged, "CP0")
