"""What can be wrong when `wattspan serve` starts: one clear line that says what to do, and an exit code not 0."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from stack.process import LOOPBACK, START_S


def refused(*options: str | Path, **environment: str) -> tuple[int, str]:
    """Exit code and the one line that `wattspan serve` ends with."""
    done = subprocess.run(
        [sys.executable, "-m", "wattspan", "serve", "--port", "0", "--metrics-port", "0", "--api-port", "0", *options],
        env=os.environ | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=START_S,
    )
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Error: ")
    assert "ws://" not in done.stdout
    return done.returncode, lines[0]


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with a charge point in it."""
    path = tmp_path_factory.mktemp("used") / "fleet.db"
    command = [sys.executable, "-m", "wattspan", "cp", "add", "CP1", "--no-password", "--database", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path.read_bytes()


@pytest.fixture
def database(used: bytes, tmp_path: Path) -> Path:
    """One that was used before."""
    path = tmp_path / "fleet.db"
    path.touch(0o600)
    path.write_bytes(used)
    return path


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("option", ["--port", "--metrics-port", "--api-port"])
def test_a_taken_port_is_named(database: Path, option: str) -> None:
    with taken_port() as port:
        code, line = refused(option, str(port), "--database", database)
    assert code == 2
    assert f"port {LOOPBACK}:{port}: Address already in use; choose another with {option}" in line


def test_a_database_that_another_process_writes_to_is_locked(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        code, line = refused("--database", database)
    assert code == 1
    assert f"database {database} is locked by another process; end that process or wait for it" in line


@pytest.mark.parametrize("keep", [0, 3 * 4096])
def test_a_corrupt_database_wants_its_backup(database: Path, keep: int) -> None:
    database.write_bytes(database.read_bytes()[:keep] or b"no database at all" * 1000)
    code, line = refused("--database", database)
    assert code == 1
    assert "corrupt; restore it from a backup" in line


@pytest.mark.privileged
def test_a_database_that_may_only_be_read_wants_permission(database: Path) -> None:
    """chattr and not chmod: root may write what it may not."""
    if subprocess.run(["chattr", "+i", database], check=False, capture_output=True).returncode:
        pytest.skip("this file system has no immutable files, or this user may not make them")
    try:
        code, line = refused("--database", database)
    finally:
        subprocess.run(["chattr", "-i", database], check=True)
    assert code == 1
    assert f"database {database} can't be written; give this user write permission" in line


@pytest.mark.privileged
@pytest.mark.parametrize("used_before", [True, False])
def test_a_full_disk_wants_room(database: Path, tmp_path: Path, used_before: bool) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk, and not in every container")
    try:
        if used_before:
            (folder / "fleet.db").write_bytes(database.read_bytes())
        fill(folder / "rest", leaves=16 * 1024)
        code, line = refused("--database", folder / "fleet.db")
    finally:
        subprocess.run(["umount", folder], check=True)
    assert code == 1
    assert "make room" in line


def fill(path: Path, *, leaves: int) -> None:
    """Write until the disk is full, but for so many bytes."""
    free = os.statvfs(path.parent).f_bavail * os.statvfs(path.parent).f_frsize
    path.write_bytes(bytes(max(0, free - leaves)))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, line = refused("--database", tmp_path / "nowhere" / "fleet.db")
    assert code == 1
    assert "its folder does not exist; create it, or name another database" in line
