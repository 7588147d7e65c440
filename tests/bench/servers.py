"""The servers under test, each a process of its own on one core, and the Collector that Wattspan exports to."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from bench.load import pin
from stack.ocpp_go import central_system_binary
from stack.process import LOOPBACK, Program, free_ports, running
from stack.servers import answers, fetch
from stack.toolchain import tool

SERVER_CORE, LOAD_CORE = 0, 1
HERE = Path(__file__).parent
PLAIN = HERE.parent / "support" / "plain_central.py"
SPANNED = HERE / "spanned_central.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server under test; `metrics_port` 0: it has no page."""

    program: Program
    port: int
    metrics_port: int = 0
    api_port: int = 0
    database: Path | None = None

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.program.child.pid)

    def memory(self) -> int:
        """Return the bytes that belong to this process alone (USS)."""
        return int(self.process.memory_full_info().uss)

    def cpu_s(self) -> float:
        """Return the CPU seconds, user and system, of the server's own processes so far."""
        times = [each.cpu_times() for each in (self.process, *self.process.children(recursive=True))]
        return float(sum(each.user + each.system for each in times))


Started = Callable[[Path], Any]


@asynccontextmanager
async def _pinned(
    name: str, command: Sequence[str | Path], folder: Path, port: int, environment: Mapping[str, str]
) -> AsyncIterator[Program]:
    """Started on the server's core from its first instruction: a child has its parent's affinity."""
    pin(SERVER_CORE)
    try:
        child = running(name, command, folder=folder, environment=environment)
        program = await child.__aenter__()
    finally:
        pin(LOAD_CORE)
    try:
        await program.until(lambda: _listens(port), "listening")
        yield program
    finally:
        await child.__aexit__(None, None, None)


