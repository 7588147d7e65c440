"""`CentralSystem`: builds the parts, starts them in order, and stops them in reverse."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from wattspan.api.events import EventFeed
from wattspan.api.files import Files
from wattspan.api.jobs import Jobs
from wattspan.api.routes.jobs import perform as perform_of_job
from wattspan.api.services import Services
from wattspan.app.assembly import (
    api_server,
    api_url,
    make_admission,
    make_commands,
    make_history,
    make_maintenance,
    make_node_erasure,
    make_renewal,
    make_rotation,
    make_signing,
    metrics_server,
    metrics_url,
    open_authority,
    open_registry,
    plugin_context,
)
from wattspan.app.cluster import link_nodes, make_node, route_commands, start_node
from wattspan.app.foundation import Foundation
from wattspan.cluster.clock import NodeClock
from wattspan.cluster.node import ClusterNode, node_name
from wattspan.csms.commands import ActiveConnection, CommandResult, Commands
from wattspan.csms.connected import ConnectionWaiter
from wattspan.csms.core import Core
from wattspan.csms.directory import Directory
from wattspan.csms.enrolment import Enrolments
from wattspan.csms.erasure import Erasure, NodeErasure
from wattspan.csms.event_log import EventLog
from wattspan.csms.operations.methods import OperationMethods
from wattspan.csms.operations.parameters import Operation
from wattspan.csms.operations.sender import Operations
from wattspan.csms.plugins.base import Plugin
from wattspan.csms.plugins.host import PluginHost, find_plugins
from wattspan.csms.registry import Registry
from wattspan.csms.routing import Router
from wattspan.csms.security.credentials import SecretChecker
from wattspan.csms.typed_calls import TypedCalls
from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.errors import NotRegistered
from wattspan.gateway.gateway import Gateway
from wattspan.gateway.tls import tls_files
from wattspan.history.past import Steps, record_past
from wattspan.settings import Settings, load_settings
from wattspan.settings_keywords import SettingsKeywords
from wattspan.store.store import Store
from wattspan.telemetry import catalogue
from wattspan.telemetry.catalogue import METER, SCHEMA_URL
from wattspan.telemetry.resource import VERSION
from wattspan.telemetry.setup import GivenProviders, Telemetry
from wattspan.versions.base import Payload

if TYPE_CHECKING:
    from wattspan.app.node_links import NodeLinks

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
        self._node_clock = NodeClock(clock_ns)
        self._clock_ns = clock_ns if node_name(self.settings) is None else self._node_clock
        self.counters = ServerCounters(started_ts=clock_ns() / 1e9)
        self.fleet = Fleet()
        given = GivenProviders(tracer_provider, meter_provider)
        self._foundation = Foundation(self.settings, self.fleet, self.counters, given=given, clock_ns=self._clock_ns)
        self._exit = self._foundation.exit
        self._tasks = asyncio.TaskGroup()
        self._background: list[asyncio.Task[None]] = []

    store: Store
    """Open from entering to leaving, as are all parts below."""
    commands: Commands
    operations: Operations
    registry: Registry
    telemetry: Telemetry
    _node: ClusterNode | None = None
    _links: "NodeLinks | None" = None
    """What the nodes of a cluster have in common through Redis; None: there is no cluster."""
    _router: Router | None = None
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

    def metrics_url(self) -> str:
        """Return the URL of /metrics from outside."""
        return metrics_url(self.settings, self.metrics_port)

    def unready_reasons(self) -> Sequence[str]:
        """Return why charge points can't be served now; empty if they can."""
        reasons = []
        if not self._core.journal.available:
            reasons.append("the store is not writable")
        if not self._gateway.accepting:
            reasons.append("the OCPP port is not open")
        return reasons

    async def __aenter__(self) -> Self:
        await self._foundation.start(self._start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The exception is not passed on: a TaskGroup would wrap it.
        await self._exit.aclose()
        fields = {catalogue.EVENT_NAME: catalogue.STOP_EVENT, catalogue.SERVICE_VERSION: VERSION}
        log.info("Wattspan %s stopped", VERSION, extra=fields)

    async def wait_until_connected(self, cp_id: str, timeout_s: float | None = None) -> None:
        """Return once the charge point has an open connection. Raises TimeoutError after `timeout_s` seconds.

        Cancellation: safe.
        """
        await self._waiter.wait(cp_id, timeout_s)

    async def perform(self, cp_id: str, operation: Operation, *, timeout_s: float | None = None) -> CommandResult:
        """Send an operation, and return the charge point's answer. Raises as every method of `OperationMethods`."""
        return await self.operations.perform(cp_id, operation, timeout_s=timeout_s)

    async def record_past(self, steps: Steps, step_s: int) -> None:
        """Record a past that is made up, for a demonstration: events with their own times, and their history.

        Its charge points must not be connected yet. Those that are at its end have to connect now. Raises StoreError.
        """
        now_ts = self._clock_ns() / 1e9
        with self._history.series.suspended():  # the energy of days is not that of the present minute
            await record_past(steps, step_s, self.fleet, self.store, self._core.record, now_ts)
        await self._core.settled()
        await self._history.timelines.write()

    async def remove_charge_point(self, cp_id: str) -> bool:
        """Decommission a charge point: its connection closes, and it leaves the metrics. Returns False if unknown."""
        try:
            await self.registry.decommission(cp_id)
        except NotRegistered:
            return False
        return True

    async def _start(self) -> None:
        """Start every part in order. The end of each is pushed when it has begun, so that a failure undoes the rest."""
        settings, enter, foundation = self.settings, self._exit, self._foundation
        name = node_name(settings)
        self.store = await foundation.open_store(name)
        await self._make_history()
        self.telemetry = await foundation.open_telemetry(name)
        enter.push_async_callback(self._stop_node)
        self._feed = EventFeed(self.fleet, settings.max_streams_per_user)
        self._directory.on_changed = self._feed.publish_places
        self._waiter = ConnectionWaiter(self._find_connection)
        plugins = [*self._plugins, self._feed.plugin, self._waiter]
        self._make_bulk_work(name)
        event_log = EventLog(self.fleet, self.telemetry.recorder.causes, self._clock_ns)
        host = PluginHost(plugins, self.counters, sinks=[event_log, *self._history.sinks, self._jobs])
        self._core = self._make_core(host)
        self._node = None if name is None else make_node(self._core, self.store, self._node_clock)
        await self._make_gateway_and_commands(host)
        await enter.enter_async_context(self._tasks)
        enter.callback(self._cancel_background)
        enter.push_async_callback(host.stop)
        await host.start(plugin_context(settings, self._core, self.commands.send, self.operations))
        await self._history.start()
        enter.push_async_callback(foundation.stop_http)
        if self._node is not None:
            await start_node(self._node, self._core, self._gateway, self.telemetry)
        self._metrics = await foundation.serve(metrics_server(settings, self.telemetry, self.unready_reasons))
        await self._make_registry()
        self._link_nodes()
        await self._serve_api()
        enter.callback(self._feed.close)
        if self._node is not None:
            await self._node.announce(self.metrics_url(), self.api_url())
        await self._signing.resume()
        await self._gateway.start()
        enter.push_async_callback(self._gateway.stop)
        if self._node is not None:
            enter.push_async_callback(self._gateway.drain, settings.drain_s)
        self._start_background()
        await self._jobs.resume()
        fields = {catalogue.EVENT_NAME: catalogue.START_EVENT, catalogue.SERVICE_VERSION: VERSION}
        log.info("Wattspan %s serves", VERSION, extra=fields)

    async def _make_gateway_and_commands(self, host: PluginHost) -> None:
        settings = self.settings
        authority = await open_authority(settings)  # before the gateway, which reads its files
        self._checker = SecretChecker()
        self._exit.callback(self._checker.close)
        ownership = None if self._node is None else self._node.ownership
        self._gateway = Gateway(self._core, self.store, settings, self._checker, tls_files(settings), ownership)
        self._keep_messages()
        self._files = Files(self.store, settings.files, settings.max_file_bytes)
        self.commands = make_commands(settings, self._core, self._gateway, self.store)
        self.operations = Operations(self._core, self.commands, self.store, self._upload_url)
        self._signing = make_signing(settings, authority, host, self.store, self.commands, self._core, self._waiter)

    async def _serve_api(self) -> None:
        services = self._services()
        self._jobs.perform = partial(perform_of_job, services)
        self._api = await self._foundation.serve(api_server(self.settings, services))

    def _keep_messages(self) -> None:
        if self._history.keeps_messages:
            self._gateway.taps.for_all = self._history.messages.tap
            self.telemetry.recorder.on_ended = self._history.messages.ended

    async def _make_history(self) -> None:
        self._directory = Directory(self.fleet, self.store)
        await self._directory.refresh()
        self._history = make_history(self.settings, self.fleet, self.store, self.counters, self._clock_ns)
        self._exit.push_async_callback(self._history.stop)

    def _make_bulk_work(self, node: str | None) -> None:
        clock = self._foundation.clock
        self._jobs = Jobs(self.store, self._spawn, clock, self._feed.notify, node)
        self._enrolments = Enrolments(
            self.store, clock, lambda cp_id: self._feed.notify("IdTagEnrolled", {"cp_id": cp_id})
        )

    def _make_core(self, host: PluginHost) -> Core:
        settings, recorder = self.settings, self.telemetry.recorder
        journal = self._foundation.open_journal("messages that were not answered")
        self.fleet.on_stopped.append(recorder.session_stopped)
        self.fleet.on_phase.append(recorder.phase_ended)
        return Core(
            fleet=self.fleet,
            journal=journal,
            recorder=recorder,
            counters=self.counters,
            admission=make_admission(
                settings, self.fleet, self.store, host, self._sign_certificate, self._enrolments.take
            ),
            plugins=host,
            strict=settings.strict,
            spawn=self._spawn,
            clock_ns=self._clock_ns,
        )

    async def _stop_node(self) -> None:
        if self._node is not None:
            await self._node.stop()

    async def _make_registry(self) -> None:
        self._accounts = await open_registry(self.settings, self._core, self.store, self._gateway, self._exit)
        self.registry, self.first_password = self._accounts.registry, self._accounts.first_password

    def _services(self) -> Services:
        return Services(
            settings=self.settings,
            core=self._core,
            store=self.store,
            commands=self.commands,
            operations=self.operations,
            connections=self._gateway,
            registry=self.registry,
            rotation=make_rotation(self.settings, self.store, self.operations, self._core.clock, self._router),
            erasure=Erasure(
                self.store,
                self._files,
                node=self._node_erasure(),
                elsewhere=None if self._links is None else self._links.erase,
            ),
            auth=self._accounts.auth,
            feed=self._feed,
            jobs=self._jobs,
            enrolments=self._enrolments,
            directory=self._directory,
            history=self._history,
            files=self._files,
            server=self,
            tracer=self.telemetry.tracer_provider.get_tracer(METER, VERSION, SCHEMA_URL),
            meter=self.telemetry.meter_provider.get_meter(METER, VERSION, SCHEMA_URL),
            others=self._links,
            router=self._router,
            watch_anywhere=None if self._links is None else self._links.taps.watch,
        )

    def _node_erasure(self) -> NodeErasure:
        return make_node_erasure(self._core, self._files, self._feed, self._history, self._enrolments)

    def _link_nodes(self) -> None:
        """Connect this node of a cluster to the others. Raises SettingsError."""
        if self._node is None:
            return
        self._links = link_nodes(
            self.settings, self._node, self._gateway, self._accounts, core=self._core, store=self.store, feed=self._feed
        )
        self._exit.push_async_callback(self._links.close)
        self._links.serve_erasure(self._node_erasure())
        tracer = self.telemetry.tracer_provider.get_tracer(METER)
        rotation = make_rotation(self.settings, self.store, self.operations, self._core.clock)
        self._router = route_commands(
            self._links, self._core, self.commands, self.operations, rotation, self._enrolments, tracer
        )

    def _start_background(self) -> None:
        maintenance = make_maintenance(self.settings, self._core, self.store, self._accounts, self._directory)
        self._renewal = make_renewal(self.settings, self._core, self._signing, self.operations)
        work = (
            *maintenance.all(),
            *self._history.tasks(),
            self._feed.send_figures(),
            self._gateway.watch_tls(),
            self._renewal.run(),
        )
        if self._node is not None:
            work = (*work, self._node.run())
        if self._links is not None:
            work = (*work, *self._links.work())
        self._background = [self._tasks.create_task(each) for each in work]

    def _cancel_background(self) -> None:
        for each in self._background:
            each.cancel()
        self._jobs.close()
        self._signing.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._tasks.create_task(work)

    async def _sign_certificate(self, cp_id: str, csr: str, kind: str, echo: Payload) -> bool:
        return await self._signing.request(cp_id, csr, kind, echo)

    def _find_connection(self, cp_id: str) -> ActiveConnection | None:
        return self._gateway.connection(cp_id)

    def _upload_url(self, cp_id: str) -> str:
        return f"{self.api_url()}/files/uploads/{self._files.ticket(cp_id, self._core.clock())}"
