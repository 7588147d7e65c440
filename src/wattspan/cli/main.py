"""`wattspan` itself: its commands, and one prefix for every error."""

from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from wattspan import __version__
from wattspan.errors import SettingsError, WattspanError


class LazyCommand(NamedTuple):
    """A command whose module is imported when it is called. `help` is the first sentence of its help text."""

    location: str
    help: str


COMMANDS = {
    "backup": LazyCommand("backup:backup_database", "Copy the SQLite database to FILE, which must not exist yet."),
    "ca": LazyCommand("ca:ca", "Manage the certificate authority for charge points."),
    "chargy": LazyCommand("chargy:chargy", "Export the Chargy public network as metrics."),
    "config": LazyCommand("config:config", "Check the settings."),
    "cp": LazyCommand("charge_points:charge_points", "Manage charge points and send commands to them."),
    "demo": LazyCommand("demo:demo", "Run a central system with a small simulated fleet."),
    "export": LazyCommand("exports:export", "Export sessions, readings, messages and other records."),
    "login": LazyCommand("logins:login", "Log in to a server and save a token for later commands."),
    "logout": LazyCommand("logins:logout", "Revoke the saved token and delete it."),
    "node": LazyCommand("nodes:nodes", "Show the nodes of a cluster."),
    "proxy": LazyCommand("proxy:proxy", "Relay charge points to another central system, and observe them."),
    "replay": LazyCommand(
        "replay:replay_command", "Read logs of OCPP messages and report sessions, energy and anomalies."
    ),
    "serve": LazyCommand("serve:serve", "Run the central system until Ctrl-C or SIGTERM."),
    "simulate": LazyCommand("simulate:simulate", "Run virtual charge points: cars come, charge, taper and leave."),
    "stack": LazyCommand("stack:stack", "Run the observability stack in containers."),
    "tag": LazyCommand("id_tags:id_tags", "Manage id tags, which decide who may charge."),
    "tx": LazyCommand("transactions:transactions", "Show transactions, both open and closed."),
    "user": LazyCommand("users:users", "Manage users, who may log in."),
}
"""In alphabetical order. `wattspan --help` imports none of them: the server's libraries take two seconds to import."""


class _LazyGroup(click.Group):
    """Imports a command when it is called, and prints our errors: exit code 2 for settings, 1 for the rest."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].location.partition(":")
        command: click.Command = getattr(import_module(f"wattspan.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [name for name in COMMANDS if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=COMMANDS[name].help) for name in names]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as exc:
            for fault in exc.faults:
                click.echo(f"Error: {fault}", err=True)
            ctx.exit(2)
        except WattspanError as exc:
            click.echo(f"Error: {exc}", err=True)
            ctx.exit(1)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """An OCPP central system whose every message is an OpenTelemetry span and whose fleet is a set of metrics.

    Every option of `wattspan serve` is also an environment variable and a line of a TOML file. The page docs/cli.md
    has the help of every command, and explains shell completion.
    """
