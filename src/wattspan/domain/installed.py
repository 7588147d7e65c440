"""Certificates that a charge point has installed, as GetInstalledCertificateIds names them: by hashes, not whole."""

from typing import NamedTuple


class CertificateId(NamedTuple):
    """CertificateHashData (OCPP 2.0.1 §2.6). `children` is how many certificates of its chain follow it."""

    hash_algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str
    children: int = 0
