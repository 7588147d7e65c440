"""`wattspan node`: the nodes of a cluster, as the database knows them."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import click

from wattspan.cli.api_client import Json
from wattspan.cli.options import read_settings, settings_options
from wattspan.cli.output import Column, json_option, print_rows, timestamp, yes_no
from wattspan.errors import RegistryError

COLUMNS = (
    Column("node", "name", priority=0),
    Column("alive", "alive", yes_no, priority=0),
    Column("charge points", "charge_points", priority=0),
    Column("version", "version", priority=1),
    Column("started", "started_at", timestamp, priority=2),
    Column("last heartbeat", "heartbeat_at", timestamp, priority=3),
    Column("API", "api_url", priority=4),
    Column("metrics", "metrics_url", priority=5),
)


@click.group(name="node")
def nodes() -> None:
    """Show the nodes of a cluster."""


@nodes.command(name="list")
@json_option
@settings_options("database")
def list_nodes(as_json: bool, **options: Any) -> None:
    """List the nodes and how many charge points each owns.

    A node is alive while its last heartbeat is less than 15 seconds old. The charge points of one that is not are
    adopted by the others.
    """
    print_rows(asyncio.run(_read(read_settings(options).database)), COLUMNS, as_json=as_json)


async def _read(database: str) -> list[Json]:
    # Imported here, so that --help needs none of the server's libraries.
    from wattspan.store.engine import parse  # noqa: PLC0415
    from wattspan.store.queries import nodes as node_queries  # noqa: PLC0415
    from wattspan.store.store import Store  # noqa: PLC0415

    if parse(database).get_backend_name() != "postgresql":
        raise RegistryError("database: only a PostgreSQL database has nodes; name one with --database")
    store = await Store.open(database)
    try:
        found = await store.read(node_queries.nodes)
        owned = await store.read(node_queries.owned_counts)
    finally:
        await store.close()
    return [
        {
            "name": node.name,
            "alive": node.alive,
            "charge_points": owned.get(node.name, 0),
            "version": node.version,
            "started_at": _iso(node.started_ts),
            "heartbeat_at": _iso(node.heartbeat_ts),
            "api_url": node.api_url,
            "metrics_url": node.metrics_url,
        }
        for node in found
    ]


def _iso(ts: float) -> str:
    return datetime.fromtimestamp(ts, UTC).isoformat()
