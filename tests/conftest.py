"""What every test shares: the event loop the product runs on, how hard the chaos tests hit, a PostgreSQL server."""

import asyncio
import gc
import os
from collections.abc import Callable, Generator, Iterator, Mapping

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from support import ports, process_caches
from support.crashes import Crashes
from support.pgbouncer import PgBouncer
from support.postgres import PostgresServer, programs
from wattspan.__main__ import GC_THRESHOLDS_AT_START

gc.set_threshold(*GC_THRESHOLDS_AT_START)  # as the product is started, before the modules of tests are imported
process_caches.share_compiled_statements()
process_caches.remember_migrated_schema()
process_caches.remember_missing_sniffio()

QUICK_EXAMPLES = 30

# This check counts seconds, of which a busy machine has more; what a test claims it does not look at.
settings.register_profile("all", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("all"), max_examples=QUICK_EXAMPLES)
settings.load_profile("quick")  # `make properties` takes the other one


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=100, help="how often the chaos tests kill the server (default 100)")
    parser.addoption(
        "--fleet-s", type=int, default=600, help="seconds that the fleet over two weeks of history runs (default 600)"
    )
    parser.addoption("--nemesis-s", type=int, default=60, help="seconds that nodes are disturbed for (default 60)")
    parser.addoption("--nemesis-cps", type=int, default=60, help="charge points on these nodes (default 60)")
    parser.addoption("--nemesis-seed", type=int, default=0, help="seed of the disturbances (default 0)")
    parser.addoption("--pgbouncer", action="store_true", help="reach PostgreSQL through PgBouncer in session mode")


@pytest.hookimpl(trylast=True)  # after pytest's own faulthandler
def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Crashes())


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How often a chaos test kills the server."""
    count: int = request.config.getoption("--kills")
    return count


def without_postgres() -> bool:
    """Whether its tests are left out: only where none is installed, and never in CI."""
    return programs() is None and os.environ.get("CI") != "true"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not without_postgres():
        return
    out = [item for item in items if needs_postgres(item)]
    items[:] = [item for item in items if not needs_postgres(item)]
    config.hook.pytest_deselected(items=out)


def needs_postgres(item: pytest.Item) -> bool:
    """By a fixture, or as one of the databases that a test is run on."""
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return "postgres" in getattr(item, "fixturenames", ()) or params.get("database") == "postgresql"


def pytest_collection_finish() -> None:
    """Take what was imported and collected out of every later garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What is skipped for want of a tool fails in CI, where all of them are to be; a machine's bans are excused."""
    report = yield
    meant = hasattr(report, "wasxfail") or item.get_closest_marker("privileged") is not None
    if report.skipped and not meant and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if without_postgres():
        terminalreporter.write_line("no PostgreSQL here, SQLite alone was tried (Debian: apt install postgresql)")


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A server a worker, started when first asked for."""
    with PostgresServer.run() as server:
        if not request.config.getoption("--pgbouncer"):
            yield server
            return
        with PgBouncer.run(server) as bouncer:
            server.url_port = bouncer.port
            yield server


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections, whatever else runs on this machine."""
    with ports.closed_port() as port:
        yield port


@pytest.fixture
def fleet_s(request: pytest.FixtureRequest) -> int:
    """How long the fleet over two weeks of history runs, in seconds."""
    seconds: int = request.config.getoption("--fleet-s")
    return seconds
