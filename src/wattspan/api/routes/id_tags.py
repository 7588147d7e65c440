"""Id tags on file."""

import asyncio
import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import TypeAdapter, ValidationError

from wattspan.api import PREFIX
from wattspan.api.access.guard import Who, guarded
from wattspan.api.access.rights import Right
from wattspan.api.etags import IfMatch, creating_or_matching, etag, matching
from wattspan.api.exporting import FORMULA
from wattspan.api.models import id_tags as models
from wattspan.api.models.common import At, Token, datetime_of, seconds
from wattspan.api.paging import Cursor, Limit, Page, page, text_of
from wattspan.api.problems import Problem, not_found
from wattspan.api.routes.charge_points import CpId, known
from wattspan.api.services import Given, Services
from wattspan.csms.enrolment import Enrolment
from wattspan.csms.routing import Router
from wattspan.errors import NotConnected
from wattspan.store.queries import id_tags as id_tag_queries
from wattspan.store.records import IdTag

router = APIRouter(prefix=PREFIX, tags=["id tags"])

COLUMNS = ("id_tag", "status", "expires_at", "parent", "max_active_transactions", "type", "group", "note")
IGNORED = ("evse_ids", "last_used_at", "last_used_cp_id")
"""Columns of an export that an import leaves out."""
MAX_SHOWN_CHANGES = 500
MAX_CSV_BYTES = 20_971_520
MAX_FAULTS = 20
TOKEN: TypeAdapter[str] = TypeAdapter(Token)

Tag = Annotated[str, Path(min_length=1, max_length=255, description="The id tag; case does not matter.")]
MEDIA_TYPES = ("text/csv", "application/octet-stream")
"""The second is for generated clients, which know no other for a file."""
CSV = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.get("/id-tags", **guarded(Right.WRITE))
async def list_id_tags(
    services: Given,
    limit: Limit = 100,
    cursor: Cursor = None,
    prefix: Annotated[str, Query(max_length=255, description="How it begins; case does not matter.")] = "",
    status: models.Status | None = None,
    group: Annotated[str | None, Query(max_length=100, description="The operator's group; empty: without one.")] = None,
    expires_before: Annotated[At | None, Query(description="Expires before this time, or has expired.")] = None,
) -> Page[models.IdTag]:
    """List id tags by token."""
    wanted = None if status is None else status.value
    before_ts = seconds(expires_before)
    found = await services.store.read(
        id_tag_queries.list_id_tags, text_of(cursor), limit + 1, prefix, wanted, group, before_ts
    )
    return page(found, limit, lambda tag: tag.id_token, models.id_tag)


@router.get("/id-tags/{id_tag}", **guarded(Right.WRITE, 404))
async def read_id_tag(services: Given, id_tag: Tag, response: Response) -> models.IdTag:
    """Return one id tag."""
    found = await services.store.id_tag(id_tag)
    if found is None:
        raise not_found("id tag")
    response.headers["ETag"] = etag(found)
    return models.id_tag(found)


@router.put("/id-tags/{id_tag}", **guarded(Right.WRITE, 412, 428))
async def put_id_tag(
    services: Given, id_tag: Tag, body: models.IdTagBody, response: Response, if_match: IfMatch = None
) -> models.IdTag:
    """Put an id tag on file; If-Match is required to replace one."""
    tag = models.filed(_token(id_tag), body)
    await services.store.do(id_tag_queries.put_id_tag, tag, creating_or_matching(if_match))
    response.headers["ETag"] = etag(tag)
    return models.id_tag(tag)


@router.delete("/id-tags/{id_tag}", status_code=204, **guarded(Right.WRITE, 404, 412))
async def delete_id_tag(services: Given, id_tag: Tag, if_match: IfMatch = None) -> None:
    """Remove an id tag. Whether it may still charge is the policy for unknown id tags."""
    await services.store.do(id_tag_queries.remove_id_tag, id_tag, matching("id tag", if_match, needed=False))


def _import_keywords() -> dict[str, object]:
    keywords = guarded(Right.WRITE, 413, 415)
    return {**keywords, "openapi_extra": {**keywords["openapi_extra"], **CSV}, "max_body_size": MAX_CSV_BYTES}


@router.get("/id-tag-groups", **guarded(Right.WRITE))
async def list_id_tag_groups(services: Given) -> list[models.IdTagGroup]:
    """List the groups of id tags."""
    return [
        models.IdTagGroup(group=group, id_tags=count, blocked=blocked)
        for group, count, blocked in await services.store.read(id_tag_queries.groups)
    ]


