"""What is on disk can be read by its owner alone, whatever the umask and whatever rights it had."""

import logging
import os
import stat
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.central import Csms


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """The rights of other users, by path; only what has any."""
    found = {
        str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) & 0o077
        for path in [folder, *folder.rglob("*")]
    }
    return {name: mode for name, mode in found.items() if mode}


async def upload(csms: Csms) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"a log"

    await csms.central._files.take("diagnostics", "CP1", "log.txt", content(), time.time())


async def test_database_and_uploads_belong_to_their_owner(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(0o700)
    csms = Csms(folder / "fleet.db", plugins=["audit"], audit_log=folder / "audit.jsonl")
    await csms.start()
    async with csms.charger("CP1") as charger:
        await charger.call("Heartbeat", {})
    await upload(csms)
    assert {"fleet.db", "fleet.db-wal", "fleet.db-shm", "files", "audit.jsonl"} <= {
        path.name for path in folder.iterdir()
    }
    assert modes(folder) == {}
    await csms.stop()
    assert modes(folder) == {}


async def test_what_others_could_read_is_closed_to_them_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    folder.mkdir(0o700)
    csms = Csms(folder / "fleet.db")
    await csms.start()
    await upload(csms)
    await csms.kill()
    for path in [folder / "fleet.db", *folder.glob("fleet.db-*")]:
        path.chmod(0o664)
    (folder / "files" / "diagnostics").chmod(0o755)
    await csms.start()
    await upload(csms)
    assert modes(folder) == {}
    (line,) = [each for each in caplog.records if "could be read by other users" in each.getMessage()]
    assert line.levelno == logging.WARNING
    await csms.stop()
