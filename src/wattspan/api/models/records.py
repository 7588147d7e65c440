"""Reservations, the audit log, files."""

from wattspan.api.models.common import At, Shown, datetime_of, masked
from wattspan.store import records


class Reservation(Shown):
    """A reservation that a charge point accepted."""

    cp_id: str
    reservation_id: int
    connector_id: str
    id_tag: str
    parent_id_tag: str | None
    made_at: At | None
    expires_at: At | None


class AuditEntry(Shown):
    """A row of the audit log. `means`: session, token and its id, or password. `who` "": not authenticated."""

    id: int
    at: At | None
    who: str
    means: str
    action: str
    target: str
    status: int
    trace_id: str


class File(Shown):
    """A file that a charge point uploaded or can download."""

    file_id: str
    cp_id: str
    name: str
    size_bytes: int
    sha256: str
    created_at: At | None


def reservation(record: records.Reservation, *, whole: bool) -> Reservation:
    """Return the JSON of a reservation; `whole`: with id tags unmasked."""
    parent = record.parent_id_token
    return Reservation(
        cp_id=record.cp_id,
        reservation_id=record.reservation_id,
        connector_id=record.connector_id,
        id_tag=record.id_token if whole else masked(record.id_token),
        parent_id_tag=parent if whole or parent is None else masked(parent),
        made_at=datetime_of(record.made_ts),
        expires_at=datetime_of(record.expires_ts),
    )


def audit_entry(record: records.AuditEntry) -> AuditEntry:
    """Return the JSON of an audit row."""
    return AuditEntry(
        id=record.id,
        at=datetime_of(record.at_ts),
        who=record.who,
        means=record.auth_method,
        action=record.action,
        target=record.target,
        status=record.status,
        trace_id=record.trace_id,
    )


def file(record: records.StoredFile) -> File:
    """Return the JSON of a file."""
    return File(
        file_id=record.file_id,
        cp_id=record.cp_id,
        name=record.name,
        size_bytes=record.size_bytes,
        sha256=record.sha256,
        created_at=datetime_of(record.created_ts),
    )
