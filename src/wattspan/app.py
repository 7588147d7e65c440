"""The composition root: builds the central system's parts, starts them in order, stops them in reverse."""

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
from wattspan.api.app import make_app
from wattspan.api.events import EventFeed
from wattspan.api.files import Files
from wattspan.api.services import Services
from wattspan.csms.admission import Admission
from wattspan.csms.commands import Commands
from wattspan.csms.plugins.base import Plugin, PluginContext
from wattspan.csms.plugins.host import PluginHost, find_plugins
from wattspan.csms.security.authority import Authority
from wattspan.csms.security.credentials import SecretChecker
from wattspan.csms.security.rotation import Rotation
from wattspan.csms.security.signing import Renewal, Signing
from wattspan.csms.service import Core
from wattspan.csms.typed_calls import TypedCalls
from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.errors import StoreError
from wattspan.gateway.gateway import Gateway
from wattspan.gateway.tls import tls_files
from wattspan.http.access import Access
from wattspan.http.metrics import metrics_app
from wattspan.http.server import HttpServer
from wattspan.maintenance import DAY_S, Maintenance
from wattspan.settings import Settings, load_settings
from wattspan.settings_keywords import SettingsKeywords
from wattspan.store.journal.journal import Journal
from wattspan.store.store import Store
from wattspan.telemetry.catalogue import METER
from wattspan.telemetry.resource import VERSION
from wattspan.telemetry.setup import GivenProviders, Telemetry, setup_telemetry
from wattspan.versions.base import Payload

log = logging.getLogger(__name__)


