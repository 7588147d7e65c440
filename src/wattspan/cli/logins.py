"""`wattspan login` and `logout`: a token of the API, kept in the user's own configuration folder, mode 0600."""

import json
import os
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

from wattspan.cli.client import ApiError, Client
from wattspan.settings import is_loopback

DEFAULT_URL = "http://127.0.0.1:8080"
URL, TOKEN = "WATTSPAN_API_URL", "WATTSPAN_TOKEN"
UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A token that `wattspan login` fetched. `token_id` is what it is revoked by."""

    url: str
    name: str
    token_id: str
    token: str

    def __repr__(self) -> str:
        return f"Login(url={self.url!r}, name={self.name!r})"


def path() -> Path:
    """Where log-ins are kept."""
    return Path(click.get_app_dir("wattspan", force_posix=False)) / "logins.json"


def kept() -> list[Login]:
    """The log-ins of this user, the latest first."""
    try:
        return [Login(**each) for each in json.loads(path().read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as exc:
        raise ApiError(f"{path()} can't be read ({exc}); delete it, and log in again") from exc


def keep(logins: list[Login]) -> None:
    """Put these in place of those that were kept. Nobody else may read the file, at no moment."""
    path().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path().with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump([asdict(each) for each in logins], file)
    new.replace(path())


def read_password(*, confirm: bool = False) -> str:
    """A password: typed unseen on a terminal, else the first line of standard input."""
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=confirm, err=True)
        return typed
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise click.UsageError("the password is the first line of standard input, and there is none")
    return line


@click.command()
@click.option("--url", help=f"The API of a server.  [{URL}; {DEFAULT_URL}]")
@click.option("--user", "name", default="admin", show_default=True, help="Who logs in.")
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="How long it lasts.")
@click.option("--print", "prints", is_flag=True, help="Print the token, and keep nothing.")
def login(url: str | None, name: str, days: int, prints: bool) -> None:
    """Log in: later commands use the token that is kept. The password is asked for, or comes by standard input."""
    url = (url or os.environ.get(URL) or DEFAULT_URL).rstrip("/")
    address = urlsplit(url)
    if address.scheme != "https" and not is_loopback(address.hostname or ""):
        click.echo(f"wattspan: {url} is no https: whoever listens on the way reads the password", err=True)
    made = _log_in(url, name, read_password(), days)
    if prints:
        click.echo(made.token)
        return
    keep([made, *(each for each in kept() if each.url != url)])
    click.echo(f"logged in to {url} as {made.name} for {days} days; {path()} keeps the token", err=True)


def _log_in(url: str, name: str, password: str, days: int) -> Login:
    with Client(url) as client:
        session = client.ask("POST", "/session", json={"name": name, "password": password})
        headers = {"X-CSRF-Token": session["csrf_token"]}
        wanted = {
            "label": f"wattspan login, {socket.gethostname()}",
            "scopes": session["rights"],
            "expires_in_days": days,
        }
        made = client.ask("POST", "/tokens", json=wanted, headers=headers)
        client.ask("DELETE", "/session", headers=headers)
    return Login(url=url, name=session["name"], token_id=made["id"], token=made["secret"])


@click.command()
@click.option("--url", help="The API of a server; the latest log-in's.")
def logout(url: str | None) -> None:
    """Revoke the token that `login` kept, and forget it."""
    logins = kept()
    ours = next((each for each in logins if url in (None, each.url, f"{each.url}/")), None)
    if ours is None:
        raise click.ClickException("nobody is logged in there")
    keep([each for each in logins if each is not ours])
    try:
        with Client(ours.url, ours.token) as client:
            client.ask("DELETE", f"/tokens/{ours.token_id}")
    except ApiError as exc:
        if exc.status != UNAUTHORIZED:  # it has expired, or was revoked
            raise
    click.echo(f"logged out of {ours.url}", err=True)