@router.post("/charge-points/{cp_id}/enrol", status_code=201, **guarded(Right.WRITE, 404, 409))
async def enrol_id_tag(services: Given, who: Who, cp_id: CpId, new: models.NewEnrolment) -> models.Enrolment:
    """Put the next unknown id tag that somebody presents at this charge point on file.

    Its answer is that of the new id tag. A charge point that decides by its local list or cache alone does not ask.
    """
    if not (await known(services, cp_id)).connected:
        raise Problem(409, "the charge point is not connected", kind="not-connected")
    template = IdTag(
        id_token="",
        status=new.status.value,
        expiry_ts=seconds(new.expires_at),
        parent=new.parent,
        max_active_transactions=new.max_active_transactions,
        tag_group=new.group,
        note=new.note,
    )
    until_ts = services.now_ts() + new.seconds
    enrolment = Enrolment(cp_id=cp_id, template=template, until_ts=until_ts, by=who.name)
    if (elsewhere := _elsewhere(services, cp_id)) is not None:
        await elsewhere.open_enrolment(enrolment)
    else:
        services.enrolments.open(enrolment)
    return _enrolment(services, enrolment)


@router.get("/charge-points/{cp_id}/enrol", **guarded(Right.WRITE, 404))
async def read_enrolment(services: Given, cp_id: CpId) -> models.Enrolment:
    """Return the newest enrolment at this charge point. The event feed sends `IdTagEnrolled` when it succeeds."""
    found = None
    if (elsewhere := _elsewhere(services, cp_id)) is not None:
        with suppress(NotConnected):
            found = await elsewhere.enrolment(cp_id)
    found = found or services.enrolments.get(cp_id)
    if found is None:
        raise not_found("enrolment")
    return _enrolment(services, found)


@router.delete("/charge-points/{cp_id}/enrol", status_code=204, **guarded(Right.WRITE, 404))
async def cancel_enrolment(services: Given, cp_id: CpId) -> None:
    """End an enrolment."""
    was_open = services.enrolments.cancel(cp_id)
    if (elsewhere := _elsewhere(services, cp_id)) is not None:
        with suppress(NotConnected):
            was_open = await elsewhere.cancel_enrolment(cp_id) or was_open
    if not was_open:
        raise not_found("enrolment")


def _elsewhere(services: Services, cp_id: str) -> Router | None:
    """Return the router to other nodes if one of them may have the connection of the charge point, or None."""
    return services.router if services.router is not None and services.router.is_elsewhere(cp_id) else None


def _enrolment(services: Services, found: Enrolment) -> models.Enrolment:
    state = models.EnrolmentState.WAITING
    if found.id_token is not None:
        state = models.EnrolmentState.ENROLLED
    elif found.until_ts <= services.now_ts():
        state = models.EnrolmentState.EXPIRED
    return models.Enrolment(
        cp_id=found.cp_id,
        state=state,
        until=datetime_of(found.until_ts),
        id_tag=found.id_token,
        group=found.template.tag_group,
    )


@router.post("/id-tags/block", **guarded(Right.WRITE))
async def block_id_tags(services: Given, body: models.BlockIdTags) -> models.Changed:
    """Block id tags on file everywhere at once, or accept them again. Running sessions go on.

    Charge points with a local list know it from their next list on.
    """
    status = models.Status.BLOCKED if body.blocked else models.Status.ACCEPTED
    changed = await services.store.do(id_tag_queries.set_status, body.id_tags, body.group, status.value)
    return models.Changed(changed=changed)


