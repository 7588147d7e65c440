"""The central system of `support.plain_central`, built on the `ocpp` package alone, as a child of a test."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.process import LOOPBACK, Program, on_free_ports

SERVER = Path(__file__).parents[1] / "support" / "plain_central.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class OcppPackageServer:
    """A running server."""

    program: Program
    url: str

    @classmethod
    @asynccontextmanager
    async def run(cls, folder: Path) -> AsyncIterator[OcppPackageServer]:
        """One that takes connections at `url`, with the identity as its path."""

        def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
            return [sys.executable, SERVER, str(ports[0])], {}

        async def healthy(ports: Sequence[int]) -> bool:
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, ports[0])
            except ConnectionError:
                return False
            writer.close()
            await writer.wait_closed()
            return True

        async with on_free_ports("ocpp-package", launch, healthy, ports=1, folder=folder) as (program, ports):
            yield cls(program=program, url=f"ws://{LOOPBACK}:{ports[0]}")
