"""Streams rows as CSV or JSON Lines, page by page, so that an export of any size takes little memory."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import orjson
from fastapi.responses import StreamingResponse

PAGE_ROWS = 1_000
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet would take for a formula."""

Rows = Sequence[Mapping[str, Any]]
NextPage = Callable[[], Awaitable[Rows | None]]
"""Returns the next rows, perhaps none of them wanted; None at the end."""


class Format(StrEnum):
    """The format of an export."""

    CSV = "csv"
    JSONL = "jsonl"


MEDIA_TYPES: Mapping[Format, str] = {Format.CSV: "text/csv", Format.JSONL: "application/jsonl"}

CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The rows",
        "content": {media_type: {"schema": {"type": "string"}} for media_type in MEDIA_TYPES.values()},
    }
}
"""The OpenAPI response of an export."""


def download(name: str, how: Format, columns: Sequence[str], next_page: NextPage) -> StreamingResponse:
    """Return the response that streams all pages as a file. An error after its begin cuts the stream off."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.{how.value}"'}
    media_type = f"{MEDIA_TYPES[how]}; charset=utf-8"
    return StreamingResponse(_pages(how, columns, next_page), media_type=media_type, headers=headers)


async def _pages(how: Format, columns: Sequence[str], next_page: NextPage) -> AsyncIterator[bytes]:
    if how is Format.CSV:
        yield _csv([dict.fromkeys(columns)], columns, only_head=True)
    while (rows := await next_page()) is not None:
        if rows:
            yield await asyncio.to_thread(_csv if how is Format.CSV else _json_lines, rows, columns)


def _csv(rows: Rows, columns: Sequence[str], *, only_head: bool = False) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if only_head:
        writer.writerow(columns)
    else:
        writer.writerows([_cell(row[name]) for name in columns] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """Return a value as a cell: no spreadsheet may take a text for a formula."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    if isinstance(value, list | dict):
        return orjson.dumps(value).decode()
    return value


def _json_lines(rows: Rows, columns: Sequence[str]) -> bytes:
    lines = [orjson.dumps({name: row[name] for name in columns}, option=orjson.OPT_NON_STR_KEYS) for row in rows]
    return b"\n".join(lines) + b"\n"
