"""A real PgBouncer before a PostgreSQL server of a test run, in session mode as docs/scaling.md says."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.ports import LOOPBACK, free_port
from support.postgres import USER, PostgresServer, unprivileged

START_S = 10.0
POOL = 50
"""Server connections a database."""


class PgBouncer:
    """Made by `run`. Stopped and started again it has the same port."""

    def __init__(self, folder: Path, port: int, owner: str | None) -> None:
        self._command = ["pgbouncer", str(folder / "pgbouncer.ini")]
        self._owner = owner
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port

    @classmethod
    @contextmanager
    def run(cls, postgres: PostgresServer, *, pool: int = POOL) -> Iterator[PgBouncer]:
        """A running one before a server. AssertionError where it is not installed."""
        assert shutil.which("pgbouncer") is not None, "PgBouncer is not installed (Debian: apt install pgbouncer)"
        folder, owner, port = Path(tempfile.mkdtemp(prefix="wattspan-pgbouncer-")), unprivileged(), free_port()
        bouncer = cls(folder, port, owner)
        try:
            (folder / "users.txt").write_text(f'"{USER}" ""\n')
            (folder / "pgbouncer.ini").write_text(
                f"[databases]\n* = host={LOOPBACK} port={postgres.port}\n[pgbouncer]\n"
                f"listen_addr = {LOOPBACK}\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n"
                f"auth_file = {folder}/users.txt\npool_mode = session\ndefault_pool_size = {pool}\n"
                f"server_login_retry = 1\nlogfile = {folder}/log\n"
            )
            if owner is not None:
                for path in (folder, *folder.iterdir()):
                    shutil.chown(path, owner)
            bouncer.start()
            yield bouncer
        finally:
            bouncer.kill()
            shutil.rmtree(folder, ignore_errors=True)

    def url(self, url: str) -> str:
        """The URL of a database through this."""
        before, _, rest = url.rpartition(":")
        return f"{before}:{self.port}/{rest.partition('/')[2]}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            user=self._owner,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection((LOOPBACK, self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < until, "PgBouncer did not start"
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """End it as by SIGKILL, and all connections through it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
