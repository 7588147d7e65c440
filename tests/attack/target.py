"""The server under attack as a process of its own, and the charge point beside which it is attacked."""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from support.raw import PING, PONG, TEXT, RawCharger


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The server under attack."""

    port: int
    metrics_port: int
    api_port: int
    log: Path
    process: psutil.Process

    def peer(self, target: str = "/ws/ATTACKER", **headers: str) -> RawCharger:
        """Return a peer that connects when entered."""
        return RawCharger(self.port, target, headers)

    def resident_mib(self) -> float:
        """Return the resident memory of the server."""
        return float(self.process.memory_info().rss) / 2**20


Attack = Callable[[Target, float], Awaitable[str]]


@asynccontextmanager
async def target(environment: dict[str, str] | None = None, **settings: object) -> AsyncIterator[Target]:
    """Start a server on a database of its own, with these variables beside those of this process."""
    with tempfile.TemporaryDirectory(prefix="wattspan-attack-") as folder:
        path = Path(folder, "log")
        log = os.open(path, os.O_WRONLY | os.O_CREAT)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "attack.server",
            str(Path(folder, "fleet.db")),
            json.dumps(settings),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={**os.environ, **(environment or {})},
        )
        os.close(log)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            found = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
            ports = {name: int(found[name]) for name in ("port", "metrics_port", "api_port")}
            yield Target(**ports, log=path, process=psutil.Process(int(found["pid"])))
        finally:
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()


async def heartbeat(peer: RawCharger) -> float:
    """Return the seconds that a Heartbeat takes."""
    began = time.perf_counter()
    peer.write(b'[2,"h","Heartbeat",{}]')
    while (frame := await peer.read()).opcode != TEXT:
        if frame.opcode == PING:
            peer.write(frame.data, PONG)
    return time.perf_counter() - began
