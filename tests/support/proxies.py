"""A proxy for tests: on free ports, read over real HTTP."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx
from opentelemetry.trace import TracerProvider

from support.central import PLAIN
from support.chargers import Charger
from support.waiting import eventually
from wattspan.app.proxy import ProxyServer
from wattspan.settings import load_settings


class Proxy:
    """A ProxyServer, and the questions tests ask it. Keywords are settings."""

    def __init__(
        self,
        database: Path,
        upstream: str,
        *,
        tracer_provider: TracerProvider | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        **settings: Any,
    ) -> None:
        chosen = {"port": 0, "metrics_port": 0, "api_port": 0, "database": str(database), "upstream": upstream or None}
        self._settings = load_settings(chosen | settings, None, {})
        self._tracer_provider = tracer_provider
        self._clock_ns = clock_ns

    server: ProxyServer

    async def __aenter__(self) -> Self:
        self.server = ProxyServer(self._settings, tracer_provider=self._tracer_provider, clock_ns=self._clock_ns)
        await self.server.__aenter__()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self.server.__aexit__(*exc)

    def charger(self, cp_id: str, **options: Any) -> Charger:
        """A charge point that connects when entered."""
        scheme = "wss" if self._settings.tls_cert else "ws"
        return Charger(f"{scheme}://127.0.0.1:{self.server.port}/{cp_id}", **options)

    async def page(self, path: str = "/metrics") -> str:
        """A page of the metrics port."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.server.metrics_port}", **PLAIN) as client:
            return (await client.get(path)).text

    async def metric(self, name: str, **labels: str) -> float | None:
        """The value of one series, its labels in any order; None when it is not there."""
        for line in (await self.page()).splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and dict(re.findall(r'(\w+)="([^"]*)"', series)) == labels:
                return float(value)
        return None

    async def becomes(self, value: float | None, name: str, **labels: str) -> None:
        """Wait until a series has this value."""

        async def has() -> bool:
            return await self.metric(name, **labels) == value

        await eventually(has)
