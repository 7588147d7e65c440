"""The exporters of the stack: the node's, and PostgreSQL's with the role that the shipped script makes."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stack.process import LOOPBACK, eventually, free_ports, on_free_ports
from stack.servers import Prometheus, Target, answers, fetch
from stack.toolchain import ROOT, tool
from support.monitoring import rules

SCRIPT = ROOT / "deploy" / "postgres" / "monitor.sh"
PASSWORD = "a-Z_0"
SLOW_S = 1.3
"""How long the slow query takes: over the second of the alert."""


@asynccontextmanager
async def exporter(
    name: str, folder: Path, options: Sequence[str], environment: Mapping[str, str]
) -> AsyncIterator[str]:
    """The address of its page."""

    def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
        return [tool(name), f"--web.listen-address={LOOPBACK}:{ports[0]}", *options], environment

    async def healthy(ports: Sequence[int]) -> bool:
        return await answers(f"http://{LOOPBACK}:{ports[0]}/")

    async with on_free_ports(name, launch, healthy, ports=1, folder=folder) as (_, ports):
        yield f"http://{LOOPBACK}:{ports[0]}/metrics"


async def test_the_nodes_figures_are_there(tmp_path: Path) -> None:
    async with exporter("node-exporter", tmp_path, ["--path.rootfs=/"], {}) as url:
        page = await fetch(url)
    for name in ("node_cpu_seconds_total", "node_memory_MemAvailable_bytes", "node_filesystem_avail_bytes"):
        assert f"\n{name}" in page


class Postgres:
    """A PostgreSQL of its own, in a folder that its user may enter: it refuses to run as root."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (self.port,) = free_ports(1)
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def call(self, *command: str | Path, **environment: str) -> str:
        known = dict(os.environ) | {"PGHOST": str(self.home), "PGPORT": str(self.port)} | environment
        # Debian keeps what makes and runs a database out of the path.
        known["PATH"] = ":".join([known["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
        done = subprocess.run(
            [*self.as_user, *map(str, command)], check=False, env=known, cwd=self.home, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sql(self, statement: str) -> str:
        """What psql prints of a statement's rows."""
        return self.call("psql", "--username=wattspan", "--dbname=wattspan", "--tuples-only", f"--command={statement}")

    def control(self, *words: str) -> None:
        """pg_ctl; its server must not hold our pipes, so it writes to a file."""
        self.call("sh", "-c", f"pg_ctl -D data -w {' '.join(words)} >control.log 2>&1")


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A server with the statistics that compose.yaml asks for."""
    home = Path(tempfile.mkdtemp(prefix="wattspan-pg-"))
    server = Postgres(home)
    if server.as_user:
        shutil.chown(home, "postgres")
    try:
        server.call("initdb", "-D", "data", "--username=wattspan", "--auth-host=scram-sha-256", "--auth-local=trust")
        options = (
            f"-p {server.port} -k {home} -c listen_addresses={LOOPBACK} -c shared_preload_libraries=pg_stat_statements"
        )
        server.control("-o", f"'{options}'", "start")
        try:
            server.call("createdb", "--username=wattspan", "wattspan")
            yield server
        finally:
            server.control("-m", "fast", "stop")
    finally:
        shutil.rmtree(home)


async def test_the_shipped_role_reads_statistics_and_nothing_else(postgres: Postgres, tmp_path: Path) -> None:
    secret = postgres.home / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    script = postgres.home / "monitor.sh"
    script.write_text(SCRIPT.read_text().replace("/run/secrets/postgres_monitor_password", str(secret)))
    script.chmod(0o755)
    postgres.call("sh", script, POSTGRES_USER="wattspan", POSTGRES_DB="wattspan")
    postgres.call("psql", "--username=wattspan", "--dbname=wattspan", "--command=CREATE TABLE facts (id int)")

    environment = {
        "DATA_SOURCE_URI": f"{LOOPBACK}:{postgres.port}/wattspan?sslmode=disable",
        "DATA_SOURCE_USER": "monitor",
        "DATA_SOURCE_PASS_FILE": str(secret),
    }
    async with exporter("postgres-exporter", tmp_path, [], environment) as url:

        async def up() -> bool:
            return "\npg_up 1\n" in await fetch(url)

        await eventually(up)
        page = await fetch(url)
        assert "pg_stat_database_numbackends{datid=" in page
        assert "pg_locks_count{" in page
    with pytest.raises(AssertionError, match="permission denied"):
        postgres.call("psql", "--username=monitor", "--dbname=wattspan", "--command=SELECT * FROM facts")


async def test_a_slow_query_makes_the_expression_of_its_alert_true(postgres: Postgres, tmp_path: Path) -> None:
    """A query of over a second is found by its id, and the runbook's SQL has its text."""
    (alert,) = (rule for rule in rules() if rule.name == "DatabaseQuerySlow")
    postgres.sql("CREATE EXTENSION pg_stat_statements")
    environment = {
        "DATA_SOURCE_NAME": f"host={postgres.home} port={postgres.port} user=wattspan dbname=wattspan sslmode=disable",
    }
    async with exporter("postgres-exporter", tmp_path, ["--collector.stat_statements"], environment) as url:
        statistics = Target(address=url.split("/")[2], job="postgres")
        async with Prometheus.run(tmp_path, [statistics]) as prometheus:

            async def slow() -> list[str]:
                postgres.sql("SELECT 'quick'")
                postgres.sql(f"SELECT pg_sleep({SLOW_S})")
                return [labels["queryid"] for labels, value in await prometheus.query(alert.expr) if value > 1]

            ids = await eventually(slow)
            counted = await prometheus.query("count by (queryid) (pg_stat_statements_calls_total)")
    assert len(ids) == 1 < len(counted)
    texts = postgres.sql("SELECT queryid, query FROM pg_stat_statements").splitlines()
    assert [line for line in texts if ids[0] in line and "pg_sleep" in line]
