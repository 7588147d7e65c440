"""`wattspan proxy`: relays charge points to another central system and observes what passes."""

import asyncio
from typing import Any

import click

from wattspan.cli.help import DescribedOption, SectionedCommand
from wattspan.cli.options import read_settings, settings_options
from wattspan.cli.process import run_until_stopped, tune_garbage_collection
from wattspan.cli.serve import print_first_password
from wattspan.cli.service_manager import wait_for_stop
from wattspan.settings import Settings

DATABASE = "wattspan-proxy.db"

HELP = {
    "host": "Address that charge points connect to.",
    "port": "Port that charge points connect to; 0 picks a free one.",
    "max_frame_bytes": "Largest WebSocket frame relayed, in bytes. A larger one closes the connection (1009).",
    "upstream": "URL of the central system, with `{cp_id}` for the identity of the charge point, such as "
    "`wss://csms.example/ocpp/{cp_id}`; required.",
    "upstream_ca": "PEM certificates of the authorities that sign the central system's certificate. Defaults to those "
    "of the operating system.",
    "upstream_cert": "PEM file with the client certificate and key shown to the central system for a charge point "
    "(security profile 3), such as `certs/{cp_id}.pem`.",
    "compare": "Compare the answers of mirrors, and report at /compare of the metrics port and at the end.",
    "database": "Path of a SQLite file, or a database URL, that keeps what was observed over a restart.",
}
OPTIONS = {
    "Central system": ("upstream", "upstream_ca", "upstream_cert"),
    "Charge points": ("host", "port", "tls_cert", "tls_key", "tls_client_ca", "tls_client_crl", "max_frame_bytes"),
    "Mirrors": ("compare",),
    "Metrics": (
        *("metrics_host", "metrics_port", "metrics_user", "metrics_tls_cert", "metrics_tls_key"),
        *("metrics_detail", "handling_by_charge_point", "metrics_native_histograms"),
    ),
    "HTTP API and console": (
        *("api_host", "api_port", "api_url", "api_tls_cert", "api_tls_key", "session_hours"),
        *("jaeger_url", "alertmanager_url", "map_style_url"),
    ),
    "Storage": ("database", "reading_retention_days"),
    "Logging": ("log_level", "log_format"),
}


@click.command(cls=SectionedCommand)
@settings_options(
    *(name for names in OPTIONS.values() for name in names),
    help=HELP,
    defaults={"database": DATABASE},
    sections=OPTIONS,
)
@click.option(
    "--mirror",
    "mirror",
    cls=DescribedOption,
    multiple=True,
    metavar="URL",
    section="Mirrors",
    shown_envvar="WATTSPAN_MIRRORS",
    help="URL of another central system that gets copies of the charge points' messages, with `{cp_id}`. May be "
    "repeated; the variable separates several by commas.",
)
def proxy(mirror: tuple[str, ...], **options: Any) -> None:
    """Relay charge points to another central system, and observe them.

    Every frame passes unchanged in both directions, and so do credentials and refusals. The metrics, spans and logs are
    those of a central system. Nothing that goes wrong with them affects the traffic.
    """
    settings = proxy_settings(options | ({"mirrors": list(mirror)} if mirror else {}))

    # Imported here, so that --help and shell completion need none of the server's libraries.
    from wattspan.app.proxy import ProxyServer  # noqa: PLC0415
    from wattspan.telemetry.logs import setup_logging  # noqa: PLC0415

    setup_logging(settings)

    async def main(stop: asyncio.Event) -> None:
        async with ProxyServer(settings) as server:
            server.telemetry.make_global()
            scheme = "wss" if settings.tls_cert else "ws"
            metrics_scheme = "https" if settings.metrics_tls_cert else "http"
            click.echo(f"charge points  {scheme}://{_in_url(settings.host)}:{server.port}/{{cp_id}}")
            click.echo(f"upstream       {server.template.text}")
            for url in settings.mirrors:
                click.echo(f"mirror         {url}")
            click.echo(
                f"metrics        {metrics_scheme}://{_in_url(settings.metrics_host)}:{server.metrics_port}/metrics"
            )
            click.echo(f"console        {server.api_url()}/")
            if server.first_password is not None:
                print_first_password(settings, server.first_password)
            tune_garbage_collection()
            await wait_for_stop(stop)
            click.echo("stopping", err=True)
        if server.comparison is not None:
            click.echo(server.comparison.report(), nl=False)

    run_until_stopped(main)


def proxy_settings(options: dict[str, Any]) -> Settings:
    """Return the settings, with a database of the proxy's own where none is set. Raises SettingsError."""
    settings = read_settings(options)
    if "database" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"database": DATABASE})


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
