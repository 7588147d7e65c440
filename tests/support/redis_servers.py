"""A real Redis server of a test run's own, in memory alone, on a free port of loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.ports import LOOPBACK, free_port

START_S = 10.0


class RedisServer:
    """Made by `run`. Stopped and started again it has the same port, and nothing of its data."""

    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @classmethod
    @contextmanager
    def run(cls, *options: str) -> Iterator[RedisServer]:
        """A running one; `options` are redis-server's, a file first. AssertionError where it is not installed."""
        assert shutil.which("redis-server") is not None, "Redis is not installed (Debian: apt install redis-server)"
        folder = Path(tempfile.mkdtemp(prefix="wattspan-redis-"))
        server = cls(folder, options)
        try:
            server.start()
            yield server
        finally:
            server.kill()
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        own = ["--port", str(self.port), "--bind", LOOPBACK, "--dir", str(self._folder)]
        kept = [] if "--sentinel" in self._options else ["--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            ["redis-server", *self._options, *own, *kept],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + START_S
        while not self.accepts():
            assert time.monotonic() < until, "Redis did not start"
            time.sleep(0.02)

    def accepts(self) -> bool:
        """Whether it answers a PING, or at least refuses it for want of a password."""
        try:
            return self.command("PING")[:5] in (b"+PONG", b"-NOAU")
        except OSError:
            return False

    def command(self, *words: str) -> bytes:
        """The beginning of the answer to an inline command."""
        with socket.create_connection((LOOPBACK, self.port), timeout=2) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\n")
            return connection.recv(65_536)

    def kill(self) -> None:
        """End it as by SIGKILL; its data is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it hang, connections and all."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)
