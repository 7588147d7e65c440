"""Users, their logins and API tokens. Secrets arrive as digests; what a user may do is decided by the API."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from wattspan.errors import LimitReached
from wattspan.store.queries import Check
from wattspan.store.queries.locks import USERS, lock
from wattspan.store.records import ApiToken, User
from wattspan.store.schema import tables as t
from wattspan.store.upsert import insert

ADMIN = "admin"
"""The role that may manage users."""
_USER = [column for column in t.users.c if column.name != "user_key"]


def user(connection: sa.Connection, name: str) -> User | None:
    """Return the user of that name, ignoring letter case, or None."""
    found = connection.execute(sa.select(*_USER).where(t.users.c.user_key == name.casefold())).mappings().first()
    return None if found is None else User(**found)


def users(connection: sa.Connection, after: str, limit: int) -> list[User]:
    """Return up to `limit` users by name, starting after `after`."""
    query = sa.select(*_USER).where(t.users.c.user_key > after.casefold()).order_by(t.users.c.user_key).limit(limit)
    return [User(**found) for found in connection.execute(query).mappings()]


def add_user(connection: sa.Connection, new: User, max_users: int | None = None) -> bool:
    """Add a user. Return False if the name is taken. Raise LimitReached if there are `max_users` already."""
    lock(connection, USERS)
    if user(connection, new.name) is not None:
        return False
    if max_users is not None and _count(connection, t.users) >= max_users:
        raise LimitReached("users", max_users)
    values = {column.name: getattr(new, column.name) for column in _USER}
    added = insert(connection.dialect, t.users).values(user_key=new.name.casefold(), **values)
    # Another node may be adding the same user, whom no query shows until its commit.
    rows = connection.execute(added.on_conflict_do_nothing().returning(t.users.c.user_key))
    return rows.first() is not None  # PostgreSQL's driver counts no rows here


def add_first_user(connection: sa.Connection, new: User) -> bool:
    """Add a user only if there are none yet. Return False if there are."""
    lock(connection, USERS)
    if connection.execute(sa.select(t.users.c.user_key).limit(1)).first() is not None:
        return False
    return add_user(connection, new)


def change_user(connection: sa.Connection, name: str, changes: Mapping[str, Any], check: Check) -> User | None:
    """Change a user and end their logins. API tokens stay: they are limited by the user's present role.

    Return None, with nothing changed, if no admin who can log in would be left.
    """
    lock(connection, USERS)
    before = user(connection, name)
    check(before)
    after = None if before is None else replace(before, **changes)
    if is_admin(before) and not is_admin(after) and not other_admins(connection, name):
        return None
    mine = t.users.c.user_key == name.casefold()
    if changes:
        connection.execute(sa.update(t.users).where(mine).values(**changes))
    end_logins(connection, name)
    return user(connection, name)


def is_admin(who: User | None) -> bool:
    """Return whether the user is an admin who can log in."""
    return who is not None and who.role == ADMIN and not who.disabled


def other_admins(connection: sa.Connection, name: str) -> bool:
    """Return whether a user other than `name` is an admin who can log in."""
    c = t.users.c
    others = sa.select(c.user_key).where(c.role == ADMIN, c.disabled.is_(False), c.user_key != name.casefold())
    return connection.execute(others.limit(1)).first() is not None


def remove_user(connection: sa.Connection, name: str, check: Check) -> bool:
    """Remove a user with their logins and tokens. Return False for the last admin who can log in."""
    lock(connection, USERS)
    before = user(connection, name)
    check(before)
    if is_admin(before) and not other_admins(connection, name):
        return False
    key = name.casefold()
    for table in (t.login_sessions, t.api_tokens, t.users):
        connection.execute(sa.delete(table).where(table.c.user_key == key))
    return True


def add_login(
    connection: sa.Connection, digest: str, verified: User, now_ts: float, expires_ts: float, replaces: str
) -> bool:
    """Add a login. Delete the one it `replaces` (its digest) and all that have expired.

    Return False, with nothing changed, if the user or the password was changed since it was verified.
    """
    key, c = verified.name.casefold(), t.login_sessions.c
    unchanged = (t.users.c.user_key == key, t.users.c.password == verified.password, t.users.c.disabled.is_(False))
    if not connection.execute(sa.update(t.users).where(*unchanged).values(last_login_ts=now_ts)).rowcount:
        return False
    expired = sa.or_(c.digest == replaces, c.expires_ts <= now_ts)
    connection.execute(sa.delete(t.login_sessions).where(expired))
    login = {"digest": digest, "user_key": key, "created_ts": now_ts, "expires_ts": expires_ts}
    connection.execute(sa.insert(t.login_sessions).values(login))
    return True


def login_user(connection: sa.Connection, digest: str, now_ts: float) -> User | None:
    """Return the user of a login; None if it is unknown or expired, or the user is disabled."""
    c = t.login_sessions.c
    joined = t.users.join(t.login_sessions, t.users.c.user_key == c.user_key)
    alive = sa.and_(c.digest == digest, c.expires_ts > now_ts, t.users.c.disabled.is_(False))
    found = connection.execute(sa.select(*_USER).select_from(joined).where(alive)).mappings().first()
    return None if found is None else User(**found)


def end_login(connection: sa.Connection, digest: str) -> None:
    """End one login."""
    connection.execute(sa.delete(t.login_sessions).where(t.login_sessions.c.digest == digest))


def end_logins(connection: sa.Connection, name: str) -> None:
    """End all logins of a user."""
    connection.execute(sa.delete(t.login_sessions).where(t.login_sessions.c.user_key == name.casefold()))


def open_logins(connection: sa.Connection, now_ts: float) -> int:
    """Return how many logins are open."""
    query = sa.select(sa.func.count()).select_from(t.login_sessions).where(t.login_sessions.c.expires_ts > now_ts)
    return connection.execute(query).scalar_one()


def add_token(connection: sa.Connection, digest: str, token: ApiToken, max_tokens: int) -> None:
    """Add a token. Raise LimitReached if its user has `max_tokens` that have not expired at its creation."""
    lock(connection, USERS)
    c = t.api_tokens.c
    alive = sa.or_(c.expires_ts.is_(None), c.expires_ts > token.created_ts)
    if _count(connection, t.api_tokens, c.user_key == token.user.casefold(), alive) >= max_tokens:
        raise LimitReached("API tokens of this user", max_tokens)
    connection.execute(
        sa.insert(t.api_tokens).values(
            digest=digest,
            token_id=token.token_id,
            user_key=token.user.casefold(),
            label=token.label,
            scopes=" ".join(token.scopes),
            created_ts=token.created_ts,
            expires_ts=token.expires_ts,
        )
    )


def tokens(connection: sa.Connection, name: str) -> list[ApiToken]:
    """Return a user's tokens, oldest first."""
    c = t.api_tokens.c
    query = sa.select(t.api_tokens).where(c.user_key == name.casefold()).order_by(c.created_ts, c.token_id)
    return [_token(found, name) for found in connection.execute(query).mappings()]


