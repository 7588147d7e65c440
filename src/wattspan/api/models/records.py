"""Transactions, id tags, reservations, the audit log, files."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from wattspan.api.models.common import At, Body, Payload, Shown, Token, datetime_of, seconds
from wattspan.api.paging import MAX_LIMIT
from wattspan.domain import model
from wattspan.store import records


class Status(StrEnum):
    """The status of an id tag (OCPP's AuthorizationStatus)."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"


class Transaction(Shown):
    """A charging session. `number` is Wattspan's, `transaction_id` OCPP's. `trace_id` is the session's trace.

    `energy_correction`: why the energy of a closed session is not the difference of the charger's registers of start
    and stop; "": it is.
    """

    number: int
    cp_id: str
    connector_id: str
    transaction_id: str
    id_tag: str
    open: bool
    began_at: At | None
    ended_at: At | None
    started_at: At | None
    stopped_at: At | None
    energy_wh: float
    meter_start_wh: float
    meter_stop_wh: float | None
    energy_correction: str
    reason: str
    reservation_id: int | None
    trace_id: str


class Reading(Shown):
    """A point of the meter curve. `at` is the charge point's time, or the server's if it sent none."""

    at: At | None
    energy_wh: float | None
    power_w: float | None
    current_a: float | None
    soc_percent: float | None


class TimelineEntry(Shown):
    """An entry in a session's timeline."""

    at: At | None
    name: str
    is_phase: bool
    attributes: Payload


class TransactionWhole(Transaction):
    """A charging session with its timeline and, thinned to at most the points asked for, its meter curve."""

    timeline: list[TimelineEntry]
    story: Annotated[list[TimelineEntry], Field(deprecated=True)]
    """The former name of `timeline`; it is removed in the next release."""
    curve: list[Reading]
    readings_total: int


class TransactionQuery(Body):
    """Filters of transactions. `from_at` and `until_at` apply to the start, by the server's clock."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 100
    cursor: Annotated[str, Field(max_length=1000)] | None = None
    cp_id: Annotated[str, Field(max_length=255)] | None = None
    id_tag: Annotated[str, Field(max_length=255)] | None = None
    open: bool | None = None
    from_at: At | None = None
    until_at: At | None = None


class Close(Body):
    """Close a transaction by hand. `meter_stop_wh` null: by the last reading."""

    meter_stop_wh: Annotated[float, Field(ge=0, le=1e12)] | None = None


class IdTagBody(Body):
    """The fields of an id tag. `expires_at` null: never; `max_active_transactions` null: any number."""

    status: Status = Status.ACCEPTED
    expires_at: At | None = None
    parent: Token | None = None
    max_active_transactions: Annotated[int, Field(ge=0, le=1000)] | None = None
    type: Annotated[str, Field(max_length=20, pattern="^[A-Za-z0-9]*$")] = ""
    """The token type of OCPP 2.x, e.g. ISO14443; "" is any."""
    evse_ids: Annotated[list[Annotated[int, Field(ge=0, le=2**31 - 1)]], Field(max_length=1000, default_factory=list)]
    """The only EVSEs where it may charge; empty: everywhere."""


class IdTag(Shown):
    """An id tag on file."""

    id_tag: str
    status: str
    expires_at: At | None
    parent: str | None
    max_active_transactions: int | None
    type: str
    evse_ids: list[int]


class Imported(Shown):
    """The result of an import."""

    added: int
    replaced: int


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


def masked(id_tag: str) -> str:
    """Return an id token masked, for those who may not see it."""
    return f"…{id_tag[-2:]}" if len(id_tag) > 4 else "…"  # noqa: PLR2004


def transaction(each: model.Transaction, *, whole: bool) -> Transaction:
    """Return the JSON of a transaction; `whole`: with the id tag unmasked."""
    return Transaction(**_transaction(each, whole))


def transaction_whole(
    each: model.Transaction, readings: list[records.StoredReading], points: int, *, whole: bool
) -> TransactionWhole:
    """Return the JSON of a transaction with timeline and meter curve. Slow: not on the event loop."""
    step = max(1, -(-len(readings) // points))
    kept = [reading for index, reading in enumerate(readings) if (len(readings) - 1 - index) % step == 0]
    timeline = [
        TimelineEntry(
            at=datetime_of(entry.ts), name=entry.name, is_phase=entry.phase, attributes=dict(entry.attributes)
        )
        for entry in each.timeline
    ]
    return TransactionWhole(
        **_transaction(each, whole),
        timeline=timeline,
        story=timeline,
        curve=[
            Reading(
                at=datetime_of(reading.charger_ts if reading.charger_ts is not None else reading.received_ts),
                energy_wh=reading.energy_wh,
                power_w=reading.power_w,
                current_a=reading.current_a,
                soc_percent=reading.soc_percent,
            )
            for reading in kept
        ],
        readings_total=len(readings),
    )


def _transaction(each: model.Transaction, whole: bool) -> Payload:
    return {
        "number": each.number,
        "cp_id": each.cp_id,
        "connector_id": each.connector_id,
        "transaction_id": each.transaction_id,
        "id_tag": each.id_token if whole else masked(each.id_token),
        "open": each.open,
        "began_at": datetime_of(each.began_ts),
        "ended_at": datetime_of(each.ended_ts),
        "started_at": datetime_of(each.started_ts),
        "stopped_at": datetime_of(each.stopped_ts),
        "energy_wh": each.meter.energy_wh,
        "meter_start_wh": each.meter.start_wh,
        "meter_stop_wh": each.meter_stop_wh,
        "energy_correction": each.energy_correction,
        "reason": each.reason,
        "reservation_id": each.reservation_id,
        "trace_id": f"{each.trace_id:032x}",
    }


def id_tag(record: records.IdTag) -> IdTag:
    """Return the JSON of an id tag."""
    return IdTag(
        id_tag=record.id_token,
        status=record.status,
        expires_at=datetime_of(record.expiry_ts),
        parent=record.parent,
        max_active_transactions=record.max_active_transactions,
        type=record.type,
        evse_ids=list(record.evse_ids),
    )


def filed(id_token: str, body: IdTagBody) -> records.IdTag:
    """Return the store's record of an id tag."""
    return records.IdTag(
        id_token=id_token,
        status=body.status.value,
        expiry_ts=seconds(body.expires_at),
        parent=body.parent,
        max_active_transactions=body.max_active_transactions,
        type=body.type,
        evse_ids=tuple(body.evse_ids),
    )


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