@router.post("/id-tags/import", **_import_keywords())  # type: ignore[arg-type]
async def import_id_tags(
    services: Given,
    request: Request,
    preview: Annotated[bool, Query(description="Only return what would change.")] = False,
) -> models.Imported:
    """Import id tags from CSV in UTF-8. The first line names the columns, of which only `id_tag` is required.

    If a line has a fault, nothing is imported. If the database fails meanwhile (503), send the same again.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in MEDIA_TYPES:
        raise Problem(415, "the content type must be text/csv")
    tags = await asyncio.to_thread(parsed, await request.body())
    before = {
        each.id_token.casefold(): each
        for each in await services.store.read(id_tag_queries.id_tags_of, [tag.id_token for tag in tags])
    }
    tags = _with_kept_fields(tags, before, await asyncio.to_thread(_columns, await request.body()))
    unchanged = sum(before.get(tag.id_token.casefold()) == tag for tag in tags)
    if preview:
        return await asyncio.to_thread(_preview, tags, before, unchanged)
    added = 0
    for first in range(
        0, len(tags), id_tag_queries.BATCH_SIZE
    ):  # in batches: answers to charge points are stored in between
        added += await services.store.do(id_tag_queries.put_id_tags, tags[first : first + id_tag_queries.BATCH_SIZE])
    return models.Imported(added=added, replaced=len(tags) - added, unchanged=unchanged, preview=False, changes=[])


def _columns(data: bytes) -> frozenset[str]:
    return frozenset(next(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")), ()))


def _with_kept_fields(tags: list[IdTag], before: Mapping[str, IdTag], columns: frozenset[str]) -> list[IdTag]:
    """Return the id tags with the group and note that they have on file, where the import has no such column."""
    kept = [field for field, column in (("tag_group", "group"), ("note", "note")) if column not in columns]
    return [
        replace(tag, **{field: getattr(old, field) for field in kept})
        if kept and (old := before.get(tag.id_token.casefold())) is not None
        else tag
        for tag in tags
    ]


def _preview(tags: list[IdTag], before: Mapping[str, IdTag], unchanged: int) -> models.Imported:
    changes = [(before.get(tag.id_token.casefold()), tag) for tag in tags]
    changes = [(old, new) for old, new in changes if old != new]
    added = sum(old is None for old, _ in changes)
    return models.Imported(
        added=added,
        replaced=len(tags) - added,
        unchanged=unchanged,
        preview=True,
        changes=[models.import_change(old, new) for old, new in changes[:MAX_SHOWN_CHANGES]],
    )


@router.post("/id-tags/erase", **guarded(Right.ADMIN))
async def erase_id_tag(services: Given, body: models.Erase) -> models.Erased:
    """Remove an id tag from the database, the uploaded logs and the memory. It cannot be undone.

    Rows that are kept, such as transactions, get a random pseudonym. An id tag that is not on file is looked for too.
    """
    return models.erased(await services.erasure.erase(body.id_tag))


def parsed(data: bytes) -> list[IdTag]:
    """Return the id tags of a CSV file. Raises Problem 422, which names lines and echoes no values."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise _invalid_csv([(f"byte {exc.start}", "is not UTF-8")]) from None
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    tags: dict[str, IdTag] = {}
    faults: list[tuple[str, str]] = []
    try:
        names = rows.fieldnames or []
        if "id_tag" not in names or not set(names) <= {*COLUMNS, *IGNORED}:
            raise _invalid_csv([("line 1", f"the columns are {', '.join(COLUMNS)}")])
        for row in rows:
            try:
                tag = _tag(row)
            except ValidationError as exc:
                line = f"line {rows.line_num}"
                faults += [(line, f"{'.'.join(map(str, error['loc']))}: {error['msg']}") for error in exc.errors()]
            except ValueError as exc:
                faults.append((f"line {rows.line_num}", str(exc)))
            else:
                tags[tag.id_token.casefold()] = tag
    except csv.Error as exc:
        faults.append((f"line {rows.line_num}", str(exc)))
    if faults:
        raise _invalid_csv(faults[:MAX_FAULTS])
    return list(tags.values())


def _tag(row: dict[str, str]) -> IdTag:
    if None in row or None in row.values():
        raise ValueError("has more or fewer fields than the first line")
    fields = {name: _unquoted(text.strip()) for name, text in row.items() if text.strip() and name in COLUMNS[1:]}
    body = models.IdTagBody.model_validate_strings(fields)
    return models.filed(TOKEN.validate_python(_unquoted(row["id_tag"].strip())), body)


def _unquoted(text: str) -> str:
    """Return a cell without the apostrophe that an export puts before what a spreadsheet takes for a formula."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def _invalid_csv(faults: list[tuple[str, str]]) -> Problem:
    return Problem(422, "nothing was imported", kind="csv", faults=faults)


def _token(id_tag: str) -> str:
    try:
        return TOKEN.validate_python(id_tag)
    except ValidationError:
        raise Problem(
            422, "the id tag is not valid", faults=[("path.id_tag", "must not contain control characters")]
        ) from None
