"""The composition root: builds the central system's parts, starts them in order, stops them in reverse."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from wattspan.csms.admission import Admission
from wattspan.csms.commands import CommandResult, Commands
from wattspan.csms.plugins.base import Plugin, PluginContext
from wattspan.csms.plugins.host import PluginHost, find_plugins
from wattspan.csms.service import Core
from wattspan.domain.events import ChargePointDecommissioned
from wattspan.domain.fleet import Fleet
from wattspan.domain.vitals import Vitals
from wattspan.errors import StoreError
from wattspan.gateway.gateway import Gateway
from wattspan.settings import Settings, load_settings
from wattspan.store.journal import Journal
from wattspan.store.store import Store
from wattspan.telemetry.http import Access, MetricsServer, metrics_app
from wattspan.telemetry.setup import Telemetry, setup_telemetry

log = logging.getLogger(__name__)

REMOVALS_S = 2.0
"""How often we look for charge points that another process took out of the books."""
EXPIRY_S = 600.0
"""How often old meter readings are deleted."""
EXPIRY_ROWS = 50_000
DAY_S = 86_400.0


class CentralSystem:
    """An OCPP central system, as an async context manager:

        async with CentralSystem(database="fleet.db", port=0, metrics_port=0, plugins=[MyPlugin()]) as csms:
            await csms.commands.send("CP1", ocpp.v16.call.Reset(type="Soft"))

    Every setting is a keyword (see `settings.Settings`); nothing is read from the environment unless `settings` is
    given as made by `load_settings`. `plugins` holds plugin objects, names, or both, and replaces the setting.

    Leaving the block stops accepting, answers what is under way, closes connections with 1001 and flushes
    store and telemetry.

    Raises on entering:
        SettingsError: a setting is wrong, or a port is taken.
        StoreError: the database can't be used; the text says what to do.
    """

    def __init__(
        self, settings: Settings | None = None, *, plugins: Iterable[Plugin | str] | None = None, **overrides: Any
    ) -> None:
        if settings is not None and overrides:
            raise TypeError("give either settings or keywords")
        self.settings = settings if settings is not None else load_settings(overrides, None, {})
        chosen = self.settings.plugins if plugins is None else tuple(plugins)
        self._plugins = [
            *(p for p in chosen if isinstance(p, Plugin)),
            *find_plugins([p for p in chosen if isinstance(p, str)]),
        ]
        self.vitals = Vitals(started_ts=time.time())
        self.fleet = Fleet()
        self._exit = AsyncExitStack()
        self._tasks = asyncio.TaskGroup()
        self._chores: list[asyncio.Task[None]] = []

    store: Store
    """Open from entering to leaving; as are the parts below."""
    commands: Commands
    telemetry: Telemetry
    _core: Core
    _gateway: Gateway
    _metrics: MetricsServer

    @property
    def port(self) -> int:
        """The OCPP port in use."""
        return self._gateway.port

    @property
    def metrics_port(self) -> int:
        """The port of /metrics in use."""
        return self._metrics.port

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not passed on: a TaskGroup would wrap what the block raised.
        await self._exit.aclose()

    async def call(self, cp_id: str, command: Any, *, timeout_s: float | None = None) -> CommandResult:
        """Send a command; short for `commands.send`."""
        return await self.commands.send(cp_id, command, timeout_s=timeout_s)

    async def remove_charge_point(self, cp_id: str) -> bool:
        """Decommission a charge point: it leaves books and metrics, and its connection closes. False: not known."""
        known = await self.store.remove_charge_point(cp_id)
        await self._let_go_removed()
        return known

    async def _start(self) -> None:
        """From the ground up; each part's end is pushed as soon as it has begun, so that a failure undoes the rest."""
        settings, enter = self.settings, self._exit
        self.store = await Store.open(settings.database)
        enter.push_async_callback(self.store.close)
        self.store.claim()
        await self.store.restore(self.fleet)
        self.telemetry = await setup_telemetry(settings, self.fleet, self.vitals, os.environ)
        enter.push_async_callback(self.telemetry.shutdown)
        recorder = self.telemetry.recorder
        journal = Journal(
            self.store, self.fleet, self.vitals, hold_s=settings.store_hold_s, on_commit=recorder.store_committed
        )
        enter.callback(journal.close)
        enter.push_async_callback(self._flush, journal)
        self.fleet.on_stopped.append(recorder.session_stopped)
        host = PluginHost(self._plugins, self.vitals)
        self._core = Core(
            fleet=self.fleet,
            journal=journal,
            recorder=recorder,
            vitals=self.vitals,
            admission=Admission(
                fleet=self.fleet,
                records=self.store,
                accepts_unknown_id_tags=settings.lets_unknown_id_tags,
                heartbeat_interval_s=settings.heartbeat_interval_s,
                data_transfer=host.data_transfer,
            ),
            plugins=host,
            strict=settings.strict,
            spawn=self._spawn,
        )
        self._gateway = Gateway(self._core, self.store, settings)
        self.commands = Commands(self._core, self._gateway.live, settings.command_timeout_s)
        await enter.enter_async_context(self._tasks)
        enter.callback(self._cancel_chores)
        enter.push_async_callback(host.stop)
        await host.start(self._plugin_context())
        self._metrics = self._metrics_server()
        await self._metrics.start()
        enter.push_async_callback(self._metrics.stop)
        await self._gateway.start()
        enter.push_async_callback(self._gateway.stop)
        self._chores = [self._tasks.create_task(self._watch_removals()), self._tasks.create_task(self._expire())]

    def _metrics_server(self) -> MetricsServer:
        settings = self.settings
        return MetricsServer(
            metrics_app(self.telemetry.reader, ready=self._unready_because, access=Access.of(settings)),
            host=settings.metrics_host,
            port=settings.metrics_port,
            tls_cert=settings.metrics_tls_cert,
            tls_key=settings.metrics_tls_key,
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._tasks.create_task(work)

    def _cancel_chores(self) -> None:
        for chore in self._chores:
            chore.cancel()

    async def _flush(self, journal: Journal) -> None:
        try:
            await journal.flush()
        except StoreError:
            log.exception("what was not answered could not be stored either")

    def _plugin_context(self) -> PluginContext:
        return PluginContext(
            fleet=self.fleet,
            record=self._core.record,
            call=self.commands.send,
            settings=self.settings.model_dump(),
            clock=self._core.clock,
        )

    def _unready_because(self) -> Sequence[str]:
        return () if self._core.journal.available else ("the store is not writable",)

    async def _watch_removals(self) -> None:
        while True:
            await asyncio.sleep(REMOVALS_S)
            with contextlib.suppress(StoreError):
                await self._let_go_removed()

    async def _let_go_removed(self) -> None:
        for cp_id in await self.store.removed_charge_points():
            self._gateway.disconnect(cp_id, "decommissioned")
            self._core.record([ChargePointDecommissioned(cp_id=cp_id, received_ts=self._core.clock())])
            self.telemetry.recorder.decommissioned(cp_id)

    async def _expire(self) -> None:
        days = self.settings.reading_retention_days
        while days:
            with contextlib.suppress(StoreError):
                await self.store.expire_readings(time.time() - days * DAY_S, EXPIRY_ROWS)
            await asyncio.sleep(EXPIRY_S)
