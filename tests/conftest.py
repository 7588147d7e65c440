"""What every test shares: the event loop the product runs on, how hard the chaos tests hit, a PostgreSQL server."""

import asyncio
import gc
import os
from collections.abc import Callable, Generator, Iterator, Mapping

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from support.postgres import PostgresServer, programs

# This check counts seconds, of which a busy machine has more; what a test claims it does not look at.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=100, help="how often the chaos tests kill the server (default 100)")
    parser.addoption(
        "--fleet-s", type=int, default=600, help="seconds that the fleet over two weeks of history runs (default 600)"
    )


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
def postgres() -> Iterator[PostgresServer]:
    """A server a worker, started when first asked for."""
    with PostgresServer.run() as server:
        yield server


@pytest.fixture
def fleet_s(request: pytest.FixtureRequest) -> int:
    """How long the fleet over two weeks of history runs, in seconds."""
    seconds: int = request.config.getoption("--fleet-s")
    return seconds
