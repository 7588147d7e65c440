"""Finds plugins, runs them isolated from the core and from each other, and asks them for answers."""

import asyncio
from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

from wattspan.csms.plugins.ask_boot import AskBoot
from wattspan.csms.plugins.audit import AuditLog
from wattspan.csms.plugins.base import FramePassed, Plugin, PluginContext
from wattspan.csms.plugins.orphans import CloseOrphans
from wattspan.csms.plugins.plug_and_charge import PlugAndCharge
from wattspan.csms.plugins.runner import Runner
from wattspan.csms.plugins.watchdog import Watchdog
from wattspan.domain.counters import ServerCounters
from wattspan.domain.events import Event, TransactionEventReceived
from wattspan.errors import SettingsError

CALL_TIMEOUT_S = 10.0
BLOCK_LIMIT_S = 1.0

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
    return [BUILTIN[name]() if name in BUILTIN else _loaded(installed[name]) for name in names]


def _loaded(entry: EntryPoint) -> Plugin:
    """Return the plugin of an entry point. Raises SettingsError for whatever its module or class raises."""
    try:
        plugin = entry.load()()
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # a module may even raise SystemExit
        raise SettingsError([f"plugins: {entry.name!r} can't be loaded: {exc!r}"]) from exc
    if not isinstance(plugin, Plugin):
        raise SettingsError([f"plugins: {entry.name!r} is no subclass of wattspan.Plugin"])
    return plugin


class EventSink(Protocol):
    """A part of the server that receives events at once, as they are applied, without a queue of the host's."""

    events: tuple[type[Event], ...]

    def put(self, event: Event) -> None:
        """Take an event. Must not block and must not raise."""


class PluginHost:
    """The running plugins. `sinks` receive events beside them, and are not isolated."""

    def __init__(
        self,
        plugins: Iterable[Plugin],
        counters: ServerCounters,
        *,
        sinks: Sequence[EventSink] = (),
        call_timeout_s: float = CALL_TIMEOUT_S,
        block_limit_s: float = BLOCK_LIMIT_S,
    ) -> None:
        self._runners = [Runner(plugin, counters, call_timeout_s) for plugin in plugins]
        self._sinks = sinks
        self._listeners: dict[type[Event], Sequence[Runner | EventSink]] = {}
        self._watchdog = Watchdog(block_limit_s)
        self.wants_frames = any(runner.wants_frames for runner in self._runners)

    async def start(self, context: PluginContext) -> None:
        """Start each plugin and its task; one that fails to start is left out."""
        self._watchdog.start()
        self._runners = [runner for runner in self._runners if await runner.start(context)]
        self._listeners.clear()
        self.wants_frames = any(runner.wants_frames for runner in self._runners)

    def publish(self, event: Event) -> None:
        """Queue an event, or the parts of a TransactionEvent, for every plugin that listens. Never blocks."""
        if type(event) is TransactionEventReceived:
            for part in event.parts(self._listeners_to):
                self.publish(part)
            return
        listeners = self._listeners.get(type(event))
        for runner in self._listeners_to(type(event)) if listeners is None else listeners:
            runner.put(event)

    def _listeners_to(self, kind: type[Event]) -> Sequence[Runner | EventSink]:
        listeners = self._listeners.get(kind)
        if listeners is None:
            every: Sequence[Runner | EventSink] = (*self._sinks, *self._runners)
            listeners = self._listeners[kind] = [each for each in every if issubclass(kind, each.events)]
        return listeners

    def frame(self, frame: FramePassed) -> None:
        """Queue a message for the plugins that want messages."""
        for runner in self._runners:
            if runner.wants_frames:
                runner.put(frame)

    def data_transfer(self, cp_id: str, vendor_id: str, message_id: str | None, data: Any) -> dict[str, Any] | None:
        """Return the first plugin's valid answer, or None."""
        for runner in self._runners:
            answer = runner.data_transfer(cp_id, vendor_id, message_id, data)
            if answer is not None:
                return answer
        return None

    @property
    def signs(self) -> bool:
        """Whether any plugin signs certificates."""
        return any(runner.signs and runner.enabled for runner in self._runners)

    async def sign_certificate(self, cp_id: str, csr: str, kind: str) -> str | None:
        """Return the first plugin's chain, or None."""
        for runner in self._runners:
            if runner.signs and (chain := await runner.sign_certificate(cp_id, csr, kind)) is not None:
                return chain
        return None

    async def stop(self) -> None:
        """Let each plugin handle its queue, within a time limit, and stop it."""
        try:
            await asyncio.gather(*(runner.stop() for runner in self._runners))
        finally:
            self._watchdog.stop()
