"""`wattspan serve`: the central system."""

import asyncio
from typing import Any

import click

from wattspan.app import CentralSystem
from wattspan.cli.options import read_settings, settings_options
from wattspan.cli.running import rest_garbage_collection, run_until_stopped
from wattspan.settings import Settings
from wattspan.telemetry.logs import setup_logging


@click.command()
@settings_options()
def serve(**given: Any) -> None:
    """Run the central system until Ctrl-C or SIGTERM."""
    settings = read_settings(given)
    setup_logging(settings)

    async def main(stop: asyncio.Event) -> None:
        async with CentralSystem(settings) as csms:
            csms.telemetry.make_global()
            tell_addresses(settings, csms)
            rest_garbage_collection()
            await stop.wait()
            click.echo("stopping", err=True)

    run_until_stopped(main)


def tell_addresses(settings: Settings, csms: CentralSystem) -> None:
    """Say where everything is: the ports in use, port 0 resolved."""
    scheme = "https" if settings.metrics_tls_cert else "http"
    only_tls = settings.tls_cert is not None and settings.tls_port is None
    click.echo(f"charge points  {'wss' if only_tls else 'ws'}://{_shown(settings.host)}:{csms.port}/{{cp_id}}")
    if csms.tls_port is not None:
        click.echo(f"charge points  wss://{_shown(settings.host)}:{csms.tls_port}/{{cp_id}}")
    click.echo(f"metrics        {scheme}://{_shown(settings.metrics_host)}:{csms.metrics_port}/metrics")
    click.echo(f"API            {csms.api_url()}/docs")
    if csms.first_password is not None:
        click.echo(f"log in as      admin, password {csms.first_password}  (shown this once)")


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
