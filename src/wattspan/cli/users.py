"""`wattspan user`: people who may log in."""

from typing import Any

import click

from wattspan.api.access.rights import Role
from wattspan.cli.backends import open_registry, registry_options
from wattspan.cli.help import SectionedCommand
from wattspan.cli.logins import read_password
from wattspan.cli.output import Column, json_option, print_rows, timestamp, yes_no

COLUMNS = (
    Column("name", "name", priority=0),
    Column("role", "role"),
    Column("disabled", "disabled", yes_no),
    Column("created", "created_at", timestamp, priority=3),
    Column("last login", "last_login_at", timestamp, priority=2),
)


@click.group(name="user")
def users() -> None:
    """Manage users, who may log in.

    Passwords are prompted for, or read from the first line of standard input.
    """


@users.command(name="list", cls=SectionedCommand)
@json_option
@registry_options
def list_users(as_json: bool, **source: Any) -> None:
    """List all users."""
    with open_registry(**source) as registry:
        print_rows(registry.users(), COLUMNS, as_json=as_json)


@users.command(name="add", cls=SectionedCommand)
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([each.value for each in Role]),
    required=True,
    help="What the user may do: a viewer reads, an operator also sends commands, an admin does everything.",
)
@registry_options
def add_user(name: str, role: str, **source: Any) -> None:
    """Create the user NAME.

    If it is the first user of a new database, the server does not create `admin` when it starts.
    """
    with open_registry(**source) as registry:
        registry.add_user(name, role, read_password(confirm=True))
    click.echo(f"{name} added as {role}", err=True)


@users.command(name="remove", cls=SectionedCommand)
@click.argument("name")
@registry_options
def remove_user(name: str, **source: Any) -> None:
    """Remove the user NAME, with their logins and tokens. The last admin cannot be removed."""
    with open_registry(**source) as registry:
        registry.remove_user(name)
    click.echo(f"{name} removed", err=True)


@users.command(name="password", cls=SectionedCommand)
@click.argument("name")
@registry_options
def set_password(name: str, **source: Any) -> None:
    """Change the password of the user NAME.

    Their logins to the console end.
    """
    with open_registry(**source) as registry:
        registry.set_password(name, read_password(confirm=True))
    click.echo(f"password of {name} changed", err=True)
