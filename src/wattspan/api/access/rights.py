"""Roles and rights. A role has rights; an API token has its user's, narrowed to its scopes, which are rights too."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Right(StrEnum):
    """What a route asks for."""

    READ = "read"
    """See the fleet, its transactions and events; id tokens in part."""
    COMMAND = "command"
    """Have a charge point do something."""
    WRITE = "write"
    """Change what is on file: charge points, id tags, transactions."""
    ADMIN = "admin"
    """Users, the audit log, the settings."""


class Role(StrEnum):
    """What a user is."""

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
    """Who asks. `means` is "session" or "token ID"; `csrf` what a session's writes must bring along, "" for a token."""

    name: str
    role: Role
    means: str
    rights: frozenset[Right]
    digest: str
    """Of the secret they came with; names the session."""
    csrf: str = ""

    @property
    def sees_id_tokens(self) -> bool:
        """Whether id tokens are shown to them whole: they are personal data."""
        return Right.WRITE in self.rights


def narrowed(role: Role, scopes: Iterable[str]) -> frozenset[Right]:
    """The rights of a token of a user of that role."""
    wanted = set(scopes)
    return frozenset(right for right in RIGHTS[role] if right.value in wanted)
