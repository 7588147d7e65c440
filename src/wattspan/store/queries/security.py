"""The books on secrets that overlap, security profiles, newcomers turned away and certificates we issued."""

from collections.abc import Sequence

import sqlalchemy as sa

from wattspan.store.queries import books
from wattspan.store.records import IssuedCertificate
from wattspan.store.schema import tables as t

_REJECTED = sa.select(t.rejected_charge_points.c.cp_id).where(t.rejected_charge_points.c.cp_id == sa.bindparam("cp_id"))
"""Built once, for every handshake asks it."""


def is_rejected(connection: sa.Connection, cp_id: str) -> bool:
    """Whether an operator turned this unknown charge point away."""
    return connection.execute(_REJECTED, {"cp_id": cp_id}).first() is not None


def reject(connection: sa.Connection, cp_id: str, now_ts: float) -> None:
    """Turn an unknown charge point away, until it is registered."""
    connection.execute(sa.delete(t.rejected_charge_points).where(t.rejected_charge_points.c.cp_id == cp_id))
    connection.execute(sa.insert(t.rejected_charge_points).values(cp_id=cp_id, rejected_ts=now_ts))


def offer_secret(connection: sa.Connection, cp_id: str, stored: str, now_ts: float) -> None:
    """Let another secret work beside the present one, until it is known which of them the charge point has.

    One that turned up by itself counts as registered from now on.
    """
    known = books.registration(connection, cp_id)
    if known is None or known.registered_ts is None:
        books.register(connection, cp_id, None, now_ts)
    _change(connection, cp_id, other_secret=stored, other_until_ts=None)


def confirm_secret(connection: sa.Connection, cp_id: str, stored: str, until_ts: float) -> bool:
    """Make the other secret the one; the former works until `until_ts`. False: it was changed meanwhile."""
    known = books.registration(connection, cp_id)
    if known is None or known.other_secret != stored:
        return False
    _change(connection, cp_id, secret=stored, other_secret=known.secret, other_until_ts=until_ts)
    return True


def withdraw_secret(connection: sa.Connection, cp_id: str, stored: str) -> None:
    """The charge point did not take the other secret: it works no more."""
    known = books.registration(connection, cp_id)
    if known is not None and known.other_secret == stored:
        _change(connection, cp_id, other_secret=None, other_until_ts=None)


def _change(connection: sa.Connection, cp_id: str, **values: object) -> None:
    mine = t.charge_points.c.cp_id == cp_id
    connection.execute(sa.update(t.charge_points).where(mine).values(**values))


def add_certificate(connection: sa.Connection, certificate: IssuedCertificate) -> None:
    """Note a certificate that was signed."""
    c = t.issued_certificates.c
    connection.execute(
        sa.insert(t.issued_certificates).values({each.name: getattr(certificate, each.name) for each in c})
    )


def certificate_installed(connection: sa.Connection, serial: str, now_ts: float) -> None:
    """The charge point took it."""
    mine = t.issued_certificates.c.serial == serial
    connection.execute(sa.update(t.issued_certificates).where(mine).values(installed_ts=now_ts))


def certificates(connection: sa.Connection, cp_id: str) -> Sequence[IssuedCertificate]:
    """What was issued to a charge point, the newest first."""
    c = t.issued_certificates.c
    query = sa.select(t.issued_certificates).where(c.cp_id == cp_id).order_by(c.issued_ts.desc()).limit(100)
    return [IssuedCertificate(**found) for found in connection.execute(query).mappings()]
