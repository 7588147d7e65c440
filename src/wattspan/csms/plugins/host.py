"""Runs plugins isolated from the core and each other: a bounded queue and a task each, every call guarded."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points
from typing import Any

import orjson

from wattspan.csms.plugins.ask_boot import AskBoot
from wattspan.csms.plugins.audit import AuditLog
from wattspan.csms.plugins.base import FramePassed, Plugin, PluginContext
from wattspan.csms.plugins.orphans import CloseOrphans
from wattspan.csms.plugins.plug_and_charge import PlugAndCharge
from wattspan.domain.counters import ServerCounters
from wattspan.domain.events import Event, TransactionEventReceived
from wattspan.errors import SettingsError
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

MAX_QUEUED = 10_000
CALL_TIMEOUT_S = 10.0
DRAIN_TIMEOUT_S = 2.0

BUILTIN: dict[str, type[Plugin]] = {plugin.name: plugin for plugin in (CloseOrphans, PlugAndCharge, AuditLog, AskBoot)}
GROUP = "wattspan.plugins"


def find_plugins(names: Sequence[str]) -> list[Plugin]:
    """Return the plugins of these names: built-in ones, or those of the entry point group `wattspan.plugins`.

    Raises SettingsError for the names that do not exist, all of them at once.
    """
    # Entry points are read only if needed: it takes longer than the rest of the start.
    installed = {} if BUILTIN.keys() >= set(names) else {entry.name: entry for entry in entry_points(group=GROUP)}
    unknown = [name for name in names if name not in BUILTIN and name not in installed]
    if unknown:
        choices = ", ".join(sorted({*BUILTIN, *installed}))
        raise SettingsError([f"plugins: there is no plugin {name!r}; there are: {choices}" for name in unknown])
    return [BUILTIN[name]() if name in BUILTIN else installed[name].load()() for name in names]


class PluginHost:
    """The running plugins."""

    def __init__(
        self, plugins: Iterable[Plugin], counters: ServerCounters, *, call_timeout_s: float = CALL_TIMEOUT_S
    ) -> None:
        self._runners = [_Runner(plugin, counters, call_timeout_s) for plugin in plugins]
        self._listeners: dict[type[Event], list[_Runner]] = {}
        self.wants_frames = any(runner.plugin.wants_frames for runner in self._runners)

    async def start(self, context: PluginContext) -> None:
        """Start each plugin and its task; one that fails to start is left out."""
        self._runners = [runner for runner in self._runners if await runner.start(context)]
        self._listeners.clear()
        self.wants_frames = any(runner.plugin.wants_frames for runner in self._runners)

    def publish(self, event: Event) -> None:
        """Queue an event, or the parts of a TransactionEvent, for every plugin that listens. Never blocks."""
        if type(event) is TransactionEventReceived:
            for part in event.parts(self._listeners_to):
                self.publish(part)
            return
        listeners = self._listeners.get(type(event))
        for runner in self._listeners_to(type(event)) if listeners is None else listeners:
            runner.put(event)

    def _listeners_to(self, kind: type[Event]) -> list["_Runner"]:
        listeners = self._listeners.get(kind)
        if listeners is None:
            listeners = self._listeners[kind] = [
                runner for runner in self._runners if issubclass(kind, runner.plugin.events)
            ]
        return listeners

    def frame(self, frame: FramePassed) -> None:
        """Queue a message for the plugins that want messages."""
        for runner in self._runners:
            if runner.plugin.wants_frames:
                runner.put(frame)

    def data_transfer(self, cp_id: str, vendor_id: str, message_id: str | None, data: Any) -> dict[str, Any] | None:
        """Return the first plugin's answer, or None."""
        for runner in self._runners:
            with runner.guard():
                answer = runner.plugin.data_transfer(cp_id, vendor_id, message_id, data)
                if answer is not None:
                    orjson.dumps(answer)  # an answer that is no JSON is the plugin's error
                    return answer
        return None

    @property
    def signs(self) -> bool:
        """Whether any plugin signs certificates."""
        return any(_signs(runner.plugin) for runner in self._runners)

    async def sign_certificate(self, cp_id: str, csr: str, kind: str) -> str | None:
        """Return the first plugin's chain, or None."""
        for runner in self._runners:
            if _signs(runner.plugin) and (chain := await runner.sign_certificate(cp_id, csr, kind)) is not None:
                return chain
        return None

    async def stop(self) -> None:
        """Let each plugin handle its queue, within a time limit, and stop it."""
        await asyncio.gather(*(runner.stop() for runner in self._runners))


def _signs(plugin: Plugin) -> bool:
    return type(plugin).sign_certificate is not Plugin.sign_certificate


class _Runner:
    """One plugin, its queue and its task."""

    def __init__(self, plugin: Plugin, counters: ServerCounters, call_timeout_s: float) -> None:
        self.plugin = plugin
        self._counters = counters
        self._call_timeout_s = call_timeout_s
        self._queue: asyncio.Queue[Event | FramePassed] = asyncio.Queue(MAX_QUEUED)
        self._task: asyncio.Task[None] | None = None

    async def start(self, context: PluginContext) -> bool:
        started = False
        with self.guard():
            isinstance(None, self.plugin.events)  # raises TypeError now, not at the first event
            async with asyncio.timeout(self._call_timeout_s):
                await self.plugin.start(context)
            started = True
            self._task = asyncio.create_task(self._run(), name=f"plugin {self.plugin.name}")
        return started

    def put(self, item: Event | FramePassed) -> None:
        try:
            self._queue.put_nowait(item)
        except asyncio.QueueFull:
            self._count("dropped")

    async def sign_certificate(self, cp_id: str, csr: str, kind: str) -> str | None:
        chain: str | None = None
        with self.guard():
            async with asyncio.timeout(self._call_timeout_s):
                chain = await self.plugin.sign_certificate(cp_id, csr, kind)
        return chain

    async def stop(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                await self._queue.join()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=DRAIN_TIMEOUT_S)
        with self.guard():
            async with asyncio.timeout(self._call_timeout_s):
                await self.plugin.stop()

    async def _run(self) -> None:
        while True:
            item = await self._queue.get()
            try:
                with self.guard():
                    async with asyncio.timeout(self._call_timeout_s):
                        await (
                            self.plugin.on_frame(item) if isinstance(item, FramePassed) else self.plugin.on_event(item)
                        )
            finally:
                self._queue.task_done()

    @contextlib.contextmanager
    def guard(self) -> Any:
        """Count and log whatever the plugin raises within the block, and suppress it."""
        try:
            yield
        except TimeoutError:
            self._count("timeout")
        except Exception:  # noqa: BLE001  a plugin may raise anything
            self._count("raised")
            limited(
                log, logging.ERROR, f"plugin {self.plugin.name}", "plugin %s raised", self.plugin.name, exc_info=True
            )

    def _count(self, kind: str) -> None:
        key = (self.plugin.name, kind)
        self._counters.plugin_errors[key] = self._counters.plugin_errors.get(key, 0) + 1
