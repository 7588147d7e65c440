"""Certificates that our authority issued to charge points, and those that charge points have installed."""

from collections.abc import Sequence

import sqlalchemy as sa

from wattspan.domain.installed import CertificateId
from wattspan.store.codec import from_json
from wattspan.store.records import InstalledCertificates, IssuedCertificate
from wattspan.store.schema import tables as t

_ISSUED = t.issued_certificates.c


def add_certificate(connection: sa.Connection, certificate: IssuedCertificate) -> None:
    """Add the record of a certificate that was signed."""
    values = {column.name: getattr(certificate, column.name) for column in _ISSUED}
    connection.execute(sa.insert(t.issued_certificates).values(values))


def certificate_installed(connection: sa.Connection, serial: str, now_ts: float) -> None:
    """Record that the charge point accepted the certificate."""
    mine = _ISSUED.serial == serial
    connection.execute(sa.update(t.issued_certificates).where(mine).values(installed_ts=now_ts))


def list_certificates(connection: sa.Connection, cp_id: str) -> Sequence[IssuedCertificate]:
    """Return the newest 100 certificates that were issued to a charge point, newest first."""
    query = sa.select(t.issued_certificates).where(_ISSUED.cp_id == cp_id).order_by(_ISSUED.issued_ts.desc()).limit(100)
    return [IssuedCertificate(**found) for found in connection.execute(query).mappings()]


def list_installed(connection: sa.Connection, cp_id: str) -> Sequence[InstalledCertificates]:
    """Return what a charge point last reported of each certificate type, by type."""
    c = t.installed_certificates.c
    query = sa.select(c.type, c.certificates, c.reported_ts).where(c.cp_id == cp_id).order_by(c.type)
    return [
        InstalledCertificates(
            type=kind,
            certificates=tuple(CertificateId(**each) for each in from_json(certificates)),
            reported_ts=reported_ts,
        )
        for kind, certificates, reported_ts in connection.execute(query)
    ]
