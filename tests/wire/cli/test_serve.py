"""`wattspan serve` prints where everything is, ends cleanly on SIGTERM, and reports wrong settings before it starts."""

import asyncio
import os
import pty
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from support.central import PLAIN

START_S = 60.0
PORTS = ("--port", "0", "--metrics-port", "0", "--api-port", "0")


@pytest.fixture
def folder(tmp_path: Path, empty_database: Path) -> Path:
    """A folder with migrated databases: the migrations take a quarter of the time to start."""
    for name in ("wattspan.db", "wattspan-proxy.db"):
        shutil.copy(empty_database, tmp_path / name)
    return tmp_path


@asynccontextmanager
async def serving(
    folder: Path, *options: str, command: str = "serve"
) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, str]]]:
    """The process, and the addresses that it printed by what they are for."""
    arguments = [sys.executable, "-m", "wattspan", command, *options]
    child = await asyncio.create_subprocess_exec(*arguments, cwd=folder, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    printed: dict[str, str] = {}
    try:
        async with asyncio.timeout(START_S):
            while "log in as" not in printed:
                line = (await child.stdout.readline()).decode()
                assert line, printed
                name, address = re.split(r" {2,}", line.strip(), maxsplit=1)
                printed[name] = address
        yield child, printed
    finally:
        if child.returncode is None:
            child.terminate()
        await child.communicate()


async def test_it_prints_where_the_console_the_api_and_the_metrics_are(folder: Path) -> None:
    async with serving(folder, *PORTS) as (child, printed), httpx.AsyncClient(**PLAIN) as http:
        pages = {name: await http.get(printed[name]) for name in ("console", "API", "metrics")}
    assert {name: page.status_code for name, page in pages.items()} == dict.fromkeys(pages, 200)
    assert printed["console"].endswith("/")
    assert pages["console"].headers["Content-Type"].startswith("text/html")
    assert re.fullmatch(r"ws://127\.0\.0\.1:[1-9]\d*/\{cp_id\}", printed["charge points"])
    assert child.returncode == 0


async def test_a_captured_output_has_no_password_but_names_a_file_of_its_owner(folder: Path) -> None:
    """The output of a service or a container is kept in a log that others read."""
    path = folder / "wattspan.db.admin-password"
    path.write_text("of an earlier database")
    async with serving(folder, *PORTS) as (_, printed), httpx.AsyncClient(**PLAIN) as http:
        assert printed["log in as"] == f"admin, password in {path.name}  (remove the file once you have read it)"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        login = {"name": "admin", "password": path.read_text().strip()}
        address = printed["API"].replace("/docs", "/api/v1/session")
        assert (await http.post(address, json=login)).status_code == 200
    assert login["password"] not in str(printed)


async def test_the_captured_output_of_a_proxy_has_no_password_either(folder: Path) -> None:
    options = ("--upstream", "ws://127.0.0.1:9/{cp_id}", *PORTS)
    async with serving(folder, *options, command="proxy") as (_, printed):
        name = "wattspan-proxy.db.admin-password"
        assert printed["log in as"] == f"admin, password in {name}  (remove the file once you have read it)"
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_a_terminal_shows_the_password_once(tmp_path: Path) -> None:
    main, other = pty.openpty()
    command = [sys.executable, "-m", "wattspan", "serve", *PORTS]
    with subprocess.Popen(command, cwd=tmp_path, stdout=other, stderr=other) as child:
        os.close(other)
        shown = b""
        while b"log in as" not in shown or not shown.endswith(b"\n"):
            shown += os.read(main, 10_000)
        child.terminate()
        child.wait(START_S)
    os.close(main)
    assert re.search(rb"log in as      admin, password \w{20,}  \(shown only once\)", shown)
    assert "wattspan.db.admin-password" not in names(tmp_path)


async def test_it_reports_what_others_can_reach(folder: Path) -> None:
    async with serving(folder, *PORTS, "--host", "0.0.0.0", "--metrics-host", "0.0.0.0") as (_, printed):
        assert printed["charge points"].startswith("ws://0.0.0.0:")
        assert printed["metrics"].endswith("/metrics  (open to the network, without credentials)")
        assert printed["API"].startswith("http://127.0.0.1:")
        assert printed["API"].endswith("/docs  (this machine only)")


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return [path.name for path in folder.iterdir()]


async def test_wrong_settings_are_all_reported_and_nothing_is_created(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wattspan", "serve", "--port", "x", "--log-level", "loud"]
    child = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stderr=asyncio.subprocess.PIPE)
    _, errors = await child.communicate()
    assert child.returncode == 2
    assert errors.decode().splitlines() == [
        "Error: log_level: loud is not debug, info, warning, error or critical",
        "Error: port: x is not a whole number between 0 and 65535",
    ]
    assert names(tmp_path) == []
