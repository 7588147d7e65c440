"""Transactions, id tags, reservations, the audit log, files."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from wattspan.api.models.common import At, Body, Payload, Shown, Token, moment, seconds
from wattspan.api.paging import MOST
from wattspan.domain import model
from wattspan.store import records as entries


class Status(StrEnum):
    """What an id tag may do (OCPP's AuthorizationStatus)."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"


class Transaction(Shown):
    """A charging session. `number` is ours; `transaction_id` OCPP's. `trace_id` is its session's trace."""

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
    reason: str
    reservation_id: int | None
    trace_id: str


class Reading(Shown):
    """A point of the meter curve. `at` is the charger's time, or ours where it has told none."""

    at: At | None
    energy_wh: float | None
    power_w: float | None
    current_a: float | None
    soc_percent: float | None


class TimelineEntry(Shown):
    """Something that happened in a session."""

    at: At | None
    name: str
    is_phase: bool
    attributes: Payload


class TransactionWhole(Transaction):
    """A charging session with its timeline and, thinned to at most the points asked for, its meter curve."""

    timeline: list[TimelineEntry]
    story: Annotated[list[TimelineEntry], Field(deprecated=True)]
    """The former name of `timeline`; it leaves with the next release."""
    curve: list[Reading]
    readings_total: int


class Asked(Body):
    """Which transactions; what is not given may be any. `from_at` and `until_at` are about the start, by our clock."""

    limit: Annotated[int, Field(ge=1, le=MOST)] = 100
    cursor: Annotated[str, Field(max_length=1000)] | None = None
    cp_id: Annotated[str, Field(max_length=255)] | None = None
    id_tag: Annotated[str, Field(max_length=255)] | None = None
    open: bool | None = None
    from_at: At | None = None
    until_at: At | None = None


class Close(Body):
    """Close by hand, where the charger's stop was lost. `meter_stop_wh` null: by the last reading."""

    meter_stop_wh: Annotated[float, Field(ge=0, le=1e12)] | None = None


class IdTagBody(Body):
    """What is on file of an id tag. `expires_at` null: never; `max_active_transactions` null: any number."""

    status: Status = Status.ACCEPTED
    expires_at: At | None = None
    parent: Token | None = None
    max_active_transactions: Annotated[int, Field(ge=0, le=1000)] | None = None
    type: Annotated[str, Field(max_length=20, pattern="^[A-Za-z0-9]*$")] = ""
    """Of OCPP 2.x, e.g. ISO14443; "" is any."""
    evse_ids: Annotated[list[Annotated[int, Field(ge=0, le=2**31 - 1)]], Field(max_length=1000, default_factory=list)]
    """Where alone it may charge; none named: everywhere."""


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
    """What an import did."""

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
    """Who did what, or tried to. `means`: session, token and its id, or password. `who` "": nobody known."""

    id: int
    at: At | None
    who: str
    means: str
    action: str
    target: str
    status: int
    trace_id: str


class File(Shown):
    """A file that a charge point sent, or may fetch."""

    file_id: str
    cp_id: str
    name: str
    size_bytes: int
    sha256: str
    created_at: At | None


def masked(id_tag: str) -> str:
    """An id token for those who may not see it whole."""
    return f"…{id_tag[-2:]}" if len(id_tag) > 4 else "…"  # noqa: PLR2004


def transaction(each: model.Transaction, *, whole: bool) -> Transaction:
    """A session as JSON has it; `whole`: with the id tag unmasked."""
    return Transaction(**_transaction(each, whole))


def transaction_whole(
    each: model.Transaction, readings: list[entries.StoredReading], points: int, *, whole: bool
) -> TransactionWhole:
    """A session with its timeline and its meter curve. Long: not on the event loop."""
    step = max(1, -(-len(readings) // points))
    kept = [reading for index, reading in enumerate(readings) if (len(readings) - 1 - index) % step == 0]
    timeline = [
        TimelineEntry(at=moment(entry.ts), name=entry.name, is_phase=entry.phase, attributes=dict(entry.attributes))
        for entry in each.timeline
    ]
    return TransactionWhole(
        **_transaction(each, whole),
        timeline=timeline,
        story=timeline,
        curve=[
            Reading(
                at=moment(reading.charger_ts if reading.charger_ts is not None else reading.received_ts),
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
        "began_at": moment(each.began_ts),
        "ended_at": moment(each.ended_ts),
        "started_at": moment(each.started_ts),
        "stopped_at": moment(each.stopped_ts),
        "energy_wh": each.meter.energy_wh,
        "meter_start_wh": each.meter.start_wh,
        "meter_stop_wh": each.meter_stop_wh,
        "reason": each.reason,
        "reservation_id": each.reservation_id,
        "trace_id": f"{each.trace_id:032x}",
    }


def id_tag(entry: entries.IdTag) -> IdTag:
    """An id tag as JSON has it."""
    return IdTag(
        id_tag=entry.id_token,
        status=entry.status,
        expires_at=moment(entry.expiry_ts),
        parent=entry.parent,
        max_active_transactions=entry.max_active_transactions,
        type=entry.type,
        evse_ids=list(entry.evse_ids),
    )


def filed(id_token: str, body: IdTagBody) -> entries.IdTag:
    """An id tag as the store has it."""
    return entries.IdTag(
        id_token=id_token,
        status=body.status.value,
        expiry_ts=seconds(body.expires_at),
        parent=body.parent,
        max_active_transactions=body.max_active_transactions,
        type=body.type,
        evse_ids=tuple(body.evse_ids),
    )


def reservation(entry: entries.Reservation, *, whole: bool) -> Reservation:
    """A reservation as JSON has it; `whole`: with id tags unmasked."""
    parent = entry.parent_id_token
    return Reservation(
        cp_id=entry.cp_id,
        reservation_id=entry.reservation_id,
        connector_id=entry.connector_id,
        id_tag=entry.id_token if whole else masked(entry.id_token),
        parent_id_tag=parent if whole or parent is None else masked(parent),
        made_at=moment(entry.made_ts),
        expires_at=moment(entry.expires_ts),
    )


def audit_entry(entry: entries.AuditEntry) -> AuditEntry:
    """A row of the audit log as JSON has it."""
    return AuditEntry(
        id=entry.id,
        at=moment(entry.at_ts),
        who=entry.who,
        means=entry.auth_method,
        action=entry.action,
        target=entry.target,
        status=entry.status,
        trace_id=entry.trace_id,
    )


def file(entry: entries.StoredFile) -> File:
    """A file as JSON has it."""
    return File(
        file_id=entry.file_id,
        cp_id=entry.cp_id,
        name=entry.name,
        size_bytes=entry.size_bytes,
        sha256=entry.sha256,
        created_at=moment(entry.created_ts),
    )
