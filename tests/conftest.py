"""What every test shares: the event loop the product runs on, how hard the chaos tests hit, a PostgreSQL server."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping

import pytest
import uvloop

from support.postgres import PostgresServer, programs


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=100, help="how often the chaos tests kill the server (default 100)")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How often a chaos test kills the server."""
    count: int = request.config.getoption("--kills")
    return count


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One a worker, started when first asked for. Where none is installed the test is left out, but not in CI."""
    if programs() is None and os.environ.get("CI") != "true":
        pytest.skip("no PostgreSQL here, SQLite alone was tried (Debian: apt install postgresql)")
    with PostgresServer.run() as server:
        yield server
