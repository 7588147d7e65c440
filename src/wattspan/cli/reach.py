"""How a command reaches the books: by a server's API, or the database itself. It owns the choice and its options."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from wattspan.cli.by_api import ByApi
from wattspan.cli.client import ApiError, Client, Json
from wattspan.cli.logins import DEFAULT_URL, TOKEN, URL, kept
from wattspan.cli.options import read_settings, settings_options

F = TypeVar("F", bound=Callable[..., Any])


class Books(Protocol):
    """Who may connect, who may charge, who may log in. Rows are as the API's JSON has them. All raise WattspanError."""

    def charge_points(self) -> Iterable[Json]:
        """All charge points."""

    def add_charge_point(
        self, cp_id: str, secret: str | None, *, make: bool, security_profile: int | None
    ) -> tuple[bool, str | None]:
        """Register one, or change its secret: `secret`, one that is made, or none. (Whether it is new, one made.)

        `security_profile` None leaves the one that is required of it as it is.
        """

    def remove_charge_point(self, cp_id: str) -> None:
        """Decommission one."""

    def id_tags(self) -> Iterable[Json]:
        """All id tags."""

    def put_id_tag(self, tag: Json) -> None:
        """Put one on file, or replace it."""

    def remove_id_tag(self, id_tag: str) -> None:
        """Take one off file."""

    def import_id_tags(self, data: bytes) -> int:
        """Put those of a CSV file on file, or none; how many."""

    def users(self) -> Iterable[Json]:
        """All users."""

    def add_user(self, name: str, role: str, password: str) -> None:
        """Make one."""

    def remove_user(self, name: str) -> None:
        """Remove one, who is not the last admin."""

    def set_password(self, name: str, password: str) -> None:
        """Give one another password; their sessions end."""


def api_options(command: F) -> F:
    """`--url` and `--token`."""
    token = click.option("--token", help=f"A token of the API; better by environment, or wattspan login.  [{TOKEN}]")
    return click.option("--url", help=f"The API of a server.  [{URL}; the log-in's, or {DEFAULT_URL}]")(token(command))


def books_options(command: F) -> F:
    """Those, and `--database` and `--config` for the database itself."""
    return api_options(settings_options("database")(command))


def client(url: str | None, token: str | None) -> Client:
    """The API that is meant; close it. ApiError: nobody is logged in there."""
    url, token = _meant(url, token)
    if token is None:
        raise ApiError(f"nobody is logged in to {url}: wattspan login --url {url}, or a token in {TOKEN}")
    return Client(url, token)


@contextmanager
def books(url: str | None, token: str | None, database: str | None, config: Path | None) -> Iterator[Books]:
    """The API when it is named by `--url` or there is a token for it; else, or when it is named, the database."""
    by_name = database is not None or config is not None
    if by_name and url is not None:
        raise click.UsageError("--url and --database exclude each other: by the API, or on the file itself")
    if by_name or (url is None and _meant(url, token)[1] is None):
        from wattspan.cli.by_database import ByDatabase  # noqa: PLC0415  all of a server, for which the API stands

        yield ByDatabase(read_settings({"database": database, "config": config}).database)
        return
    with client(url, token) as found:
        yield ByApi(found)


def _meant(url: str | None, token: str | None) -> tuple[str, str | None]:
    """Address and token: options, then environment, then log-ins."""
    logins = kept()
    latest = logins[0].url if logins else DEFAULT_URL
    url = (url or os.environ.get(URL) or latest).rstrip("/")
    of_login = next((each.token for each in logins if each.url == url), None)
    return url, token or os.environ.get(TOKEN) or of_login
