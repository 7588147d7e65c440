"""A store on a file of its own, opened as often as a test likes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from support.sites import Site, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fleet.db"


@pytest.fixture
async def open_site(path: Path) -> AsyncIterator[Callable[[], Awaitable[Site]]]:
    sites: list[Site] = []

    async def open_one() -> Site:
        sites.append(await opened(str(path)))
        return sites[-1]

    yield open_one
    for site in sites:
        await site.end()


@pytest.fixture
async def site(open_site: Callable[[], Awaitable[Site]]) -> Site:
    return await open_site()
