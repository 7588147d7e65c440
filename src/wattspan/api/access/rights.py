"""Roles and rights. A role has rights; an API token has those of its user that are among its scopes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Right(StrEnum):
    """A right that a route requires."""

    READ = "read"
    """Read the fleet, its transactions and events; id tokens are masked."""
    COMMAND = "command"
    """Send commands to charge points."""
    WRITE = "write"
    """Change what is on file: charge points, id tags, transactions."""
    ADMIN = "admin"
    """Users, the audit log, the settings."""


class Role(StrEnum):
    """The role of a user."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.READ}),
    Role.OPERATOR: frozenset({Right.READ, Right.COMMAND, Right.WRITE}),
    Role.ADMIN: frozenset(Right),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who sends a request. `auth_method` is "session", "password" or "token ID"; `csrf` is the login's CSRF token."""

    name: str
    role: Role
    auth_method: str
    rights: frozenset[Right]
    digest: str
    """The digest of the secret they authenticated with; identifies the login."""
    csrf: str = ""

    @property
    def sees_id_tokens(self) -> bool:
        """Whether they may see id tokens, which are personal data, unmasked."""
        return Right.WRITE in self.rights


CHANGING = frozenset({Right.COMMAND, Right.WRITE})
"""Rights that nobody has where the server only observes another central system."""


def narrowed(role: Role, scopes: Iterable[str]) -> frozenset[Right]:
    """Return the rights of a token with these scopes, of a user of that role."""
    wanted = set(scopes)
    return frozenset(right for right in RIGHTS[role] if right.value in wanted)
