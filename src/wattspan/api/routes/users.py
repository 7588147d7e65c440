"""Users, as an admin keeps them."""

from typing import Any

from fastapi import APIRouter, Response

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.etags import IfMatch, etag, matching
from wattspan.api.models import users as models
from wattspan.api.paging import Cursor, Limit, Page, page, text_of
from wattspan.api.problems import Problem, not_found
from wattspan.api.services import Given
from wattspan.store import records as entries
from wattspan.store.queries import users as user_queries

router = APIRouter(prefix=PREFIX, tags=["users"])


@router.get("/users", **guarded(Right.ADMIN))
async def list_users(services: Given, limit: Limit = 100, cursor: Cursor = None) -> Page[models.User]:
    """Users by name."""
    found = await services.store.read(user_queries.users, text_of(cursor), limit + 1)
    return page(found, limit, lambda entry: entry.name, models.user)


@router.post("/users", status_code=201, **guarded(Right.ADMIN, 409))
async def create_user(services: Given, new: models.NewUser, response: Response) -> models.User:
    """Make a user."""
    stored = await services.keeper.passwords.hash(new.password.get_secret_value())
    entry = entries.User(name=new.name, role=new.role.value, password=stored, created_ts=services.now_ts())
    if not await services.store.do(user_queries.add_user, entry):
        raise Problem(409, "the name is taken", kind="name-taken")
    response.headers["ETag"] = etag(entry)
    return models.user(entry)


@router.get("/users/{name}", **guarded(Right.ADMIN, 404))
async def read_user(services: Given, name: str, response: Response) -> models.User:
    """One user."""
    entry = await services.store.read(user_queries.user, name)
    if entry is None:
        raise not_found("user")
    response.headers["ETag"] = etag(entry)
    return models.user(entry)


@router.patch("/users/{name}", **guarded(Right.ADMIN, 404, 409, 412, 428))
async def update_user(
    services: Given, name: str, change: models.UserChange, response: Response, if_match: IfMatch = None
) -> models.User:
    """Change role or password, or let nobody in by that name. Sessions of the user end."""
    fields: dict[str, Any] = {}
    if change.role is not None:
        fields["role"] = change.role.value
    if change.disabled is not None:
        fields["disabled"] = change.disabled
    if change.password is not None:
        fields["password"] = await services.keeper.passwords.hash(change.password.get_secret_value())
    entry = await services.store.do(user_queries.change_user, name, fields, matching("user", if_match))
    if entry is None:
        raise _last_admin()
    response.headers["ETag"] = etag(entry)
    return models.user(entry)


@router.delete("/users/{name}", status_code=204, **guarded(Right.ADMIN, 404, 409, 412))
async def delete_user(services: Given, name: str, if_match: IfMatch = None) -> None:
    """Remove a user, with sessions and tokens. What they did stays in the audit log."""
    if not await services.store.do(user_queries.remove_user, name, matching("user", if_match, needed=False)):
        raise _last_admin()


def _last_admin() -> Problem:
    return Problem(409, "the last admin stays", kind="last-admin")
