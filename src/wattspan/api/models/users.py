"""Users, logins and API tokens."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from wattspan.api.access.rights import Right, Role
from wattspan.api.models.common import At, Body, Shown, Text, datetime_of, storable
from wattspan.store import records


def _without_outer_spaces(name: str) -> str:
    if name != name.strip():
        raise ValueError("must not begin or end with a space")
    return name


UserName = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[\w.@+ -]+$"), AfterValidator(_without_outer_spaces)
]


def _encodable(secret: SecretStr) -> SecretStr:
    """Return the secret if it has a UTF-8 form; half of a surrogate pair has none. Raises ValueError."""
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain half of a surrogate pair") from None
    return secret


GivenPassword = Annotated[SecretStr, Field(max_length=200), AfterValidator(_encodable)]
"""A password to check."""
Password = Annotated[SecretStr, Field(min_length=12, max_length=200), AfterValidator(_encodable)]
"""A password to set."""


class LoginRequest(Body):
    """The name and password of a user."""

    name: Annotated[str, Field(max_length=64), AfterValidator(storable)]
    password: GivenPassword


class Registration(Body):
    """A person who registers."""

    name: UserName
    password: Password


class NewUser(Registration):
    """A user to add."""

    role: Role


class UserChange(Body):
    """Changes of a user; what is not given stays."""

    role: Role | None = None
    password: Password | None = None
    disabled: bool | None = None


class PasswordChange(Body):
    """A change of one's own password."""

    old: GivenPassword
    new: Password


class User(Shown):
    """A user."""

    name: str
    role: Role
    disabled: bool
    created_at: At | None
    last_login_at: At | None


class Session(Shown):
    """Who is logged in. Each write sends `csrf_token` in the header X-CSRF-Token; "" for a token."""

    name: str
    role: Role
    rights: list[Right]
    csrf_token: str


class NewToken(Body):
    """A token to make. `expires_in_days` null: it never expires."""

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
    """A new token with its secret, which no other answer contains."""

    secret: str


def user(record: records.User) -> User:
    """Return the JSON of a user."""
    return User(
        name=record.name,
        role=Role(record.role),
        disabled=bool(record.disabled),
        created_at=datetime_of(record.created_ts),
        last_login_at=datetime_of(record.last_login_ts),
    )


def token(record: records.ApiToken) -> Token:
    """Return the JSON of a token."""
    return Token(**_token(record))


def token_made(record: records.ApiToken, secret: str) -> TokenMade:
    """Return the JSON of a new token and its secret."""
    return TokenMade(**_token(record), secret=secret)


def _token(record: records.ApiToken) -> dict[str, object]:
    return {
        "id": record.token_id,
        "label": record.label,
        "scopes": sorted(record.scopes),
        "created_at": datetime_of(record.created_ts),
        "expires_at": datetime_of(record.expires_ts),
    }
