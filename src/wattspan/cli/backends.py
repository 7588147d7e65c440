"""Chooses how a command reaches charge points, id tags and users: a server's API, or the database itself."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from wattspan.cli.api_backend import ApiRegistry
from wattspan.cli.api_client import ApiError, Client, Json
from wattspan.cli.help import DescribedOption
from wattspan.cli.logins import DEFAULT_URL, TOKEN_VARIABLE, URL_VARIABLE, saved_logins
from wattspan.cli.options import read_settings, settings_options

F = TypeVar("F", bound=Callable[..., Any])


class Registry(Protocol):
    """Charge points, id tags and users. Rows have the form of the API's JSON. Every method raises WattspanError."""

    def charge_points(self) -> Iterable[Json]:
        """Return all charge points."""

    def add_charge_point(
        self, cp_id: str, password: str | None, *, generate: bool, security_profile: int | None
    ) -> tuple[bool, str | None]:
        """Register a charge point, or change its password. Return whether it is new, and the generated password.

        The password is `password`, a generated one, or none. `security_profile` None leaves the required one unchanged.
        """

    def change_charge_point(self, cp_id: str, fields: Json) -> None:
        """Change fields of a registered charge point, as `PATCH /charge-points/{cp_id}` has them."""

    def remove_charge_point(self, cp_id: str) -> None:
        """Decommission a charge point."""

    def id_tags(self) -> Iterable[Json]:
        """Return all id tags."""

    def put_id_tag(self, tag: Json) -> None:
        """Add or replace an id tag."""

    def remove_id_tag(self, id_tag: str) -> None:
        """Remove an id tag."""

    def erase_id_tag(self, id_tag: str) -> Json:
        """Remove an id tag from everything that is stored. Return what was removed."""

    def import_id_tags(self, data: bytes) -> int:
        """Add or replace all id tags of a CSV file, or none of them. Return how many."""

    def users(self) -> Iterable[Json]:
        """Return all users."""

    def add_user(self, name: str, role: str, password: str) -> None:
        """Create a user."""

    def remove_user(self, name: str) -> None:
        """Remove a user, unless it is the last admin."""

    def set_password(self, name: str, password: str) -> None:
        """Change a user's password, which ends their logins to the console."""


def api_options(command: F) -> F:
    """Add `--url` and `--token`."""
    url = click.option(
        "--url",
        cls=DescribedOption,
        shown_envvar=URL_VARIABLE,
        shown_default=f"the last login's, or {DEFAULT_URL}",
        section="Server or database",
        help="Address of a server's API.",
    )
    token = click.option(
        "--token",
        cls=DescribedOption,
        shown_envvar=TOKEN_VARIABLE,
        shown_default="the login's",
        section="Server or database",
        help="API token. Other users of this machine can see it; prefer the variable, or `wattspan login`.",
    )
    return url(token(command))


def registry_options(command: F) -> F:
    """Add `--url` and `--token`, and `--database` and `--config` for access without a server."""
    database = settings_options(
        "database",
        help={"database": "Work on this database (a SQLite file or a URL) instead of a server's API."},
        defaults={"database": "wattspan.db if not logged in"},
        sections={"Server or database": ("database", "config")},
    )
    return api_options(database(command))


def open_client(url: str | None, token: str | None) -> Client:
    """Return a client of the API that the options, variables or saved logins name; close it.

    Raises:
        ApiError: there is no token for it.
    """
    url, token = _address(url, token)
    if token is None:
        raise ApiError(f"not logged in to {url}; run `wattspan login --url {url}`, or set {TOKEN_VARIABLE}")
    return Client(url, token)


@contextmanager
def open_registry(url: str | None, token: str | None, database: str | None, config: Path | None) -> Iterator[Registry]:
    """Return the API's registry if `--url` names a server or there is a token for one, else the database's.

    `--database` and `--config` always mean the database.
    """
    names_database = database is not None or config is not None
    if names_database and url is not None:
        raise click.UsageError("--url and --database cannot be used together: one is a server, the other a file")
    if names_database or (url is None and _address(url, token)[1] is None):
        from wattspan.cli.database_backend import DatabaseRegistry  # noqa: PLC0415  imports the server's libraries

        settings = read_settings({"database": database, "config": config})
        yield DatabaseRegistry(settings.database, settings.files)
        return
    with open_client(url, token) as client:
        yield ApiRegistry(client)


def _address(url: str | None, token: str | None) -> tuple[str, str | None]:
    """Return the server's URL and the token, or None: from options, else variables, else saved logins."""
    logins = saved_logins()
    latest = logins[0].url if logins else DEFAULT_URL
    url = (url or os.environ.get(URL_VARIABLE) or latest).rstrip("/")
    saved = next((each.token for each in logins if each.url == url), None)
    return url, token or os.environ.get(TOKEN_VARIABLE) or saved
