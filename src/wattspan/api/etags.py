"""Strong ETags of what an operator may change, and the preconditions of a change (RFC 9110 §13)."""

from collections.abc import Callable
from dataclasses import astuple, replace
from hashlib import blake2b
from typing import Annotated, Any

from fastapi import Header

from wattspan.api.problems import Problem, not_found
from wattspan.errors import Stale
from wattspan.store.queries.sites import Site
from wattspan.store.records import IdTag, Registration, User

IfMatch = Annotated[str | None, Header(max_length=200, description="The ETag that was read; `*` matches any version.")]


def etag(record: IdTag | Registration | Site | User) -> str:
    """Return the ETag of a record's fields that operators change; charge points and logins do not affect it."""
    if isinstance(record, Registration):
        notes = (record.name, record.location, record.note, record.security_profile, record.unknown_id_tags)
        fields: tuple[Any, ...] = (record.registered_ts, record.secret, record.registered_serial, *notes)
    elif isinstance(record, User):
        fields = (record.name, record.role, record.password, record.disabled)
    elif isinstance(record, IdTag):
        fields = astuple(replace(record, last_used_ts=None, last_used_cp_id=None))
    else:
        fields = astuple(record)
    return f'"{blake2b(repr(fields).encode(), digest_size=12).hexdigest()}"'


def matching(what: str, if_match: str | None, *, needed: bool = True) -> Callable[[Any], None]:
    """Return a check for the store that what is on file is what the caller read.

    The check raises Problem 404 if nothing is on file, and Stale if the version differs.

    Raises Problem 428 if there is no If-Match and it is `needed`.
    """
    if if_match is None and needed:
        raise Problem(428, "If-Match is required", kind="precondition")

    def check(record: Any) -> None:
        if record is None:
            raise not_found(what)
        _compare(record, if_match)

    return check


def creating_or_matching(if_match: str | None) -> Callable[[Any], None]:
    """Return a check for PUT: nothing is on file and there is no If-Match, or what is on file is what the caller read.

    The check raises Stale, or Problem 428 if something is on file and there is no If-Match.
    """

    def check(record: Any) -> None:
        if record is None:
            if if_match is not None:
                raise Stale("it does not exist any more")
            return
        if if_match is None:
            raise Problem(428, "it exists: If-Match is required to replace it", kind="precondition")
        _compare(record, if_match)

    return check


def _compare(record: Any, if_match: str | None) -> None:
    if if_match is not None and if_match.strip() != "*":
        accepted = [each.strip() for each in if_match.split(",")]
        if etag(record) not in accepted:
            raise Stale("it has changed since you read it; read it again")
