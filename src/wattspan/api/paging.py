"""Pages of a list, by cursor: each names the cursor of the next one, which is opaque to clients."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

from wattspan.api.problems import Problem

T = TypeVar("T")
E = TypeVar("E")

MAX_LIMIT = 500
INT64 = 2**63

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="The maximum number of items.")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next` of the previous page.")]


class Page(BaseModel, Generic[T]):
    """A page of a list. `next` null: it is the last."""

    items: list[T]
    next: str | None = None


def text_of(cursor: str | None) -> str:
    """Return the key that the page begins after; "" for the first page. Raises Problem 422 for any other text."""
    if cursor is None:
        return ""
    try:
        text = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError) as exc:
        raise bad_cursor() from exc
    if "\0" in text:
        raise bad_cursor()
    return text


def number_of(cursor: str | None) -> int | None:
    """Return the number that the page begins after; None for the first page. Raises Problem 422 for any other text."""
    text = text_of(cursor)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) < INT64):
        raise bad_cursor()
    return int(text)


def page(found: Sequence[E], limit: int, key: Callable[[E], object], shown: Callable[[E], T]) -> Page[T]:
    """Return the first `limit` of `found` (query one more), each as `shown`; the next page begins after their `key`."""
    items = found[:limit]
    more = len(found) > limit
    after = urlsafe_b64encode(str(key(items[-1])).encode()).decode().rstrip("=") if more else None
    return Page(items=[shown(each) for each in items], next=after)


def bad_cursor() -> Problem:
    """Return the problem of a cursor that `page` did not make."""
    return Problem(422, "the cursor is not valid", faults=[("query.cursor", "use `next` of the previous page")])
