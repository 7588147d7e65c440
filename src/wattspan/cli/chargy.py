"""`wattspan chargy`: the Chargy public network as metrics."""

import asyncio
import platform
from contextlib import AsyncExitStack
from typing import Any

import click

from wattspan.chargy.metrics import register
from wattspan.chargy.network import Network, new_client
from wattspan.chargy.source import Source
from wattspan.cli.help import SectionedCommand
from wattspan.cli.options import read_settings, settings_options
from wattspan.cli.process import run_until_stopped
from wattspan.errors import SettingsError
from wattspan.http.access import Access
from wattspan.http.metrics import metrics_app
from wattspan.http.server import HttpServer
from wattspan.settings import Settings
from wattspan.telemetry.logs import setup_logging
from wattspan.telemetry.metering import Metering, setup_metering
from wattspan.telemetry.prometheus.exposition import Format

SERVICE = "wattspan-chargy"

HELP = {
    "kml_url": "Address of the KML feed, with the network's own key; required. The variable KML_URL works as well.",
    "kml_interval_s": "Seconds between two fetches of the feed.",
    "kml_timeout_s": "Seconds that one fetch may take.",
    "kml_max_bytes": "Largest feed accepted, in bytes.",
    "host": "Address of the metrics page.",
    "port": "Port of the metrics page; 0 picks a free one.",
    "metrics_user": "User name required for the page; WATTSPAN_METRICS_PASSWORD sets its password.",
    "metrics_tls_cert": "PEM certificate chain of the page, used with --metrics-tls-key.",
    "metrics_tls_key": "Private key of --metrics-tls-cert.",
}
OPTIONS = {
    "Feed": ("kml_url", "kml_interval_s", "kml_timeout_s", "kml_max_bytes"),
    "Metrics page": ("host", "port", "metrics_user", "metrics_tls_cert", "metrics_tls_key"),
    "Logging": ("log_level", "log_format"),
}


@click.command(cls=SectionedCommand)
@click.option("--once", is_flag=True, help="Fetch the feed once, print the metrics and exit; exit code 1 on failure.")
@settings_options(*(name for names in OPTIONS.values() for name in names), help=HELP, sections=OPTIONS)
def chargy(once: bool, **options: Any) -> None:
    """Export the Chargy public network as metrics.

    Its KML feed is fetched regularly and served to Prometheus at every path of --port, and exported by OTLP if
    OTEL_* variables configure it. No central system is needed.
    """
    # `port` is the page's here, so `metrics_port`, which may be the same, must not conflict with it.
    settings = read_settings(options | {"metrics_port": "0"})
    if settings.kml_url is None:
        raise SettingsError(["kml_url: is required; set it with --kml-url or KML_URL"])
    setup_logging(settings, service=SERVICE)
    source = Source(url=settings.kml_url, timeout_s=settings.kml_timeout_s, max_bytes=settings.kml_max_bytes)
    network = Network(source, interval_s=settings.kml_interval_s)
    if once:
        asyncio.run(_print_once(network))
    else:
        run_until_stopped(lambda stop: _serve(network, settings, stop))


async def _print_once(network: Network) -> None:
    metering = setup_metering(SERVICE)
    register(metering.meter, network)
    try:
        async with new_client() as client:
            await network.refresh(client)
        for piece in await metering.reader.scrape(Format.TEXT):
            click.echo(piece, nl=False)
    finally:
        await metering.shutdown()


async def _serve(network: Network, settings: Settings, stop: asyncio.Event) -> None:
    async with AsyncExitStack() as exit_stack:
        metering = setup_metering(SERVICE, instance=f"{platform.node()}|{settings.host}:{settings.port}")
        exit_stack.push_async_callback(metering.shutdown)
        register(metering.meter, network)
        client = await exit_stack.enter_async_context(new_client())
        server = _server(network, metering, settings)
        await server.start()
        exit_stack.push_async_callback(server.stop)
        click.echo(
            f"metrics        {'https' if settings.metrics_tls_cert else 'http'}://{settings.host}:{server.port}/"
        )
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(network.watch(client))
            await stop.wait()
            watching.cancel()


def _server(network: Network, metering: Metering, settings: Settings) -> HttpServer:
    def unready_reasons() -> tuple[str, ...]:
        return () if network.feed is not None else ("the feed has not been read yet",)

    return HttpServer(
        metrics_app(metering.reader, ready=unready_reasons, access=Access.of(settings), any_path=True),
        host=settings.host,
        port=settings.port,
        tls_cert=settings.metrics_tls_cert,
        tls_key=settings.metrics_tls_key,
        option="--port",
    )