def token_user(connection: sa.Connection, digest: str, now_ts: float) -> tuple[User, ApiToken] | None:
    """Return the token and its user; None if it is unknown or expired, or the user is disabled."""
    c = t.api_tokens.c
    alive = sa.and_(c.digest == digest, sa.or_(c.expires_ts.is_(None), c.expires_ts > now_ts))
    found = connection.execute(sa.select(t.api_tokens).where(alive)).mappings().first()
    owner = None if found is None else user(connection, found["user_key"])
    if found is None or owner is None or owner.disabled:
        return None
    return owner, _token(found, owner.name)


def remove_token(connection: sa.Connection, name: str, token_id: str) -> bool:
    """Revoke a token. Return False if the user has none of that id."""
    c = t.api_tokens.c
    mine = sa.and_(c.user_key == name.casefold(), c.token_id == token_id)
    return connection.execute(sa.delete(t.api_tokens).where(mine)).rowcount > 0


def _count(connection: sa.Connection, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(table).where(*conditions)).scalar_one()


def _token(found: Mapping[Any, Any], name: str) -> ApiToken:
    return ApiToken(
        token_id=found["token_id"],
        user=name,
        label=found["label"],
        scopes=tuple(found["scopes"].split()),
        created_ts=found["created_ts"],
        expires_ts=found["expires_ts"],
    )
