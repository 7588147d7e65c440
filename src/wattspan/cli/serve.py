"""`wattspan serve`: the central system."""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wattspan.cli.help import SectionedCommand
from wattspan.cli.options import read_settings, settings_options
from wattspan.cli.process import run_until_stopped, tune_garbage_collection
from wattspan.cli.service_manager import wait_for_stop
from wattspan.private_files import write_private
from wattspan.settings import Settings, is_loopback

if TYPE_CHECKING:
    from wattspan.app import CentralSystem


@click.command(cls=SectionedCommand)
@settings_options()
def serve(**options: Any) -> None:
    """Run the central system until Ctrl-C or SIGTERM.

    Every option is also an environment variable and, under the same name, a line of the TOML file of --config. Options
    take precedence over variables, and variables over the file. Passwords and tokens have no option:
    WATTSPAN_ADMIN_PASSWORD, WATTSPAN_METRICS_TOKEN and WATTSPAN_METRICS_PASSWORD set them.
    """
    settings = read_settings(options)

    # Imported here, so that --help and shell completion need none of the server's libraries.
    from wattspan.app import CentralSystem  # noqa: PLC0415
    from wattspan.store.reachable import wait_until_reachable  # noqa: PLC0415
    from wattspan.telemetry.logs import setup_logging  # noqa: PLC0415

    setup_logging(settings)

    async def main(stop: asyncio.Event) -> None:
        if not await wait_until_reachable(settings.database, stop):
            return
        async with CentralSystem(settings) as csms:
            csms.telemetry.make_global()
            print_addresses(settings, csms)
            if csms.first_password is not None:
                print_first_password(settings, csms.first_password)
            tune_garbage_collection()
            await wait_for_stop(stop)
            click.echo("stopping", err=True)

    run_until_stopped(main)


def print_addresses(settings: Settings, csms: "CentralSystem") -> None:
    """Print the addresses with the ports in use, and who can reach those beside the OCPP port if others reach that."""
    uses_tls = settings.tls_cert is not None and settings.tls_port is None
    metrics_scheme = "https" if settings.metrics_tls_cert else "http"
    host = _url_host(settings.host)
    api_note, metrics_note = _notes(settings)
    click.echo(f"charge points  {'wss' if uses_tls else 'ws'}://{host}:{csms.port}/{{cp_id}}")
    if csms.tls_port is not None:
        click.echo(f"charge points  wss://{host}:{csms.tls_port}/{{cp_id}}")
    click.echo(
        f"metrics        {metrics_scheme}://{_url_host(settings.metrics_host)}:{csms.metrics_port}/metrics{metrics_note}"
    )
    click.echo(f"console        {csms.api_url()}/{api_note}")
    click.echo(f"API            {csms.api_url()}/docs{api_note}")


def _notes(settings: Settings) -> tuple[str, str]:
    """Return what to add to the addresses of the API and of /metrics; nothing if only this machine reaches any port."""
    if all(map(is_loopback, (settings.host, settings.api_host, settings.metrics_host))):
        return "", ""
    plain = "" if settings.api_tls_cert else ", without TLS"
    is_guarded = settings.metrics_token is not None or settings.metrics_password is not None
    free = "" if is_guarded else ", without credentials"
    return (
        f"  ({_reach(settings.api_host)}{plain if not is_loopback(settings.api_host) else ''})",
        f"  ({_reach(settings.metrics_host)}{free if not is_loopback(settings.metrics_host) else ''})",
    )


def _reach(host: str) -> str:
    return "this machine only" if is_loopback(host) else "open to the network"


def print_first_password(settings: Settings, password: str) -> None:
    """Print the first user's password to a terminal; elsewhere, where a log may keep it, write it to a file.

    The output of a container's first process (1) is kept even if it is a terminal.
    """
    from wattspan.api.access.auth_service import FIRST_ADMIN  # noqa: PLC0415 - see above

    if sys.stdout.isatty() and os.getpid() != 1:
        click.echo(f"log in as      {FIRST_ADMIN}, password {password}  (shown only once)")
        return
    path = first_password_path(settings)
    try:
        write_private(path, f"{password}\n")
    except OSError as exc:
        advice = f"set one with: wattspan user password {FIRST_ADMIN}"
        click.echo(f"log in as      {FIRST_ADMIN}; {path} can't be written ({exc.strerror}), so {advice}")
        return
    click.echo(f"log in as      {FIRST_ADMIN}, password in {path}  (remove the file once you have read it)")


def first_password_path(settings: Settings) -> Path:
    """Return the file for the first password: beside a SQLite database, or else among the files."""
    if "://" in settings.database:
        return settings.files / "admin-password"
    database = Path(settings.database)
    return database.with_name(f"{database.name}.admin-password")


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
