"""A store on a database of its own, SQLite's and PostgreSQL's in turn, opened as often as a test likes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from support.databases import BACKENDS
from support.sites import Site, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fleet.db"


@pytest.fixture(params=BACKENDS)
def database(request: pytest.FixtureRequest) -> str:
    """A path or a URL, as `--database` takes it."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("path"))
    return str(request.getfixturevalue("postgres").empty())


@pytest.fixture
async def open_site(database: str) -> AsyncIterator[Callable[[], Awaitable[Site]]]:
    sites: list[Site] = []

    async def open_one() -> Site:
        sites.append(await opened(database))
        return sites[-1]

    yield open_one
    for site in sites:
        await site.end()


@pytest.fixture
async def site(open_site: Callable[[], Awaitable[Site]]) -> Site:
    return await open_site()