class CentralSystem(TypedCalls):
    """An OCPP central system, as an async context manager:

        async with CentralSystem(database="fleet.db", port=0, metrics_port=0, api_port=0, plugins=[MyPlugin()]) as csms:
            await csms.commands.send("CP1", ocpp.v16.call.Reset(type="Soft"))

    Every setting is a keyword (see `settings.Settings`); nothing is read from the environment unless `settings` is
    given as made by `load_settings`. `plugins` holds plugin objects, names, or both, and replaces the setting.
    `clock_ns` (Unix nanoseconds) dates everything, so that a recorded conversation can be replayed with its own times.

    With `tracer_provider` and `meter_provider`, spans and metrics go to these through OpenTelemetry's API: they decide
    what is sampled and exported, and they are not shut down here. This costs many times as much for each message as the
    default, which builds its own providers from the `OTEL_*` variables. /metrics is the same either way.

    Leaving the block stops accepting, answers what is under way, closes connections with 1001 and flushes
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
        self._lasting: list[asyncio.Task[None]] = []
        self._http: list[HttpServer] = []

    store: Store
    """Open from entering to leaving; as are the parts below."""
    commands: Commands
    telemetry: Telemetry
    _core: Core
    _gateway: Gateway
    _checker: SecretChecker
    _signing: Signing
    _metrics: HttpServer
    _api: HttpServer
    _keeper: AuthService
    _feed: EventFeed
    _chores: Maintenance
    _files: Files
    first_password: str | None
    """Of the user `admin`, if it was made up at this start: to be shown once, and kept nowhere."""

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

    async def remove_charge_point(self, cp_id: str) -> bool:
        """Decommission a charge point: it leaves books and metrics, and its connection closes. False: not known."""
        known = await self.store.remove_charge_point(cp_id)
        await self._chores.let_go_removed()
        return known

    async def _start(self) -> None:
        """From the ground up; each part's end is pushed as soon as it has begun, so that a failure undoes the rest."""
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
        recorder = self.telemetry.recorder
        journal = Journal(
            self.store, self.fleet, self.counters, hold_s=settings.store_hold_s, on_commit=recorder.store_committed
        )
        enter.callback(journal.close)
        enter.push_async_callback(self._flush, journal)
        self.fleet.on_stopped.append(recorder.session_stopped)
        self._feed = EventFeed(self.fleet)
        host = PluginHost([*self._plugins, self._feed.plugin], self.counters)
        self._core = Core(
            fleet=self.fleet,
            journal=journal,
            recorder=recorder,
            counters=self.counters,
            admission=Admission(
                fleet=self.fleet,
                records=self.store,
                accepts_unknown_id_tags=settings.accepts_unknown_id_tags,
                heartbeat_interval_s=settings.heartbeat_interval_s,
                data_transfer=host.data_transfer,
                sign_certificate=self._sign_certificate,
            ),
            plugins=host,
            strict=settings.strict,
            spawn=self._spawn,
            clock_ns=self._clock_ns,
        )
        authority = await self._open_authority()
        self._checker = SecretChecker()
        enter.callback(self._checker.close)
        self._keeper = AuthService(self.store, self.counters, recorder, session_s=settings.session_hours * 3600.0)
        enter.callback(self._keeper.close)
        self._gateway = Gateway(self._core, self.store, settings, self._checker, tls_files(settings))
        self.commands = Commands(self._core, self._gateway.live, settings.command_timeout_s)
        self._signing = self._make_signing(authority, host)
        await enter.enter_async_context(self._tasks)
        enter.callback(self._cancel_lasting)
        enter.push_async_callback(host.stop)
        await host.start(self._plugin_context())
        enter.push_async_callback(self._stop_http)
        self._metrics = await self._serve(self._metrics_server())
        await self._start_api()
        await self._gateway.start()
        enter.push_async_callback(self._gateway.stop)
        lasting = (*self._chores.all(), self._feed.tell_figures(), self._gateway.watch_tls(), self._renewal().run())
        self._lasting = [self._tasks.create_task(each) for each in lasting]

    async def _open_authority(self) -> Authority | None:
        folder = self.settings.ca_dir
        return None if folder is None else await asyncio.to_thread(Authority.open_or_create, folder)

    def _make_signing(self, authority: Authority | None, host: PluginHost) -> Signing:
        return Signing(
            authority=authority,
            plugins=host,
            days=self.settings.certificate_days,
            store=self.store,
            send=self.commands.send_payload,
            record=self._core.record,
            spawn=self._spawn,
            clock=self._core.clock,
        )

    async def _start_api(self) -> None:
        settings, recorder = self.settings, self.telemetry.recorder
        self.first_password = await self._keeper.make_first_admin(settings.admin_password)
        self._chores = Maintenance(
            settings=settings,
            core=self._core,
            store=self.store,
            gateway=self._gateway,
            keeper=self._keeper,
            recorder=recorder,
        )
        self._files = Files(self.store, settings.files, settings.max_file_bytes)
        services = Services(
            settings=settings,
            core=self._core,
            store=self.store,
            commands=self.commands,
            live=self._gateway.live,
            decommission=self._chores.let_go_removed,
            disconnect=self._gateway.disconnect,
            watch=self._gateway.watch,
            waiting=self._gateway.pending,
            dismiss=self._gateway.dismiss,
            rotation=Rotation(
                store=self.store,
                send=self.commands.send_payload,
                live=self._gateway.live,
                grace_s=settings.credential_grace_s,
                clock=self._core.clock,
            ),
            unready_because=self._unready_because,
            metrics_address=lambda: (settings.metrics_host, self.metrics_port),
            api_url=self.api_url,
            tracer=self.telemetry.tracer_provider.get_tracer(METER),
            keeper=self._keeper,
            feed=self._feed,
            files=self._files,
        )
        api = HttpServer(
            make_app(services, VERSION),
            host=settings.api_host,
            port=settings.api_port,
            name="API port",
            option="--api-port",
            tls_cert=settings.api_tls_cert,
            tls_key=settings.api_tls_key,
        )
        self._api = await self._serve(api)
        self._exit.callback(self._feed.close)

    async def _serve(self, server: HttpServer) -> HttpServer:
        await server.start()
        self._http.append(server)
        return server

    async def _stop_http(self) -> None:
        """Stop the HTTP servers at the same time: each waits for its own running answers."""
        await asyncio.gather(*(server.stop() for server in self._http))

    async def _sign_certificate(self, cp_id: str, csr: str, kind: str, echo: Payload) -> bool:
        return await self._signing.ask(cp_id, csr, kind, echo)

    def _renewal(self) -> Renewal:
        return Renewal(
            fleet=self.fleet,
            signing=self._signing,
            ahead_s=self.settings.renewal_days * DAY_S,
            send=self.commands.send_payload,
            clock=self._core.clock,
        )

    def api_url(self) -> str:
        """How the API is reached from outside, without a slash at the end: by the setting, or else host and port."""
        settings = self.settings
        if settings.api_url is not None:
            return settings.api_url.rstrip("/")
        scheme = "https" if settings.api_tls_cert else "http"
        host = f"[{settings.api_host}]" if ":" in settings.api_host else settings.api_host
        return f"{scheme}://{host}:{self.api_port}"

    def _metrics_server(self) -> HttpServer:
        settings = self.settings
        return HttpServer(
            metrics_app(self.telemetry.reader, ready=self._unready_because, access=Access.of(settings)),
            host=settings.metrics_host,
            port=settings.metrics_port,
            tls_cert=settings.metrics_tls_cert,
            tls_key=settings.metrics_tls_key,
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._tasks.create_task(work)

    def _cancel_lasting(self) -> None:
        for each in self._lasting:
            each.cancel()

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
        reasons = []
        if not self._core.journal.available:
            reasons.append("the store is not writable")
        if not self._gateway.accepting:
            reasons.append("the OCPP port is not open")
        return reasons
