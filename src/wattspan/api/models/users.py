"""Users, log-ins and API tokens."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from wattspan.api.access.rights import Right, Role
from wattspan.api.models.common import At, Body, Shown, Text, moment, storable
from wattspan.store import records as entries


def _no_spaces_around(name: str) -> str:
    if name != name.strip():
        raise ValueError("no spaces before or after it")
    return name


UserName = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[\w.@+ -]+$"), AfterValidator(_no_spaces_around)
]
Password = Annotated[SecretStr, Field(min_length=12, max_length=200)]


class LogIn(Body):
    """A name and a password."""

    name: Annotated[str, Field(max_length=64), AfterValidator(storable)]
    password: Annotated[SecretStr, Field(max_length=200)]


class Registration(Body):
    """A person who registers."""

    name: UserName
    password: Password


class NewUser(Registration):
    """A user to be made."""

    role: Role


class UserChange(Body):
    """What is to change of a user; what is not given stays."""

    role: Role | None = None
    password: Password | None = None
    disabled: bool | None = None


class PasswordChange(Body):
    """One's own password."""

    old: Annotated[SecretStr, Field(max_length=200)]
    new: Password


class User(Shown):
    """A user."""

    name: str
    role: Role
    disabled: bool
    created_at: At | None
    last_login_at: At | None


class Session(Shown):
    """Who is logged in. `csrf_token` goes into the header X-CSRF-Token of each write; "" for a token."""

    name: str
    role: Role
    rights: list[Right]
    csrf_token: str


class NewToken(Body):
    """A token to be made. `expires_in_days` null: it never expires."""

    label: Text = ""
    scopes: Annotated[set[Right], Field(min_length=1)]
    expires_in_days: Annotated[float, Field(gt=0, le=3650)] | None = 90


class Token(Shown):
    """A token, without its secret."""

    id: str
    label: str
    scopes: list[Right]
    created_at: At | None
    expires_at: At | None


class TokenMade(Token):
    """A new token, with its secret, told this once."""

    secret: str


def user(entry: entries.User) -> User:
    """A user as JSON has it."""
    return User(
        name=entry.name,
        role=Role(entry.role),
        disabled=bool(entry.disabled),
        created_at=moment(entry.created_ts),
        last_login_at=moment(entry.last_login_ts),
    )


def token(entry: entries.ApiToken) -> Token:
    """A token as JSON has it."""
    return Token(**_token(entry))


def token_made(entry: entries.ApiToken, secret: str) -> TokenMade:
    """A new token and its secret."""
    return TokenMade(**_token(entry), secret=secret)


def _token(entry: entries.ApiToken) -> dict[str, object]:
    return {
        "id": entry.token_id,
        "label": entry.label,
        "scopes": sorted(entry.scopes),
        "created_at": moment(entry.created_ts),
        "expires_at": moment(entry.expires_ts),
    }