async def _listens(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


@asynccontextmanager
async def plain(folder: Path) -> AsyncIterator[Server]:
    """The `ocpp` package's plain server."""
    (port,) = free_ports(1)
    async with _pinned("plain", [sys.executable, PLAIN, str(port)], folder, port, {}) as program:
        yield Server(program=program, port=port)


@asynccontextmanager
async def instrumented(
    folder: Path, collector: "Collector | None", *, sdk_alone: bool = False
) -> AsyncIterator[Server]:
    """The plain server under `opentelemetry-instrument`; without a Collector every span is sampled out.

    `sdk_alone`: with one span of the SDK a message in place of Wattspan's instrumentation.
    """
    (port,) = free_ports(1)
    otlp, none = ("otlp", "none") if collector is not None else ("none", "none")
    environment = {
        "OTEL_TRACES_EXPORTER": otlp,
        "OTEL_METRICS_EXPORTER": otlp,
        "OTEL_LOGS_EXPORTER": none,
        **(collector.environment if collector is not None else {"OTEL_TRACES_SAMPLER": "always_off"}),
        **({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "ocpp"} if sdk_alone else {}),
    }
    name = f"{'spanned' if sdk_alone else 'instrumented'}{'' if collector is not None else '-out'}"
    program_file = SPANNED if sdk_alone else PLAIN
    command = [Path(sys.executable).with_name("opentelemetry-instrument"), sys.executable, program_file, str(port)]
    async with _pinned(name, command, folder, port, environment) as program:
        yield Server(program=program, port=port)


@asynccontextmanager
async def ocpp_go(folder: Path) -> AsyncIterator[Server]:
    """ocpp-go's example central system, its two log lines a message thrown away: writing them is not its work."""
    (port,) = free_ports(1)
    log = folder / "ocpp-go.log"
    if not log.is_symlink():
        log.symlink_to(os.devnull)
    async with _pinned(
        "ocpp-go", [central_system_binary()], folder, port, {"SERVER_LISTEN_PORT": str(port)}
    ) as program:
        yield Server(program=program, port=port)


@asynccontextmanager
async def wattspan(
    folder: Path, collector: "Collector | None", *, checkout: Path | None = None, **options: str
) -> AsyncIterator[Server]:
    """`wattspan serve` on a fresh SQLite database; without a Collector telemetry is off by OTEL_SDK_DISABLED.

    `options`: environment variables; WATTSPAN_DATABASE names another database than `Server.database`.

    `checkout`: another working tree of Wattspan, whose code runs instead of this one's.
    """
    port, metrics_port, api_port = free_ports(3)
    environment = {
        "WATTSPAN_PORT": str(port),
        "WATTSPAN_METRICS_PORT": str(metrics_port),
        "WATTSPAN_API_PORT": str(api_port),
        **(collector.environment if collector is not None else {"OTEL_SDK_DISABLED": "true"}),
        **options,
    }
    if checkout is not None:
        environment["PYTHONPATH"] = str(checkout / "src")
    command = [sys.executable, "-m", "wattspan", "serve"]
    with TemporaryDirectory(dir=folder) as own:
        database = Path(own, "wattspan.db")
        environment.setdefault("WATTSPAN_DATABASE", str(database))
        async with _pinned("wattspan", command, folder, port, environment) as program:
            yield Server(program=program, port=port, metrics_port=metrics_port, api_port=api_port, database=database)


@asynccontextmanager
async def plain_relay(folder: Path, upstream_port: int) -> AsyncIterator[Server]:
    """A plain relay on `websockets`."""
    (port,) = free_ports(1)
    command = [sys.executable, HERE / "plain_relay.py", str(port), str(upstream_port)]
    async with _pinned("relay", command, folder, port, {}) as program:
        yield Server(program=program, port=port)


@asynccontextmanager
async def proxy(folder: Path, upstream_port: int, collector: "Collector") -> AsyncIterator[Server]:
    """`wattspan proxy` on a fresh SQLite database, everything on."""
    port, metrics_port, api_port = free_ports(3)
    environment = {"WATTSPAN_PORT": str(port), "WATTSPAN_METRICS_PORT": str(metrics_port), **collector.environment}
    environment["WATTSPAN_API_PORT"] = str(api_port)
    environment["WATTSPAN_UPSTREAM"] = f"ws://{LOOPBACK}:{upstream_port}/{{cp_id}}"
    with TemporaryDirectory(dir=folder) as own:
        environment["WATTSPAN_DATABASE"] = str(Path(own, "proxy.db"))
        command = [sys.executable, "-m", "wattspan", "proxy"]
        async with _pinned("proxy", command, folder, port, environment) as program:
            yield Server(program=program, port=port, metrics_port=metrics_port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """A real Collector that takes OTLP and throws it away. It runs on the load generator's core."""

    otlp: str
    telemetry: str

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{self.otlp}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRIC_EXPORT_INTERVAL": "60000",
        }

    async def spans(self) -> int:
        """How many spans it has accepted so far."""
        page = await fetch(f"http://{self.telemetry}/metrics", accept="text/plain")
        lines = [line for line in page.splitlines() if line.startswith("otelcol_receiver_accepted_spans")]
        return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines)


@asynccontextmanager
async def collector(folder: Path) -> AsyncIterator[Collector]:
    """A Collector with tests/bench/collector.yaml."""
    otlp, telemetry = free_ports(2)
    environment = {
        "OTELCOL_OTLP_HTTP": f"{LOOPBACK}:{otlp}",
        "OTELCOL_TELEMETRY_PORT": str(telemetry),
        "GOMAXPROCS": "1",
    }
    # Its work must not make the load generator wait: a charge point has a core to itself too.
    command = ["nice", tool("otelcol"), "--config", HERE / "collector.yaml"]
    async with running("otelcol", command, folder=folder, environment=environment) as program:
        made = Collector(otlp=f"{LOOPBACK}:{otlp}", telemetry=f"{LOOPBACK}:{telemetry}")
        await program.until(lambda: answers(f"http://{made.telemetry}/metrics"), "healthy")
        yield made


async def settled(collector: Collector, wanted: int, within_s: float = 15.0) -> int:
    """The spans accepted once there are `wanted`, or when the time is up: exporting ends after the last answer."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        found = await collector.spans()
        if found >= wanted or asyncio.get_running_loop().time() > deadline:
            return found
        await asyncio.sleep(0.2)
