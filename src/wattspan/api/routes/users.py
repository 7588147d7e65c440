"""Users, as an admin manages them."""

from fastapi import APIRouter, Response

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.etags import IfMatch, etag, matching
from wattspan.api.models import users as models
from wattspan.api.paging import Cursor, Limit, Page, page, text_of
from wattspan.api.problems import not_found
from wattspan.api.services import Given
from wattspan.store.queries import users as user_queries

router = APIRouter(prefix=PREFIX, tags=["users"])


@router.get("/users", **guarded(Right.ADMIN))
async def list_users(services: Given, limit: Limit = 100, cursor: Cursor = None) -> Page[models.User]:
    """List users by name."""
    found = await services.store.read(user_queries.users, text_of(cursor), limit + 1)
    return page(found, limit, lambda user: user.name, models.user)


@router.post("/users", status_code=201, **guarded(Right.ADMIN, 409))
async def create_user(services: Given, new: models.NewUser, response: Response) -> models.User:
    """Add a user."""
    user = await services.registry.add_user(new.name, new.role.value, new.password.get_secret_value())
    response.headers["ETag"] = etag(user)
    return models.user(user)


@router.get("/users/{name}", **guarded(Right.ADMIN, 404))
async def read_user(services: Given, name: str, response: Response) -> models.User:
    """Return one user."""
    user = await services.store.read(user_queries.user, name)
    if user is None:
        raise not_found("user")
    response.headers["ETag"] = etag(user)
    return models.user(user)


@router.patch("/users/{name}", **guarded(Right.ADMIN, 404, 409, 412, 428))
async def update_user(
    services: Given, name: str, change: models.UserChange, response: Response, if_match: IfMatch = None
) -> models.User:
    """Change the role or password of a user, or disable it. All logins of the user end."""
    user = await services.registry.change_user(
        name,
        role=None if change.role is None else change.role.value,
        disabled=change.disabled,
        password=None if change.password is None else change.password.get_secret_value(),
        check=matching("user", if_match),
    )
    response.headers["ETag"] = etag(user)
    return models.user(user)


@router.delete("/users/{name}", status_code=204, **guarded(Right.ADMIN, 404, 409, 412))
async def delete_user(services: Given, name: str, if_match: IfMatch = None) -> None:
    """Remove a user, with all logins and tokens. The audit log keeps what the user did."""
    await services.registry.remove_user(name, matching("user", if_match, needed=False))
