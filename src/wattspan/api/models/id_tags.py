"""Id tags, their enrolment, import and erasure."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from wattspan.api.models.common import At, Body, Shown, Text, Token, datetime_of, seconds, storable
from wattspan.csms import erasure
from wattspan.store import records

Group = Annotated[str, Field(max_length=100), AfterValidator(storable)]


class Status(StrEnum):
    """The status of an id tag (OCPP's AuthorizationStatus)."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"


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
    group: Group = ""
    """The operator's group, for lists and reports; "": none. OCPP's group is `parent`."""
    note: Text = ""


class IdTag(Shown):
    """An id tag on file."""

    id_tag: str
    status: str
    expires_at: At | None
    parent: str | None
    max_active_transactions: int | None
    type: str
    evse_ids: list[int]
    group: str
    note: str
    last_used_at: At | None
    last_used_cp_id: str | None
    """The charge point where a session was last started with it."""


class IdTagGroup(Shown):
    """A group of id tags. `blocked` counts those that are not accepted. "" has those without a group."""

    group: str
    id_tags: int
    blocked: int


class BlockIdTags(Body):
    """The id tags to block or to accept again: by token, or all of a group."""

    id_tags: Annotated[list[Token], Field(max_length=10_000)] = Field(default_factory=list)
    group: Group | None = None
    blocked: bool = True


class Changed(Shown):
    """How many rows changed."""

    changed: int


class NewEnrolment(Body):
    """An enrolment: the next unknown id tag at the charge point within `seconds` is put on file with these fields."""

    seconds: Annotated[float, Field(ge=1, le=3600)] = 60.0
    group: Group = ""
    note: Text = ""
    status: Status = Status.ACCEPTED
    expires_at: At | None = None
    parent: Token | None = None
    max_active_transactions: Annotated[int, Field(ge=0, le=1000)] | None = None


class EnrolmentState(StrEnum):
    """The state of an enrolment."""

    WAITING = "waiting"
    ENROLLED = "enrolled"
    EXPIRED = "expired"


class Enrolment(Shown):
    """An enrolment at a charge point. `id_tag` null: none was read."""

    cp_id: str
    state: EnrolmentState
    until: At | None
    id_tag: str | None
    group: str


class ImportChange(Shown):
    """What an import does with one id tag. `before` null: it is new. `fields` names what changes."""

    id_tag: str
    before: IdTag | None
    after: IdTag
    fields: list[str]


class Imported(Shown):
    """The result of an import, or what it would do. `unchanged` is the part of `replaced` that stays as it was.

    `changes` has the first 500 of a preview; otherwise it is empty.
    """

    added: int
    replaced: int
    unchanged: int
    preview: bool
    changes: list[ImportChange]


class Erase(Body):
    """The id tag to remove; case does not matter."""

    id_tag: Token


class Erased(Shown):
    """What was removed, and the pseudonym that stands in the rows that are kept.

    `compacted` false: parts of the database file that are free may still hold the id tag.
    """

    pseudonym: str
    id_tags: int
    transactions: int
    readings: int
    reservations: int
    audit_entries: int
    other_rows: int
    files: int
    compacted: bool


_ERASED_TABLES = {
    "id_tags": "id_tags",
    "transactions": "transactions",
    "readings": "meter_readings",
    "reservations": "reservations",
    "audit_entries": "audit",
}


def erased(result: erasure.Erased) -> Erased:
    """Return the JSON of an erasure."""
    rows = dict(result.rows)
    counts = {field: rows.pop(table, 0) for field, table in _ERASED_TABLES.items()}
    return Erased(
        pseudonym=result.pseudonym,
        **counts,
        other_rows=sum(rows.values()),
        files=result.files,
        compacted=result.compacted,
    )


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
        group=record.tag_group,
        note=record.note,
        last_used_at=datetime_of(record.last_used_ts),
        last_used_cp_id=record.last_used_cp_id,
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
        tag_group=body.group,
        note=body.note,
    )


def import_change(before: records.IdTag | None, after: records.IdTag) -> ImportChange:
    """Return the JSON of what an import does with one id tag."""
    old, new = None if before is None else id_tag(before), id_tag(after)
    names = [name for name in IdTagBody.model_fields if old is None or getattr(old, name) != getattr(new, name)]
    return ImportChange(id_tag=after.id_token, before=old, after=new, fields=names)
