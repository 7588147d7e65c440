"""A central system for tests: on free ports and a database file, read over real HTTP, stopped, restarted or cut off."""

import asyncio
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from support.chargers import Charger
from support.raw import RawCharger
from support.waiting import WITHIN_S, eventually
from wattspan import CentralSystem
from wattspan.csms.plugins.base import Plugin
from wattspan.history.series import SeriesRecorder
from wattspan.store.journal.batch import Batch
from wattspan.store.store import Store

ANSWER_S = 30
"""What an answer may take on a machine that is busy with all the rest."""
PLAIN: Any = {"trust_env": False, "verify": False, "timeout": ANSWER_S}
"""For a client without TLS: to read the certificates of all authorities takes half of a small test's time."""


class Csms:
    """A CentralSystem and the questions tests ask it. Keywords are settings; `plugins` as CentralSystem takes them.

    `url` is a database elsewhere; beside `database` lies then only what else is kept.
    """

    def __init__(
        self,
        database: Path,
        *,
        url: str | None = None,
        plugins: Iterable[Plugin | str] | None = None,
        **settings: Any,
    ) -> None:
        self._plugins = plugins
        self._settings = {
            "port": 0,
            "metrics_port": 0,
            "api_port": 0,
            "database": url or str(database),
            "files": str(database.with_name("files")),
            **settings,
        }
        self._http: httpx.AsyncClient
        self.first_password: str | None = None
        """Of `admin`, as made up at the first start."""

    central: CentralSystem

    async def start(self) -> None:
        central = CentralSystem(plugins=self._plugins, **self._settings)
        self.central = await central.__aenter__()
        self.first_password = central.first_password or self.first_password
        base = f"http://127.0.0.1:{central.metrics_port}"
        token = self._settings.get("metrics_token")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.AsyncClient(base_url=base, headers=headers, **PLAIN)

    async def stop(self) -> None:
        await self._http.aclose()
        await self.central.__aexit__(None, None, None)

    async def restart(self) -> None:
        """Stop in good order, and start again on the same database."""
        await self.stop()
        await self.start()

    async def kill(self) -> None:
        """End as by a power cut: from now on nothing reaches the database, and no connection is closed properly."""
        central = self.central

        def write(batch: Batch, done: Callable[[Exception | None], None]) -> None:
            pass

        async def flush() -> None:
            pass

        setattr(central.store, "write", write)  # noqa: B010 - mypy rightly refuses to assign to a method
        setattr(central._core.journal, "flush", flush)  # noqa: B010
        for server in central._gateway._ports.servers:
            for connection in list(server.all_connections):
                connection.transport.abort()
        await self.stop()

    @property
    def store(self) -> Store:
        return self.central.store

    def url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.central.port}{path}"

    def charger(self, cp_id: str, **options: Any) -> Charger:
        """A charge point that connects when entered."""
        return Charger(self.url(f"/ws/{quote(cp_id, safe='')}"), **options)

    def raw_charger(self, target: str = "/ws/CP1", **headers: str) -> RawCharger:
        """One that speaks bytes, for what no WebSocket client would send."""
        return RawCharger(self.central.port, target, headers)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """GET from the metrics port."""
        return await self._http.get(path, headers=headers)

    async def page(self) -> list[str]:
        """The lines of /metrics."""
        answer = await self.get("/metrics")
        assert answer.status_code == 200
        return answer.text.splitlines()

    async def lines(self, *names: str) -> list[str]:
        """The TYPE and sample lines of these metrics, as they stand on the page."""
        wanted = re.compile(rf"(# TYPE )?({'|'.join(names)})[ {{]")
        return [line for line in await self.page() if wanted.match(line)]

    async def metric(self, name: str, **labels: str) -> float | None:
        """The value of one series, its labels in any order; None when it is not there."""
        for line in await self.page():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and dict(re.findall(r'(\w+)="([^"]*)"', series)) == labels:
                return float(value)
        return None

    async def counts(self, name: str, by: str, **labels: str) -> dict[str, float]:
        """The values of a metric's series that have these labels, by one more."""
        found = {}
        for line in await self.page():
            series, _, value = line.rpartition(" ")
            told = dict(re.findall(r'(\w+)="([^"]*)"', series))
            if series.partition("{")[0] == name and labels.items() <= told.items():
                found[told[by]] = float(value)
        return found

    async def becomes(self, value: float | None, name: str, **labels: str) -> None:
        """Wait until a series has this value."""

        async def has() -> bool:
            return await self.metric(name, **labels) == value

        await eventually(has)

    def sample_by_hand(self) -> SeriesRecorder:
        """Leave it to the caller to sample the series: a minute that ends meanwhile would be sampled as well.

        Before any charge point is known, for minutes before one that was sampled are not taken any more.
        """
        assert not self.central.fleet.charge_points
        for task in self.central._background:
            if getattr(task.get_coro(), "__qualname__", "") == "SeriesRecorder.run":
                task.cancel()
                return self.central._history.series
        raise AssertionError("nothing samples the series")

    async def durable(self) -> None:
        """Wait until all that happened so far is in the database, stale figures too."""
        async with asyncio.timeout(WITHIN_S):
            await self.central._core.journal.flush()
