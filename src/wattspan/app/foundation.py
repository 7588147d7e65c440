"""What every server of ours stands on: database, telemetry, journal, HTTP servers, and the stack that closes them.

It owns how these are opened and closed. It must not know what is answered, relayed or observed.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from wattspan.app.assembly import instance_name
from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.errors import StoreError
from wattspan.http.server import HttpServer
from wattspan.settings import Settings
from wattspan.store.journal.journal import Journal
from wattspan.store.store import Store
from wattspan.telemetry.recorder import Recorder
from wattspan.telemetry.setup import GivenProviders, Telemetry, setup_telemetry

log = logging.getLogger(__name__)


class Foundation:
    """Opens the parts in the order of its methods. Each pushes its end to `exit`, which closes them in reverse."""

    def __init__(
        self,
        settings: Settings,
        fleet: Fleet,
        counters: ServerCounters,
        *,
        given: GivenProviders,
        clock_ns: Callable[[], int],
    ) -> None:
        self.exit = AsyncExitStack()
        self._settings = settings
        self._fleet = fleet
        self._counters = counters
        self._given = given
        self._clock_ns = clock_ns
        self._http: list[HttpServer] = []

    store: Store
    telemetry: Telemetry

    async def start(self, start: Callable[[], Awaitable[None]]) -> None:
        """Run `start`. If it fails or is cancelled, close what it opened."""
        try:
            await start()
        except BaseException:
            await self.exit.aclose()
            raise

    def clock(self) -> float:
        """Return the time, Unix seconds."""
        return self._clock_ns() / 1e9

    async def open_store(self, node: str | None = None) -> Store:
        """Open the database, and read the fleet from it unless this is a node of a cluster. Raises StoreError."""
        self.store = await Store.open(self._settings.database, clock=self.clock, node=node)
        self.exit.push_async_callback(self.store.close)
        await self.store.claim()
        if node is None:
            await self.store.restore(self._fleet)
        return self.store

    async def open_telemetry(self, node: str | None = None, make_recorder: type[Recorder] = Recorder) -> Telemetry:
        """Set up spans, metrics and logs. Raises SettingsError."""
        self.telemetry = await setup_telemetry(
            self._fleet,
            self._counters,
            os.environ,
            handling_by_charge_point=self._settings.handling_by_charge_point,
            detail=self._settings.metrics_detail,
            native_histograms=self._settings.metrics_native_histograms,
            instance=instance_name(self._settings, node),
            given=self._given,
            clock_ns=self._clock_ns,
            make_recorder=make_recorder,
        )
        self.exit.push_async_callback(self.telemetry.shutdown)
        return self.telemetry

    def open_journal(self, lost: str) -> Journal:
        """Return the journal. At its end it is flushed; `lost` names in the log what then could not be stored."""
        recorder = self.telemetry.recorder
        journal = Journal(
            self.store,
            self._fleet,
            self._counters,
            hold_s=self._settings.store_hold_s,
            on_commit=recorder.store_committed,
        )

        async def flush() -> None:
            try:
                await journal.flush()
            except StoreError:
                log.exception("%s could not be stored at shutdown", lost)

        self.exit.callback(journal.close)
        self.exit.push_async_callback(flush)
        return journal

    async def serve(self, server: HttpServer) -> HttpServer:
        """Start an HTTP server that `stop_http` stops. Raises SettingsError if its port is taken."""
        await server.start()
        self._http.append(server)
        return server

    async def stop_http(self) -> None:
        """Stop the HTTP servers at the same time: each waits for its own running answers."""
        await asyncio.gather(*(server.stop() for server in self._http))
