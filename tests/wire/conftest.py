"""Central systems on real sockets, with a database of their own."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from support import process_caches
from support.central import Csms
from wattspan.http import protocol
from wattspan.store.store import Store
from wattspan.telemetry import logs


@pytest.fixture(autouse=True)
def cheap_password_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    process_caches.hash_passwords_cheaply(monkeypatch)


@pytest.fixture(autouse=True)
def locks_that_outlast_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first lock after failures lasts a second or two: what a busy machine needs for the next attempt."""
    monkeypatch.setattr("wattspan.gateway.throttle.FIRST_S", 60.0)
    monkeypatch.setattr("wattspan.api.access.lockout.FIRST_S", 60.0)


@pytest.fixture(autouse=True)
def no_lines_left_out_before() -> None:
    """A line that came a moment ago is left out, and reported later: in a test, only lines of the test count."""
    logs._line_limiter._reasons.clear()
    protocol._OCCASIONAL._limiter._known.clear()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables and nothing in it: to copy is a tenth of the time to migrate."""
    path = tmp_path_factory.mktemp("database") / "empty.db"

    async def make() -> None:
        await (await Store.open(str(path))).close()

    asyncio.run(make())
    return path


@pytest.fixture
async def make_csms(tmp_path: Path, empty_database: Path) -> AsyncIterator[Callable[..., Awaitable[Csms]]]:
    """Start a central system with these settings; those of one test share a database."""
    database = tmp_path / "fleet.db"
    shutil.copy(empty_database, database)
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> Csms:
            csms = Csms(database, **settings)
            await csms.start()
            stack.push_async_callback(csms.stop)
            return csms

        yield make


@pytest.fixture
async def csms(make_csms: Callable[..., Awaitable[Csms]]) -> Csms:
    """A central system with default settings."""
    return await make_csms()
