"""Id tags on file."""

import asyncio
import csv
import io
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import TypeAdapter, ValidationError

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.etags import IfMatch, creating_or_matching, etag, matching
from wattspan.api.models import records as models
from wattspan.api.models.common import Token
from wattspan.api.paging import Cursor, Limit, Page, page, text_of
from wattspan.api.problems import Problem, not_found
from wattspan.api.services import Given
from wattspan.store.queries import id_tags as id_tag_queries
from wattspan.store.records import IdTag

router = APIRouter(prefix=PREFIX, tags=["id tags"])

COLUMNS = ("id_tag", "status", "expires_at", "parent", "max_active_transactions", "type")
MAX_CSV_BYTES = 20_971_520
MAX_FAULTS = 20
TOKEN: TypeAdapter[str] = TypeAdapter(Token)

Tag = Annotated[str, Path(min_length=1, max_length=255, description="The id tag; case does not matter.")]
CSV = {"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}}


@router.get("/id-tags", **guarded(Right.WRITE))
async def list_id_tags(
    services: Given,
    limit: Limit = 100,
    cursor: Cursor = None,
    prefix: Annotated[str, Query(max_length=255, description="How it begins; case does not matter.")] = "",
    status: models.Status | None = None,
) -> Page[models.IdTag]:
    """List id tags by token."""
    wanted = None if status is None else status.value
    found = await services.store.read(id_tag_queries.list_id_tags, text_of(cursor), limit + 1, prefix, wanted)
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


@router.post("/id-tags/import", **_import_keywords())  # type: ignore[arg-type]
async def import_id_tags(services: Given, request: Request) -> models.Imported:
    """Import id tags from CSV in UTF-8. The first line names the columns, of which only `id_tag` is required.

    If a line has a fault, nothing is imported. If the database fails meanwhile (503), send the same again.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "text/csv":
        raise Problem(415, "the content type must be text/csv")
    tags = await asyncio.to_thread(parsed, await request.body())
    added = 0
    for first in range(
        0, len(tags), id_tag_queries.BATCH_SIZE
    ):  # in batches: answers to charge points are stored in between
        added += await services.store.do(id_tag_queries.put_id_tags, tags[first : first + id_tag_queries.BATCH_SIZE])
    return models.Imported(added=added, replaced=len(tags) - added)


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
        if "id_tag" not in names or not set(names) <= set(COLUMNS):
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
    fields = {name: text.strip() for name, text in row.items() if text.strip() and name != "id_tag"}
    body = models.IdTagBody.model_validate_strings(fields)
    return models.filed(TOKEN.validate_python(row["id_tag"].strip()), body)


def _invalid_csv(faults: list[tuple[str, str]]) -> Problem:
    return Problem(422, "nothing was imported", kind="csv", faults=faults)


def _token(id_tag: str) -> str:
    try:
        return TOKEN.validate_python(id_tag)
    except ValidationError:
        raise Problem(
            422, "the id tag is not valid", faults=[("path.id_tag", "must not contain control characters")]
        ) from None
