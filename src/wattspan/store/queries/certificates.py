"""Certificates: those that our authority issued, the requests that led to them, and those that are installed."""

from collections.abc import Sequence

import sqlalchemy as sa

from wattspan.domain.certificates import PENDING
from wattspan.domain.installed import CertificateId
from wattspan.store.codec import from_json
from wattspan.store.records import InstalledCertificates, IssuedCertificate, SigningRequest
from wattspan.store.schema import tables as t
from wattspan.store.upsert import insert

_ISSUED = t.issued_certificates.c
_REQUESTS = t.signing_requests.c


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


def put_signing_request(connection: sa.Connection, request: SigningRequest) -> None:
    """Add a signing request, or replace the one of the same charge point and type of certificate."""
    values = {column.name: getattr(request, column.name) for column in _REQUESTS}
    statement = insert(connection.dialect, t.signing_requests).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=["cp_id", "kind"], set_=values))


def signing_requests(connection: sa.Connection, cp_id: str) -> Sequence[SigningRequest]:
    """Return the newest signing request of a charge point for each type of certificate."""
    query = sa.select(t.signing_requests).where(_REQUESTS.cp_id == cp_id).order_by(_REQUESTS.kind)
    return [SigningRequest(**found) for found in connection.execute(query).mappings()]


def open_signing_requests(connection: sa.Connection) -> Sequence[SigningRequest]:
    """Return the signing requests of all charge points whose certificate is still to be delivered."""
    is_open = sa.or_(_REQUESTS.state == PENDING, _REQUESTS.next_try_ts.is_not(None))
    query = sa.select(t.signing_requests).where(is_open)
    return [SigningRequest(**found) for found in connection.execute(query).mappings()]


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
