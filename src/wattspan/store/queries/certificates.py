"""Certificates that our authority issued to charge points."""

from collections.abc import Sequence

import sqlalchemy as sa

from wattspan.store.records import IssuedCertificate
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
