"""`wattspan` itself: its commands, and one clear line for every error."""

from typing import Any

import click

from wattspan import __version__
from wattspan.cli.authority import authority
from wattspan.cli.backup import make_backup
from wattspan.cli.charge_points import charge_points
from wattspan.cli.chargy import chargy
from wattspan.cli.checking import config
from wattspan.cli.demo import demo
from wattspan.cli.id_tags import id_tags
from wattspan.cli.logins import login, logout
from wattspan.cli.serving import serve
from wattspan.cli.simulating import simulate
from wattspan.cli.stack import stack
from wattspan.cli.transactions import transactions
from wattspan.cli.users import users
from wattspan.errors import SettingsError, WattspanError


class _Main(click.Group):
    """Tells our errors in one line each: exit code 2 for settings, 1 for the rest."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as exc:
            for fault in exc.faults:
                click.echo(f"wattspan: {fault}", err=True)
            ctx.exit(2)
        except WattspanError as exc:
            click.echo(f"wattspan: {exc}", err=True)
            ctx.exit(1)


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """An OCPP central system whose every message is an OpenTelemetry span and whose fleet is a set of metrics."""


COMMANDS = (
    *(serve, demo, simulate, chargy, stack, config, authority, make_backup),
    *(login, logout, charge_points, transactions, id_tags, users),
)
for command in COMMANDS:
    main.add_command(command)
