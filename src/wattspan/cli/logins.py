"""`wattspan login` and `logout`: API tokens, saved in the user's own configuration folder with mode 0600."""

import json
import os
import socket
import sys
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import click

from wattspan.cli.api_client import ApiError, Client
from wattspan.cli.help import DescribedOption
from wattspan.settings import is_loopback

DEFAULT_URL = "http://127.0.0.1:8080"
URL_VARIABLE, TOKEN_VARIABLE = "WATTSPAN_API_URL", "WATTSPAN_TOKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A token that `wattspan login` created. `token_id` identifies it when it is revoked."""

    url: str
    name: str
    token_id: str
    token: str

    def __repr__(self) -> str:
        return f"Login(url={self.url!r}, name={self.name!r})"


def logins_path() -> Path:
    """Return the file that logins are saved in."""
    return Path(click.get_app_dir("wattspan", force_posix=False)) / "logins.json"


def saved_logins() -> list[Login]:
    """Return the saved logins, the latest first."""
    path = logins_path()
    try:
        return [Login(**each) for each in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as exc:
        raise ApiError(f"{path} cannot be read ({exc}); delete it and log in again") from exc


def save_logins(logins: list[Login]) -> None:
    """Replace the saved logins. The file is never readable by other users."""
    path = logins_path()
    new = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump([asdict(each) for each in logins], file)
        new.replace(path)
    except OSError as exc:
        raise ApiError(f"{path} cannot be written: {exc.strerror}; --print prints a token instead") from exc


def read_password(*, confirm: bool = False) -> str:
    """Return a password: typed without echo on a terminal, otherwise the first line of standard input."""
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=confirm, err=True)
        return typed
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise click.UsageError("password: standard input is empty; its first line must be the password")
    return line


@click.command()
@click.option(
    "--url",
    cls=DescribedOption,
    shown_envvar=URL_VARIABLE,
    shown_default=DEFAULT_URL,
    help="Address of the server's API.",
)
@click.option("--user", "name", default="admin", help="Name of the user who logs in.")
@click.option("--days", type=click.IntRange(1, 3650), default=30, help="Days until the token expires.")
@click.option("--print", "print_token", is_flag=True, help="Print the token instead of saving it.")
def login(url: str | None, name: str, days: int, print_token: bool) -> None:
    """Log in to a server and save a token for later commands.

    The password is prompted for, or read from the first line of standard input.
    """
    url = (url or os.environ.get(URL_VARIABLE) or DEFAULT_URL).rstrip("/")
    address = urlsplit(url)
    if address.scheme != "https" and not is_loopback(address.hostname or ""):
        click.echo(f"Warning: {url} does not use https; the password is sent unencrypted", err=True)
    created = _log_in(url, name, read_password(), days)
    if print_token:
        click.echo(created.token)
        return
    save_logins([created, *(each for each in saved_logins() if each.url != url)])
    click.echo(f"logged in to {url} as {created.name} for {days} days; token saved in {logins_path()}", err=True)


def _log_in(url: str, name: str, password: str, days: int) -> Login:
    with Client(url) as client:
        answer = client.request("POST", "/session", json={"name": name, "password": password})
        headers = {"X-CSRF-Token": answer["csrf_token"]}
        body = {
            "label": f"wattspan login, {socket.gethostname()}",
            "scopes": answer["rights"],
            "expires_in_days": days,
        }
        token = client.request("POST", "/tokens", json=body, headers=headers)
        client.request("DELETE", "/session", headers=headers)
    return Login(url=url, name=answer["name"], token_id=token["id"], token=token["secret"])


@click.command()
@click.option(
    "--url", cls=DescribedOption, shown_default="the last login's", help="Address of the server to log out of."
)
def logout(url: str | None) -> None:
    """Revoke the saved token and delete it."""
    logins = saved_logins()
    found = next((each for each in logins if url in (None, each.url, f"{each.url}/")), None)
    if found is None:
        raise ApiError("not logged in" if url is None else f"not logged in to {url}")
    save_logins([each for each in logins if each is not found])
    try:
        with Client(found.url, found.token) as client:
            client.request("DELETE", f"/tokens/{found.token_id}")
    except ApiError as exc:
        if exc.status != HTTPStatus.UNAUTHORIZED:  # it has expired or was revoked already
            raise
    click.echo(f"logged out of {found.url}", err=True)
