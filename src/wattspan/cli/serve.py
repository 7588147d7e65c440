"""`wattspan serve`: the central system."""

import asyncio
from typing import TYPE_CHECKING, Any

import click

from wattspan.cli.help import SectionedCommand
from wattspan.cli.options import read_settings, settings_options
from wattspan.cli.process import run_until_stopped, tune_garbage_collection
from wattspan.settings import Settings

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
    from wattspan.telemetry.logs import setup_logging  # noqa: PLC0415

    setup_logging(settings)

    async def main(stop: asyncio.Event) -> None:
        async with CentralSystem(settings) as csms:
            csms.telemetry.make_global()
            print_addresses(settings, csms)
            tune_garbage_collection()
            await stop.wait()
            click.echo("stopping", err=True)

    run_until_stopped(main)


def print_addresses(settings: Settings, csms: "CentralSystem") -> None:
    """Print the addresses with the ports in use, and the first user's password if it was generated now."""
    uses_tls = settings.tls_cert is not None and settings.tls_port is None
    metrics_scheme = "https" if settings.metrics_tls_cert else "http"
    host = _url_host(settings.host)
    click.echo(f"charge points  {'wss' if uses_tls else 'ws'}://{host}:{csms.port}/{{cp_id}}")
    if csms.tls_port is not None:
        click.echo(f"charge points  wss://{host}:{csms.tls_port}/{{cp_id}}")
    click.echo(f"metrics        {metrics_scheme}://{_url_host(settings.metrics_host)}:{csms.metrics_port}/metrics")
    click.echo(f"console        {csms.api_url()}/")
    click.echo(f"API            {csms.api_url()}/docs")
    if csms.first_password is not None:
        click.echo(f"log in as      admin, password {csms.first_password}  (shown only once)")


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
