"""What every test shares: the event loop the product runs on, and how hard the chaos tests hit."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=100, help="how often the chaos tests kill the server (default 100)")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How often a chaos test kills the server."""
    count: int = request.config.getoption("--kills")
    return count
