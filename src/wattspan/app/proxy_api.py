"""The HTTP API and the console of the proxy: those of the central system, but nothing can be commanded or changed."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, NoReturn

from wattspan.api.access.guard import read_only
from wattspan.api.events import EventFeed
from wattspan.api.files import Files
from wattspan.api.jobs import Jobs
from wattspan.api.services import Server, Services
from wattspan.app.assembly import (
    api_server,
    make_admission,
    make_history,
    make_node_erasure,
    make_rotation,
    open_registry,
    plugin_context,
)
from wattspan.csms.commands import ActiveConnection, Commands
from wattspan.csms.connections import OnMessage
from wattspan.csms.core import Core
from wattspan.csms.directory import Directory
from wattspan.csms.enrolment import Enrolments
from wattspan.csms.erasure import Erasure
from wattspan.csms.operations.sender import Operations
from wattspan.csms.pending import PendingChargePoint
from wattspan.csms.plugins.host import PluginHost
from wattspan.domain.counters import ServerCounters
from wattspan.domain.events import Event
from wattspan.domain.fleet import Fleet
from wattspan.http.server import HttpServer
from wattspan.proxy.observation import Observation
from wattspan.settings import Settings
from wattspan.store.journal.journal import Journal
from wattspan.store.store import Store
from wattspan.telemetry.catalogue import METER, SCHEMA_URL
from wattspan.telemetry.resource import VERSION
from wattspan.telemetry.setup import Telemetry
from wattspan.versions.base import Payload


class RelayedConnections:
    """Implements `csms.connections.Connections` for charge points that only pass through."""

    def __init__(self, observation: Observation) -> None:
        self._observation = observation

    def connection(self, cp_id: str) -> ActiveConnection | None:
        """Return None: a charge point that passes through can't be called."""
        return None

    def disconnect(self, cp_id: str, reason: str) -> None:
        """Do nothing: connections are the central system's."""

    def watch(self, cp_id: str, on_message: OnMessage) -> Callable[[], None]:
        """Call `on_message` with every message of a charge point, over reconnects."""
        return self._observation.watch(cp_id, on_message)

    def pending(self) -> Sequence[PendingChargePoint]:
        """Return nothing: who may connect is the central system's decision."""
        return ()

    def dismiss(self, cp_id: str, approved: bool) -> None:
        """Do nothing: nobody is pending."""


class ProxyApi:
    """Builds and runs the API over what the proxy observes. Events reach its listeners through `publish`."""

    def __init__(
        self, settings: Settings, fleet: Fleet, store: Store, counters: ServerCounters, telemetry: Telemetry
    ) -> None:
        self._settings = settings
        self._fleet = fleet
        self._store = store
        self._counters = counters
        self._telemetry = telemetry
        self._feed = EventFeed(fleet, settings.max_streams_per_user)
        self._directory = Directory(fleet, store)
        self._history = make_history(settings, fleet, store, counters, time.time_ns, keeps_messages=False)
        self._host = PluginHost([self._feed.plugin], counters, sinks=self._history.sinks)
        self._tasks: set[asyncio.Task[None]] = set()

    first_password: str | None = None
    """The password of the user `admin`, if it was generated at this start. It is stored as a hash only."""
    port = 0
    """The port in use."""

    def publish(self, events: Sequence[Event]) -> None:
        """Pass events to listeners. Never blocks."""
        for event in events:
            self._host.publish(event)

    async def start(
        self, exit_stack: AsyncExitStack, journal: Journal, observation: Observation, server: Server
    ) -> None:
        """Start the port; `exit_stack` stops everything. Raises SettingsError if the port is taken."""
        settings, recorder = self._settings, self._telemetry.recorder
        core = Core(
            fleet=self._fleet,
            journal=journal,
            recorder=recorder,
            counters=self._counters,
            admission=make_admission(settings, self._fleet, self._store, self._host, _sign, _enrol),
            plugins=self._host,
            strict=False,
            spawn=self._spawn,
        )
        connections = RelayedConnections(observation)
        commands = Commands(core, _refuse, settings.command_timeout_s, lambda cp_id, _changes: _refuse(cp_id))
        files = Files(self._store, settings.files, settings.max_file_bytes)
        operations = Operations(core, commands, self._store, _refuse)
        accounts = await open_registry(settings, core, self._store, connections, exit_stack)
        self.first_password = accounts.first_password
        exit_stack.push_async_callback(self._host.stop)
        await self._host.start(plugin_context(settings, core, _refuse_call, operations))
        await self._directory.refresh()
        await self._history.start()
        enrolments = Enrolments(self._store, core.clock, lambda _cp_id: None)
        node_erasure = make_node_erasure(core, files, self._feed, self._history, enrolments)
        exit_stack.push_async_callback(self._history.stop)
        services = Services(
            settings=settings,
            core=core,
            store=self._store,
            commands=commands,
            operations=operations,
            connections=connections,
            registry=accounts.registry,
            rotation=make_rotation(settings, self._store, operations, core.clock),
            erasure=Erasure(self._store, files, node=node_erasure),
            auth=accounts.auth,
            feed=self._feed,
            jobs=Jobs(self._store, self._spawn, core.clock, self._feed.notify),
            enrolments=enrolments,
            directory=self._directory,
            history=self._history,
            files=files,
            server=server,
            tracer=self._telemetry.tracer_provider.get_tracer(METER, VERSION, SCHEMA_URL),
            meter=self._telemetry.meter_provider.get_meter(METER, VERSION, SCHEMA_URL),
            read_only=True,
        )
        http: HttpServer = api_server(settings, services)
        await http.start()
        exit_stack.push_async_callback(http.stop)
        self.port = http.port
        exit_stack.callback(self._feed.close)
        for work in (self._feed.send_figures(), *self._history.tasks()):
            exit_stack.callback(self._spawn(work).cancel)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _refuse(_cp_id: str) -> NoReturn:
    raise read_only()


async def _sign(_cp_id: str, _csr: str, _kind: str, _echo: Payload) -> bool:
    return False


async def _enrol(_cp_id: str, _id_token: str, _kind: str) -> None:
    return None


async def _refuse_call(_cp_id: str, _payload: Any) -> NoReturn:
    raise read_only()
