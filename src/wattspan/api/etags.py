"""ETags of what an operator may change, and the precondition of a change (RFC 9110 §13). Strong ones alone."""

from collections.abc import Callable
from dataclasses import astuple
from hashlib import blake2b
from typing import Annotated, Any

from fastapi import Header

from wattspan.api.problems import Problem, not_found
from wattspan.errors import Stale
from wattspan.store.records import IdTag, Registration, User

IfMatch = Annotated[str | None, Header(max_length=200, description="The ETag that was seen; `*`: whatever there is.")]


def etag(entry: IdTag | Registration | User) -> str:
    """The ETag of an entry: of what an operator writes, not of what a charge point or a log-in moves."""
    if isinstance(entry, Registration):
        notes = (entry.name, entry.location, entry.note, entry.security_profile, entry.unknown_id_tags)
        seen: tuple[Any, ...] = (entry.registered_ts, entry.secret, *notes)
    elif isinstance(entry, User):
        seen = (entry.name, entry.role, entry.password, entry.disabled)
    else:
        seen = astuple(entry)
    return f'"{blake2b(repr(seen).encode(), digest_size=12).hexdigest()}"'


def matching(what: str, if_match: str | None, *, needed: bool = True) -> Callable[[Any], None]:
    """A check for the store: what is there is what the caller saw.

    It raises Problem 404 where there is nothing, Stale where it is another. Without If-Match: Problem 428 if `needed`.
    """
    if if_match is None and needed:
        raise Problem(428, "If-Match must say which version is meant", kind="precondition")

    def check(entry: Any) -> None:
        if entry is None:
            raise not_found(what)
        _compare(entry, if_match)

    return check


def creating_or_matching(if_match: str | None) -> Callable[[Any], None]:
    """A check for a PUT: nothing is there and none was said to be, or what is there is what the caller saw."""

    def check(entry: Any) -> None:
        if entry is None:
            if if_match is not None:
                raise Stale("there is nothing any more that could match")
            return
        if if_match is None:
            raise Problem(428, "it exists: If-Match must say which version is meant", kind="precondition")
        _compare(entry, if_match)

    return check


def _compare(entry: Any, if_match: str | None) -> None:
    if if_match is not None and if_match.strip() != "*":
        asked = [each.strip() for each in if_match.split(",")]
        if etag(entry) not in asked:
            raise Stale("it was changed since you saw it; read it again")
