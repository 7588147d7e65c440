"""`wattspan chargy`: the Chargy public network as metrics."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import click

from wattspan.chargy.metrics import register
from wattspan.chargy.network import Network, new_client
from wattspan.chargy.source import Source
from wattspan.cli.options import read_settings, settings_options
from wattspan.cli.running import run_until_stopped
from wattspan.errors import SettingsError
from wattspan.http.access import Access
from wattspan.http.metrics import metrics_app
from wattspan.http.server import HttpServer
from wattspan.settings import Settings
from wattspan.telemetry.logs import setup_logging
from wattspan.telemetry.metering import Metering, setup_metering
from wattspan.telemetry.prometheus.exposition import Format

SERVICE = "wattspan-chargy"


@click.command()
@click.option("--once", is_flag=True, help="Fetch once, print the page and leave; exit code 1 when it fails.")
@settings_options(
    "host",
    "port",
    "log_level",
    "log_format",
    "metrics_user",
    "metrics_tls_cert",
    "metrics_tls_key",
    "kml_url",
    "kml_interval_s",
    "kml_timeout_s",
    "kml_max_bytes",
)
def chargy(once: bool, **given: Any) -> None:
    """Export the Chargy public network (KML) to Prometheus and OTLP: any path of --port is the page."""
    # The page is on `port` here, so that `metrics_port`, which it may equal, is out of the game.
    settings = read_settings(given | {"metrics_port": "0"})
    if settings.kml_url is None:
        raise SettingsError(["kml_url: needed; name it by --kml-url or KML_URL"])
    setup_logging(settings, service=SERVICE)
    source = Source(url=settings.kml_url, timeout_s=settings.kml_timeout_s, max_bytes=settings.kml_max_bytes)
    network = Network(source, interval_s=settings.kml_interval_s)
    if once:
        asyncio.run(_once(network))
    else:
        run_until_stopped(lambda stop: _serve(network, settings, stop))


async def _once(network: Network) -> None:
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
        metering = setup_metering(SERVICE)
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
    def unready_because() -> tuple[str, ...]:
        return () if network.feed is not None else ("the feed was not read yet",)

    return HttpServer(
        metrics_app(metering.reader, ready=unready_because, access=Access.of(settings), any_path=True),
        host=settings.host,
        port=settings.port,
        tls_cert=settings.metrics_tls_cert,
        tls_key=settings.metrics_tls_key,
        option="--port",
    )
