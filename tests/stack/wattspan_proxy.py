"""`wattspan proxy` as users start it: a process of its own in front of any central system, read over HTTP.

Owns one command line. Knows nothing of Wattspan's code.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from stack.process import Program, ProgramError, free_ports, running
from stack.servers import fetch


class WattspanProxy:
    """A proxy that relays, with a database of its own in a test's folder. Started again it has the same ports."""

    def __init__(self, folder: Path, upstream: str, options: tuple[str, ...]) -> None:
        self._folder = folder
        self._upstream = upstream
        self._options = options
        self._child = AsyncExitStack()
        self._starts = 0
        self.port, self.metrics_port = free_ports(2)

    program: Program
    """Of the last start; each has a log of its own."""

    @classmethod
    @asynccontextmanager
    async def run(cls, folder: Path, upstream: str, *options: str) -> AsyncIterator[WattspanProxy]:
        """One that relays to the template `upstream`. Fails at the end when its log has a traceback."""
        proxy = cls(folder, upstream, options)
        await proxy.start()
        async with proxy._child:
            yield proxy
        if "Traceback" in proxy.program.log.read_text():
            raise ProgramError(proxy.program.name, "logged a traceback", proxy.program.log_tail(60))

    @property
    def url(self) -> str:
        """Where charge points connect, without the identity."""
        return f"ws://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Return when it has said where it relays. The one before must have ended."""
        self._starts += 1
        ports = ["--port", str(self.port), "--metrics-port", str(self.metrics_port), "--api-port", "0"]
        database = ["--database", str(self._folder / "proxy.db")]
        command = [sys.executable, "-m", "wattspan", "proxy", "--upstream", self._upstream, *ports, *database]
        self.program = await self._child.enter_async_context(
            running(f"wattspan-proxy-{self._starts}", [*command, *self._options], folder=self._folder)
        )
        await self.program.until(self._ready, "relaying")

    async def kill(self) -> None:
        """SIGKILL: no goodbye to anybody."""
        self.program.child.kill()
        await self.program.child.wait()

    async def page(self) -> str:
        """/metrics as it stands."""
        return await fetch(f"http://127.0.0.1:{self.metrics_port}/metrics", accept="text/plain")

    async def value(self, series: str) -> float | None:
        """The value of a series as it is written, labels and all; None when it is not there."""
        for line in (await self.page()).splitlines():
            if line.rpartition(" ")[0] == series:
                return float(line.rpartition(" ")[2])
        return None

    async def _ready(self) -> bool:
        found = dict(
            re.findall(r"^(charge points|metrics) +\w+://127\.0\.0\.1:(\d+)", self.program.log.read_text(), re.M)
        )
        if "metrics" in found:
            self.port, self.metrics_port = int(found["charge points"]), int(found["metrics"])
        return "metrics" in found
