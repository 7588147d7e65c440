"""`CentralSystem`: builds the parts, starts them in order, and stops them in reverse."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, Unpack

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from wattspan.api.access.auth_service import AuthService
from wattspan.api.events import EventFeed
from wattspan.api.files import Files
from wattspan.api.services import Services
from wattspan.app.assembly import (
    api_server,
    api_url,
    make_admission,
    make_auth,
    make_commands,
    make_renewal,
    make_rotation,
    make_signing,
    metrics_server,
    open_authority,
)
from wattspan.csms.commands import ActiveConnection, CommandResult, Commands
from wattspan.csms.connected import ConnectionWaiter
from wattspan.csms.core import Core
from wattspan.csms.erasure import Erasure
from wattspan.csms.operations.methods import OperationMethods
from wattspan.csms.operations.parameters import Operation
from wattspan.csms.operations.sender import Operations
from wattspan.csms.plugins.base import Plugin, PluginContext
from wattspan.csms.plugins.host import PluginHost, find_plugins
from wattspan.csms.registry import Registry, RunningFleet
from wattspan.csms.security.credentials import SecretChecker
from wattspan.csms.security.passwords import Passwords
from wattspan.csms.security.signing import Renewal, Signing
from wattspan.csms.typed_calls import TypedCalls
from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.errors import NotRegistered, StoreError
from wattspan.gateway.gateway import Gateway
from wattspan.gateway.tls import tls_files
from wattspan.http.server import HttpServer
from wattspan.maintenance import Maintenance
from wattspan.settings import Settings, load_settings
from wattspan.settings_keywords import SettingsKeywords
from wattspan.store.journal.journal import Journal
from wattspan.store.store import Store
from wattspan.telemetry.catalogue import METER
from wattspan.telemetry.setup import GivenProviders, Telemetry, setup_telemetry
from wattspan.versions.base import Payload

log = logging.getLogger(__name__)


class CentralSystem(TypedCalls, OperationMethods):
    """An OCPP central system, as an async context manager:

        async with CentralSystem(database="fleet.db", port=0, metrics_port=0, api_port=0, plugins=[MyPlugin()]) as csms:
            await csms.wait_until_connected("CP1", timeout_s=60)
            result = await csms.remote_start("CP1", id_tag="04E1C9", connector_id=1)

    Every setting is a keyword (see `settings.Settings`). The environment is read only by `load_settings`, whose result
    `settings` takes. `plugins` are plugin objects, names, or both, and replaces the setting. `clock_ns` returns Unix
    nanoseconds and dates everything, so that a recorded conversation can be replayed with its own times.

    With `tracer_provider` and `meter_provider`, spans and metrics go to these through OpenTelemetry's API: they decide
    what is sampled and exported, and they are not shut down here. This costs many times as much for each message as the
    default, which builds its own providers from the `OTEL_*` variables. /metrics is the same either way.

    Leaving the block stops accepting, answers the messages in progress, closes connections with 1001 and flushes
    store and telemetry.

    Raises on entering:
        SettingsError: a setting is wrong, or a port is taken.
        StoreError: the database can't be used; the text says what to do.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        plugins: Iterable[Plugin | str] | None = None,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        **overrides: Unpack[SettingsKeywords],
    ) -> None:
        if settings is not None and overrides:
            raise TypeError("give either settings or keywords")
        self.settings = settings if settings is not None else load_settings(overrides, None, {})
        chosen = self.settings.plugins if plugins is None else tuple(plugins)
        self._plugins = [
            *(p for p in chosen if isinstance(p, Plugin)),
            *find_plugins([p for p in chosen if isinstance(p, str)]),
        ]
        self._clock_ns = clock_ns
        self._providers = GivenProviders(tracer_provider, meter_provider)
        self.counters = ServerCounters(started_ts=clock_ns() / 1e9)
        self.fleet = Fleet()
        self._exit = AsyncExitStack()
        self._tasks = asyncio.TaskGroup()
        self._background: list[asyncio.Task[None]] = []
        self._http: list[HttpServer] = []

    store: Store
    """Open from entering to leaving, as are all parts below."""
    commands: Commands
    operations: Operations
    registry: Registry
    telemetry: Telemetry
    _core: Core
    _gateway: Gateway
    _waiter: ConnectionWaiter
    _checker: SecretChecker
    _signing: Signing
    _renewal: Renewal
    _metrics: HttpServer
    _api: HttpServer
    _auth: AuthService
    _feed: EventFeed
    _files: Files
    _running: RunningFleet
    first_password: str | None
    """The password of the user `admin`, if it was generated at this start. It is stored as a hash only."""

    @property
    def port(self) -> int:
        """The OCPP port in use."""
        return self._gateway.port

    @property
    def tls_port(self) -> int | None:
        """The second OCPP port, which has TLS; None: there is none."""
        return self._gateway.tls_port

    @property
    def metrics_port(self) -> int:
        """The port of /metrics in use."""
        return self._metrics.port

    @property
    def api_port(self) -> int:
        """The port of the HTTP API in use."""
        return self._api.port

    def api_url(self) -> str:
        """Return the URL of the API from outside, without a slash at the end: the setting, or else host and port."""
        return api_url(self.settings, self.api_port)

    def unready_reasons(self) -> Sequence[str]:
        """Return why charge points can't be served now; empty if they can."""
        reasons = []
        if not self._core.journal.available:
            reasons.append("the store is not writable")
        if not self._gateway.accepting:
            reasons.append("the OCPP port is not open")
        return reasons

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
        # The exception is not passed on: a TaskGroup would wrap it.
        await self._exit.aclose()

    async def wait_until_connected(self, cp_id: str, timeout_s: float | None = None) -> None:
        """Return once the charge point has an open connection. Raises TimeoutError after `timeout_s` seconds.

        Cancellation: safe.
        """
        await self._waiter.wait(cp_id, timeout_s)

    async def perform(self, cp_id: str, operation: Operation, *, timeout_s: float | None = None) -> CommandResult:
        """Send an operation, and return the charge point's answer. Raises as every method of `OperationMethods`."""
        return await self.operations.perform(cp_id, operation, timeout_s=timeout_s)

    async def remove_charge_point(self, cp_id: str) -> bool:
        """Decommission a charge point: its connection closes, and it leaves the metrics. Returns False if unknown."""
        try:
            await self.registry.decommission(cp_id)
        except NotRegistered:
            return False
        return True

    async def _start(self) -> None:
        """Start every part in order. The end of each is pushed when it has begun, so that a failure undoes the rest."""
        settings, enter = self.settings, self._exit
        self.store = await Store.open(settings.database, clock=lambda: self._clock_ns() / 1e9)
        enter.push_async_callback(self.store.close)
        await self.store.claim()
        await self.store.restore(self.fleet)
        self.telemetry = await setup_telemetry(
            self.fleet,
            self.counters,
            os.environ,
            handling_by_charge_point=settings.handling_by_charge_point,
            given=self._providers,
            clock_ns=self._clock_ns,
        )
        enter.push_async_callback(self.telemetry.shutdown)
        self._feed = EventFeed(self.fleet, settings.max_streams_per_user)
        self._waiter = ConnectionWaiter(self._find_connection)
        host = PluginHost([*self._plugins, self._feed.plugin, self._waiter], self.counters)
        self._core = self._make_core(host)
        authority = await open_authority(settings)  # before the gateway, which reads its files
        self._checker = SecretChecker()
        enter.callback(self._checker.close)
        self._gateway = Gateway(self._core, self.store, settings, self._checker, tls_files(settings))
        self._files = Files(self.store, settings.files, settings.max_file_bytes)
        self.commands = make_commands(settings, self._core, self._gateway, self.store)
        self.operations = Operations(self._core, self.commands, self.store, self._upload_url)
        self._signing = make_signing(settings, authority, host, self.store, self.commands, self._core, self._waiter)
        await enter.enter_async_context(self._tasks)
        enter.callback(self._cancel_background)
        enter.push_async_callback(host.stop)
        await host.start(self._plugin_context())
        enter.push_async_callback(self._stop_http)
        self._metrics = await self._serve(metrics_server(settings, self.telemetry, self.unready_reasons))
        await self._make_registry()
        self._api = await self._serve(api_server(settings, self._services()))
        enter.callback(self._feed.close)
        await self._signing.resume()
        await self._gateway.start()
        enter.push_async_callback(self._gateway.stop)
        self._start_background()

    def _make_core(self, host: PluginHost) -> Core:
        settings, recorder = self.settings, self.telemetry.recorder
        journal = Journal(
            self.store, self.fleet, self.counters, hold_s=settings.store_hold_s, on_commit=recorder.store_committed
        )
        self._exit.callback(journal.close)
        self._exit.push_async_callback(self._flush, journal)
        self.fleet.on_stopped.append(recorder.session_stopped)
        return Core(
            fleet=self.fleet,
            journal=journal,
            recorder=recorder,
            counters=self.counters,
            admission=make_admission(settings, self.fleet, self.store, host, self._sign_certificate),
            plugins=host,
            strict=settings.strict,
            spawn=self._spawn,
            clock_ns=self._clock_ns,
        )

    async def _make_registry(self) -> None:
        settings, passwords = self.settings, Passwords()
        self._exit.callback(passwords.close)
        self._running = RunningFleet(core=self._core, store=self.store, connections=self._gateway)
        self.registry = Registry(
            self.store, passwords=passwords, running=self._running, clock=self._core.clock, max_users=settings.max_users
        )
        self._auth = make_auth(settings, self._core, self.store, self.registry, passwords)
        self.first_password = await self._auth.make_first_admin(settings.admin_password)

    def _services(self) -> Services:
        return Services(
            settings=self.settings,
            core=self._core,
            store=self.store,
            commands=self.commands,
            operations=self.operations,
            connections=self._gateway,
            registry=self.registry,
            rotation=make_rotation(self.settings, self.store, self.operations, self._core.clock),
            erasure=Erasure(self.store, self._files, core=self._core, caches=[self._feed.erase]),
            auth=self._auth,
            feed=self._feed,
            files=self._files,
            server=self,
            tracer=self.telemetry.tracer_provider.get_tracer(METER),
        )

    async def _serve(self, server: HttpServer) -> HttpServer:
        await server.start()
        self._http.append(server)
        return server

    async def _stop_http(self) -> None:
        """Stop the HTTP servers at the same time: each waits for its own running answers."""
        await asyncio.gather(*(server.stop() for server in self._http))

    def _start_background(self) -> None:
        maintenance = Maintenance(
            settings=self.settings, core=self._core, store=self.store, running=self._running, auth=self._auth
        )
        self._renewal = make_renewal(self.settings, self._core, self._signing, self.operations)
        work = (*maintenance.all(), self._feed.send_figures(), self._gateway.watch_tls(), self._renewal.run())
        self._background = [self._tasks.create_task(each) for each in work]

    def _cancel_background(self) -> None:
        for each in self._background:
            each.cancel()
        self._signing.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._tasks.create_task(work)

    async def _sign_certificate(self, cp_id: str, csr: str, kind: str, echo: Payload) -> bool:
        return await self._signing.request(cp_id, csr, kind, echo)

    def _find_connection(self, cp_id: str) -> ActiveConnection | None:
        return self._gateway.connection(cp_id)

    def _upload_url(self, cp_id: str) -> str:
        return f"{self.api_url()}/files/uploads/{self._files.ticket(cp_id, self._core.clock())}"

    async def _flush(self, journal: Journal) -> None:
        try:
            await journal.flush()
        except StoreError:
            log.exception("messages that were not answered could not be stored at shutdown")

    def _plugin_context(self) -> PluginContext:
        return PluginContext(
            fleet=self.fleet,
            record=self._core.record,
            call=self.commands.send,
            operations=self.operations,
            settings=self.settings.model_dump(),
            settled=self._core.settled,
            clock=self._core.clock,
        )
