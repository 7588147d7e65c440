"""`wattspan cp`, `tag`, `user` on the database itself: without a login, with or without a server."""

import asyncio
import json
import os
import pty
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import Result

from support.central import Csms
from support.chargers import START
from support.databases import BACKENDS, query
from wattspan.store.queries import files as file_queries
from wattspan.store.records import StoredFile
from wattspan.store.store import Store

Run = Callable[..., Awaitable[Result]]
Basic = Callable[[str, str], dict[str, str]]
PASSWORD = "correct horse battery"


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest) -> str | None:
    """The URL of an empty PostgreSQL database; None for a SQLite file."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres").empty()


async def test_the_first_user_of_a_server_without_a_console_can_be_added_in_the_database(
    run: Run, tmp_path: Path
) -> None:
    database = tmp_path / "fleet.db"
    await run("user", "add", "robin", "--role", "admin", "--database", database, stdin=f"{PASSWORD}\n")
    csms = Csms(database)
    await csms.start()
    try:
        assert csms.first_password is None
        await run("login", "--url", csms.central.api_url(), "--user", "robin", stdin=f"{PASSWORD}\n")
        assert [json.loads(line)["name"] for line in (await run("user", "list", "--json")).stdout.splitlines()] == [
            "robin"
        ]
    finally:
        await csms.stop()


async def test_lost_passwords_can_be_replaced_in_the_database(csms: Csms, run: Run, tmp_path: Path) -> None:
    database = ("--database", tmp_path / "fleet.db")
    await run("user", "password", "admin", *database, stdin=f"{PASSWORD}\n")
    await run("login", "--url", csms.central.api_url(), stdin=f"{PASSWORD}\n")
    assert "the last admin stays" in (await run("user", "remove", "admin", *database, code=1)).stderr
    await run("user", "add", "sam", "--role", "viewer", *database, stdin=f"{PASSWORD}\n")
    assert (
        "there is a user SAM already"
        in (await run("user", "add", "SAM", "--role", "admin", *database, code=1, stdin=f"{PASSWORD}\n")).stderr
    )
    await run("user", "remove", "sam", *database)
    short = await run("user", "password", "admin", *database, code=1, stdin="short\n")
    assert "Error: password: at least 12 characters\n" in short.stderr
    assert (
        "there is no user nobody"
        in (await run("user", "password", "nobody", *database, code=1, stdin=f"{PASSWORD}\n")).stderr
    )


async def test_a_running_server_sees_changes_in_its_database_at_once(
    csms: Csms, run: Run, basic: Basic, tmp_path: Path
) -> None:
    database = ("--database", tmp_path / "fleet.db")
    secret = (await run("cp", "add", "CP1", "--profile", 1, *database)).stdout.strip()
    await run("tag", "add", "T1", "--max-active", "1", *database)
    await run("tag", "import", "-", *database, stdin="id_tag\nT2\n")
    async with csms.charger("CP1", additional_headers=basic("CP1", secret)) as charger:
        assert await charger.call("Authorize", {"idTag": "T2"}) == {"idTagInfo": {"status": "Accepted"}}
    (row,) = (await run("cp", "list", "--json", *database)).stdout.splitlines()
    assert (json.loads(row)["has_credentials"], json.loads(row)["security_profile"]) == (True, 1)
    await run("cp", "edit", "CP1", "--profile", 2, *database)
    (row,) = (await run("cp", "list", "--json", *database)).stdout.splitlines()
    assert (json.loads(row)["has_credentials"], json.loads(row)["security_profile"]) == (True, 2)
    assert "no charge point CP2" in (await run("cp", "edit", "CP2", "--profile", 2, *database, code=1)).stderr
    assert "T1" in (await run("tag", "list", *database)).stdout
    await run("tag", "remove", "T1", *database)
    await run("cp", "remove", "CP1", *database)
    assert (await run("cp", "list", "--json", *database)).stdout == ""
    assert "no charge point CP1" in (await run("cp", "remove", "CP1", *database, code=1)).stderr


async def test_without_a_login_the_database_of_the_settings_is_used(run: Run, tmp_path: Path) -> None:
    await run("cp", "add", "CP1", WATTSPAN_DATABASE=str(tmp_path / "other.db"))
    assert "CP1" in (await run("cp", "list", "--database", tmp_path / "other.db")).stdout
    assert "wattspan.db does not exist" in (await run("cp", "list", code=1)).stderr


async def test_url_and_database_cannot_be_used_together(run: Run) -> None:
    refused = await run("cp", "list", "--url", "http://127.0.0.1:1", "--database", "x.db", code=2)
    assert "cannot be used together" in refused.stderr


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(
    "words",
    [
        ("cp", "list"),
        ("cp", "remove", "CP1"),
        ("tag", "list"),
        ("tag", "remove", "T1"),
        ("user", "list"),
        ("user", "remove", "sam"),
        ("user", "password", "sam"),
        ("backup", "copy.db"),
    ],
)
async def test_only_what_adds_creates_a_database(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    refused = await run(*words, "--database", "missing.db", code=1, stdin=f"{PASSWORD}\n")
    assert refused.stderr.startswith("Error: ")
    assert "missing.db" in refused.stderr
    assert names(tmp_path) == []


async def test_on_a_terminal_of_80_columns_a_table_shows_identifiers_whole(run: Run, tmp_path: Path) -> None:
    database = tmp_path / "fleet.db"
    long_id = "CP-" + "0123456789" * 4 + "-LAST"
    await run("cp", "add", long_id, "--database", database)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "wattspan", "cp", "list", "--database", str(database)]
    child = await asyncio.create_subprocess_exec(
        *command, stdout=theirs, stderr=asyncio.subprocess.PIPE, env=os.environ | {"COLUMNS": "80", "TERM": "dumb"}
    )
    _, errors = await child.communicate()
    os.close(theirs)
    shown = (await asyncio.to_thread(os.read, ours, 100_000)).decode().splitlines()
    os.close(ours)
    assert child.returncode == 0, errors
    assert max(map(len, shown)) <= 80
    assert any(line.startswith(f"{long_id} ") for line in shown)
    assert b"Not shown for lack of space: " in errors


async def test_a_tag_is_erased_from_a_database_that_no_server_uses(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    database = url or str(tmp_path / "fleet.db")
    files = str(tmp_path / "files")
    csms = Csms(tmp_path / "fleet.db", url=url)
    await run("tag", "add", "04E1C9AB77", "--database", database)
    await csms.start()
    try:
        async with csms.charger("CP1") as charger:
            await charger.call("StartTransaction", {**START, "idTag": "04E1C9AB77"})
        with monkeypatch.context() as impatient:
            impatient.setattr("wattspan.store.advisory_lock.TAKE_S", 0.05)
            refused = await run("tag", "erase", "04E1C9AB77", "--database", database, code=1, WATTSPAN_FILES=files)
        assert "a server uses this database, and its memory has the id tag too: use its API" in refused.stderr
    finally:
        await csms.stop()
    log = tmp_path / "files" / "diagnostics" / ("0" * 32)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"card 04E1C9AB77")
    file = StoredFile(
        file_id="0" * 32, kind="diagnostics", cp_id="CP1", name="x", size_bytes=15, sha256="", created_ts=1.0
    )
    store = await Store.open(database)
    await store.do(file_queries.add_file, file)
    await store.close()
    done = await run("tag", "erase", "04E1C9AB77", "--database", database, WATTSPAN_FILES=files)
    assert "erased from 1 id tags, 1 transactions, 1 files" in done.stderr
    assert ("free parts of the database" in done.stderr) == (url is not None)
    assert not log.exists()
    if url is None:
        assert b"04E1C9AB77" not in (tmp_path / "fleet.db").read_bytes()
    (audited,) = query(database, "SELECT who, by_means_of, action, target, status FROM audit")
    assert tuple(audited) == ("", "database", "erase_id_tag", "/api/v1/id-tags/erase", 200)
    wrong = await run("tag", "erase", "a\x01b", "--database", database, code=1)
    assert "id_tag" in wrong.stderr
