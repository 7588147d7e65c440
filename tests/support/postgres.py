"""A real PostgreSQL server of a test run's own: an unprivileged user's, in a temporary folder, syncing to disk.

Never the system's own cluster.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from support.databases import query
from support.ports import LOOPBACK, free_port
from wattspan.store.schema.tables import metadata
from wattspan.store.store import Store

USER = "wattspan"
NUMBERED = [table.name for table in metadata.tables.values() if table.autoincrement_column is not None]
SETTINGS = {
    "fsync": "on",
    "listen_addresses": LOOPBACK,
    "shared_buffers": "32MB",
    "max_connections": "60",
    "autovacuum_naptime": "1h",
    "log_line_prefix": "%m [%p] ",
    "lc_messages": "C",
}


def programs() -> Path | None:
    """The folder of PostgreSQL's server programs, the newest that is installed; None: there is none."""
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent  # a link elsewhere lacks the programs beside it
    folders = Path("/usr/lib/postgresql").glob("*/bin")  # where Debian keeps them, off the PATH
    return max(folders, key=lambda folder: int(folder.parent.name), default=None)


class PostgresServer:
    """Made by `run`. Stopped and started again it has the same port and data."""

    def __init__(self, folder: Path, programs: Path, owner: str | None) -> None:
        self._folder = folder
        self._programs = programs
        self._owner = owner
        self._numbers = itertools.count(1)
        self._emptied: str | None = None
        self.port = self.url_port = free_port()
        """`url_port`: of a PgBouncer before it, if there is one."""

    @classmethod
    @contextmanager
    def run(cls) -> Iterator[PostgresServer]:
        """A running one, gone afterwards with its data. AssertionError where PostgreSQL is not installed."""
        found = programs()
        assert found is not None, "PostgreSQL is not installed (Debian: apt install postgresql)"
        owner = unprivileged()
        folder = Path(tempfile.mkdtemp(prefix="wattspan-pg-"))
        try:
            if owner is not None:
                shutil.chown(folder, owner)
            server = cls(folder, found, owner)
            server._call(
                "initdb", "--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"
            )
            settings = "".join(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
            with (folder / "data" / "postgresql.conf").open("a") as configuration:
                configuration.write(f"{settings}port = {server.port}\nunix_socket_directories = '{folder}'\n")
            server.start()
            try:
                yield server
            finally:
                if server.runs:
                    server.stop(mode="immediate")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def standby(self) -> Iterator[PostgresServer]:
        """A copy of this one that every commit waits for from now on; it is a server of its own once promoted."""
        folder = Path(tempfile.mkdtemp(prefix="wattspan-pg-"))
        try:
            if self._owner is not None:
                shutil.chown(folder, self._owner)
            copy = PostgresServer(folder, self._programs, self._owner)
            source = ("--host", LOOPBACK, "--port", str(self.port), "--username", USER)
            copy._call("pg_basebackup", *source, "--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
            with (folder / "data" / "postgresql.conf").open("a") as configuration:
                configuration.write(f"port = {copy.port}\nunix_socket_directories = '{folder}'\n")
            copy.start()
            try:
                self.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
                self.query("SELECT pg_reload_conf()")
                yield copy
            finally:
                copy.stop(mode="immediate")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def is_followed(self) -> bool:
        """Whether a commit here waits for a standby that streams."""
        return self.query("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'") != []

    def promote(self) -> None:
        """Make a standby the primary."""
        self._call("pg_ctl", "promote", "--wait", "--silent", "--timeout", "60")
        self.query("ALTER SYSTEM RESET synchronous_standby_names")
        self.query("SELECT pg_reload_conf()")

    @property
    def runs(self) -> bool:
        return (self._folder / "data" / "postmaster.pid").exists()

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@{LOOPBACK}:{self.url_port}/{database}"

    def start(self) -> None:
        self._call("pg_ctl", "start", "--wait", "--silent", "--timeout", "60", "--log", str(self._folder / "log"))

    def stop(self, *, mode: str = "fast") -> None:
        """`fast` ends sessions; `immediate` is a crash: the next start recovers from the log."""
        self._call("pg_ctl", "stop", "--wait", "--silent", "--mode", mode, "--timeout", "60")

    def pids(self) -> list[int]:
        """The server's processes, the first of all first."""
        parent = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [parent, *map(int, children)]

    def signal(self, number: signal.Signals, pids: Sequence[int]) -> None:
        """Send a signal to these of its processes, of which a session's may have ended meanwhile."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def accepts(self) -> bool:
        """Whether it lets anybody in: not while it recovers."""
        try:
            self.query("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def create(self) -> str:
        """A new database without any table; its URL."""
        name = f"fleet_{next(self._numbers)}"
        self.query(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def empty(self) -> str:
        """The URL of a database with all tables and nothing in them: the same one each time, as no test needs two."""
        if self._emptied is None:
            self._emptied = self.create()
            # In a thread: the caller may stand on an event loop, which is not to be entered twice.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, _migrated(self._emptied)).result()
        deletions = [f"DELETE FROM {table.name}" for table in metadata.tables.values()]  # noqa: S608
        restarts = [f"ALTER SEQUENCE {table}_id_seq RESTART" for table in NUMBERED]
        query(self._emptied, "; ".join([*deletions, *restarts]))
        return self._emptied

    def query(self, sql: str, database: str = "postgres") -> list[Any]:
        """Rows of a statement on a connection of its own, committed."""
        return query(f"postgresql://{USER}@{LOOPBACK}:{self.port}/{database}", sql)

    def _call(self, program: str, *options: str) -> None:
        command: Sequence[str] = [str(self._programs / program), "--pgdata", str(self._folder / "data"), *options]
        with (self._folder / "calls").open("ab") as output:  # no pipe: the server would hold it open
            done = subprocess.run(
                command,
                check=False,
                cwd=self._folder,
                user=self._owner,
                group=None if self._owner is None else pwd.getpwnam(self._owner).pw_gid,
                extra_groups=None if self._owner is None else [],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            )
        told = (self._folder / "calls").read_text(errors="replace")
        assert done.returncode == 0, f"{program} failed:\n{told[-2000:]}"


async def _migrated(url: str) -> None:
    await (await Store.open(url)).close()


def unprivileged() -> str | None:
    """Whom to run the server as; None: whoever we are. It refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
