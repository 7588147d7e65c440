"""`wattspan serve` as users start it: a process of its own, read over HTTP, stopped, killed and started again.

Owns one command line. Knows nothing of Wattspan's code, nor of what chargers do.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from stack.process import STOP_S, Program, ProgramError, free_ports, running
from stack.servers import Collector, fetch

SOON = {"OTEL_METRIC_EXPORT_INTERVAL": "500", "OTEL_BSP_SCHEDULE_DELAY": "200"}
"""Milliseconds; the specification's defaults are a minute and five seconds, and a test would wait for both."""

ADDRESS = re.compile(r"^(charge points|metrics) +\w+://127\.0\.0\.1:(\d+)", re.MULTILINE)


def otlp(endpoint: str, protocol: str = "http/protobuf") -> dict[str, str]:
    """The environment of a server that sends everything to `endpoint`, soon."""
    return SOON | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}


def to_collector(collector: Collector) -> dict[str, str]:
    """The environment of a server that sends everything to a Collector, by gRPC."""
    return otlp(collector.grpc_endpoint, "grpc")


class WattspanServer:
    """A central system that serves, with a database of its own in a test's folder. Made by `run`.

    Started again it has the same ports and database, so that chargers find it.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], options: Sequence[str] = ()) -> None:
        self._folder = folder
        self.environment = environment
        self._options = options or ("--database", str(self.database))
        self._child = AsyncExitStack()
        self._starts = 0
        self.port, self.metrics_port = free_ports(2)
        self.api_port = 0

    program: Program
    """Of the last start; each has a log of its own."""

    @classmethod
    @asynccontextmanager
    async def run(
        cls,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        options: Sequence[str] = (),
        metrics_port: int = 0,
        api_port: int = 0,
    ) -> AsyncIterator[WattspanServer]:
        """One that serves; stopped at the end if it still runs. Fails when its log has a traceback.

        `options` of the command line, instead of a database of its own.
        """
        server = cls(folder, environment or {}, options)
        server.metrics_port, server.api_port = metrics_port or server.metrics_port, api_port
        await server.start()
        async with server._child:
            yield server
        server.assert_quiet()

    @property
    def url(self) -> str:
        """Where chargers connect, without the identity."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def metrics(self) -> str:
        """`host:port` of /metrics."""
        return f"127.0.0.1:{self.metrics_port}"

    @property
    def database(self) -> Path:
        return self._folder / "fleet.db"

    async def start(self) -> None:
        """Returns when it has said where it serves. The one before must have ended."""
        self._starts += 1
        ports = ["--port", str(self.port), "--metrics-port", str(self.metrics_port)]
        ports += ["--api-port", str(self.api_port)]
        command = [sys.executable, "-m", "wattspan", "serve", *ports, *self._options]
        self.program = await self._child.enter_async_context(
            running(f"wattspan-{self._starts}", command, folder=self._folder, environment=self.environment)
        )
        await self.program.until(self._told, "serving")

    async def stop(self) -> None:
        """SIGTERM. ProgramError unless it ends by itself within STOP_S, with exit code 0."""
        code = await self.program.stop()
        if code != 0:
            raise self.program.error(f"was to stop within {STOP_S:g} s, and ended with exit code {code}")

    async def kill(self) -> None:
        """SIGKILL: no goodbye to anybody."""
        self.program.child.kill()
        await self.program.child.wait()

    async def page(self, *, accept: str = "text/plain") -> str:
        """/metrics as it stands."""
        return await fetch(f"http://{self.metrics}/metrics", accept=accept)

    async def lines(self, name: str) -> list[str]:
        """The TYPE and sample lines of one metric; `name` is a regular expression."""
        wanted = re.compile(rf"(# TYPE )?({name})[ {{]")
        return [line for line in (await self.page()).splitlines() if wanted.match(line)]

    async def value(self, series: str) -> float | None:
        """The value of a series as it is written, labels and all; None when it is not there."""
        for line in (await self.page()).splitlines():
            if line.rpartition(" ")[0] == series:
                return float(line.rpartition(" ")[2])
        return None

    def assert_quiet(self) -> None:
        """ProgramError when anything went wrong that nobody expected."""
        if "Traceback" in self.program.log.read_text():
            raise ProgramError(self.program.name, "logged a traceback", self.program.log_tail(60))

    async def _told(self) -> bool:
        said = dict(
            re.findall(r"^(charge points|metrics) +\w+://127\.0\.0\.1:(\d+)", self.program.log.read_text(), re.M)
        )
        if "metrics" in said:
            self.port, self.metrics_port = int(said["charge points"]), int(said["metrics"])
        return "metrics" in said
