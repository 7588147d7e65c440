"""`wattspan user`: people who may log in."""

from typing import Any

import click

from wattspan.api.access.rights import Role
from wattspan.cli.logins import read_password
from wattspan.cli.output import Column, instant, json_option, show, yes_no
from wattspan.cli.reach import books, books_options

COLUMNS = (
    Column("name", "name"),
    Column("role", "role"),
    Column("disabled", "disabled", yes_no),
    Column("created", "created_at", instant),
    Column("last log-in", "last_login_at", instant),
)


@click.group(name="user")
def users() -> None:
    """Users: who may log in, as what. Passwords are asked for, or are the first line of standard input."""


@users.command(name="list")
@json_option
@books_options
def list_users(as_json: bool, **where: Any) -> None:
    """All users."""
    with books(**where) as found:
        show(found.users(), COLUMNS, as_json=as_json)


@users.command(name="add")
@click.argument("name")
@click.option(
    "--role", type=click.Choice([each.value for each in Role]), required=True, help="What they may: see, command, all."
)
@books_options
def add_user(name: str, role: str, **where: Any) -> None:
    """Make a user. Where there was none yet, no `admin` is made at the server's first start."""
    with books(**where) as found:
        found.add_user(name, role, read_password(confirm=True))
    click.echo(f"{name} added as {role}", err=True)


@users.command(name="remove")
@click.argument("name")
@books_options
def remove_user(name: str, **where: Any) -> None:
    """Remove a user, with sessions and tokens. The last admin stays."""
    with books(**where) as found:
        found.remove_user(name)
    click.echo(f"{name} removed", err=True)


@users.command(name="password")
@click.argument("name")
@books_options
def set_password(name: str, **where: Any) -> None:
    """Give a user another password; their sessions end."""
    with books(**where) as found:
        found.set_password(name, read_password(confirm=True))
    click.echo(f"{name} has another password", err=True)
