"""Nodes of this release and of the next one serve one fleet, and a server that is no node is refused beside them.

The next release is a copy of this one with another version and one more migration, which adds to the tables in use.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from stack.process import START_S, Program, eventually, running
from stack.resending import assert_shown, assert_stored, load
from stack.test_cluster import CHARGERS, NO_REDIS, pages, served
from stack.toolchain import ROOT
from stack.wattspan_server import WattspanServer
from support.databases import query
from support.postgres import PostgresServer
from wattspan.store.schema.migrate import HEAD
from wattspan.telemetry.resource import VERSION

NEXT = "999.0.0"
NEXT_HEAD = f"{int(HEAD) + 1:04}"
EXPAND = f'''
"""What the next release adds."""

import sqlalchemy as sa
from alembic import op

revision = "{NEXT_HEAD}"
down_revision = "{HEAD}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns to the tables that every batch writes, and a table."""
    for table in ("charge_points", "connectors", "transactions", "meter_readings", "nodes"):
        op.add_column(table, sa.Column("added", sa.BigInteger, server_default="0", nullable=False))
    op.create_table("additions", sa.Column("id", sa.BigInteger, primary_key=True))
'''


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    return postgres.create()  # not one that other tests use: it gets the tables of the next release


@pytest.fixture
def next_release(tmp_path: Path) -> dict[str, str]:
    """The environment in which `python -m wattspan` is the next release."""
    package = tmp_path / "next" / "wattspan"
    shutil.copytree(ROOT / "src" / "wattspan", package, ignore=shutil.ignore_patterns("__pycache__"))
    for file, before, after in (
        ("telemetry/resource.py", "VERSION = version(SERVICE)", f'VERSION = "{NEXT}"'),
        ("store/schema/migrate.py", f'HEAD = "{HEAD}"', f'HEAD = "{NEXT_HEAD}"'),
    ):
        text = (package / file).read_text()
        assert text.count(before) == 1
        (package / file).write_text(text.replace(before, after))
    (package / "store" / "schema" / "migrations" / "versions" / f"{NEXT_HEAD}_next.py").write_text(EXPAND)
    return {"PYTHONPATH": str(package.parent)}


def options(database: str, name: str) -> list[str]:
    return ["--database", database, "--redis", NO_REDIS, "--node-name", name, "--drain-s", "1"]


@pytest.fixture
async def nodes(tmp_path: Path, database: str) -> AsyncIterator[list[WattspanServer]]:
    """North and south, of this release."""
    async with AsyncExitStack() as stack:
        servers = []
        for name in ("north", "south"):
            (tmp_path / name).mkdir()
            server = WattspanServer.run(tmp_path / name, options=options(database, name))
            servers.append(await stack.enter_async_context(server))
        yield servers


async def ends(folder: Path, *arguments: str) -> Program:
    """A `wattspan serve` that is to end by itself, at its end."""
    ports = ("--port", "0", "--metrics-port", "0", "--api-port", "0")
    command: Sequence[str] = (sys.executable, "-m", "wattspan", "serve", *ports, *arguments)
    async with running("refused", command, folder=folder) as program, asyncio.timeout(START_S):
        await program.child.wait()
    return program


@pytest.mark.timeout(300)
async def test_a_fleet_moves_to_the_next_release_node_by_node_under_load(
    database: str, nodes: list[WattspanServer], next_release: dict[str, str], tmp_path: Path
) -> None:
    north, south = nodes
    async with load(north.url, south.url, chargers=CHARGERS, seed=7) as ledger:
        await served(ledger)
        await south.stop()
        south.environment = next_release
        await south.start()
        assert query(database, "SELECT version_num FROM alembic_version") == [(NEXT_HEAD,)]
        assert dict(query(database, "SELECT name, version FROM nodes")) == {"north": VERSION, "south": NEXT}

        for charger in ledger.chargers:
            charger.flapping = True

        async def exchange() -> bool:
            """Chargers went from each of them to the other, with their sessions."""
            return all([await node.value("ocpp_central_takeovers_total") for node in nodes])

        await eventually(exchange)
        await served(ledger)
        for charger in ledger.chargers:
            charger.flapping = False
        refused = await ends(tmp_path, *options(database, "west"))
        assert refused.exit_code != 0
        assert "was made by a newer Wattspan; use that release" in refused.log.read_text()
        await north.stop()
        north.environment = next_release
        await north.start()
        await served(ledger)
        await ledger.settle()
    assert_shown(await pages(nodes), ledger)
    assert_stored(database, ledger)


@pytest.mark.timeout(300)
async def test_a_server_that_is_no_node_is_refused_beside_nodes_and_a_node_beside_it(
    database: str, nodes: list[WattspanServer], tmp_path: Path
) -> None:
    """So is a server of a release before nodes, which takes the same lock."""
    alone = ["--database", database]
    refused = await ends(tmp_path, *alone)
    assert refused.exit_code != 0
    assert "is in use by another Wattspan server" in refused.log.read_text()
    for node in nodes:
        await node.stop()
    (tmp_path / "alone").mkdir()
    async with WattspanServer.run(tmp_path / "alone", options=alone):
        refused = await ends(tmp_path, *options(database, "north"))
        assert refused.exit_code != 0
        assert "is in use by a Wattspan server that is no node of a cluster" in refused.log.read_text()
