"""Nodes reach PostgreSQL through a real PgBouncer in session mode, as docs/scaling.md allows."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from stack.process import running
from stack.resending import assert_shown, assert_stored, load
from stack.test_cluster import NO_REDIS, pages, served
from stack.test_postgresql import crashed, hung
from stack.toolchain import ROOT, tool
from stack.wattspan_server import WattspanServer
from support.pgbouncer import PgBouncer
from support.postgres import PostgresServer

CHARGERS = 20
STARTUP_OPTION = "test_a_user_whose_default_is_not_to_wait_for_the_disk_waits_all_the_same"
"""PgBouncer before 1.20 refuses the startup parameter `options`, which its URL has."""


@pytest.fixture
def bouncer(postgres: PostgresServer) -> Iterator[PgBouncer]:
    tool("pgbouncer")
    with PgBouncer.run(postgres) as running_one:
        yield running_one


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    """Its URL without the bouncer."""
    return postgres.empty()


@pytest.fixture
async def nodes(tmp_path: Path, database: str, bouncer: PgBouncer) -> AsyncIterator[list[WattspanServer]]:
    async with AsyncExitStack() as stack:
        servers = []
        for name in ("north", "south"):
            (tmp_path / name).mkdir()
            options = ["--database", bouncer.url(database), "--redis", NO_REDIS, "--node-name", name]
            servers.append(await stack.enter_async_context(WattspanServer.run(tmp_path / name, options=options)))
        yield servers


async def bouncer_killed(bouncer: PgBouncer) -> None:
    await asyncio.to_thread(bouncer.kill)
    await asyncio.to_thread(bouncer.start)


@pytest.mark.parametrize("trouble", [crashed, hung, bouncer_killed])
async def test_trouble_behind_or_of_the_bouncer_costs_no_acknowledged_fact(
    postgres: PostgresServer,
    database: str,
    bouncer: PgBouncer,
    nodes: list[WattspanServer],
    trouble: Callable[..., Awaitable[None]],
) -> None:
    async with load(*(node.url for node in nodes), chargers=CHARGERS, seed=3) as ledger:
        for _ in range(2):
            await served(ledger)
            await trouble(bouncer if trouble is bouncer_killed else postgres)
        await served(ledger)
        await ledger.settle()
    assert_shown(await pages(nodes), ledger)
    assert_stored(database, ledger)


async def test_the_tests_of_the_store_on_postgresql_pass_through_it(tmp_path: Path) -> None:
    tool("pgbouncer")
    tests = [ROOT / "tests" / "store" / f"test_{name}.py" for name in ("postgresql", "nodes", "partitions")]
    out = ["--deselect", f"tests/store/test_postgresql.py::{STARTUP_OPTION}"]
    options = ["-q", "--pgbouncer", "-p", "no:cacheprovider", *out]
    command: list[str | Path] = [sys.executable, "-m", "pytest", *options, *tests]
    async with running("pytest", command, folder=tmp_path, environment={"PYTHONPATH": str(ROOT)}) as child:
        assert await child.child.wait() == 0, child.log.read_text()[-4000:]
