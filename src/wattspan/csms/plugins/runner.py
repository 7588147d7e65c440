"""Runs one plugin: its queue, its task, and every call of its methods, guarded.

Whatever a call raises costs that call alone. A plugin that ignores its cancellation, or blocks the event loop, is
disabled: it is never called again, and its task is closed.
"""

import asyncio
import contextlib
import copy
import inspect
import logging
import weakref
from collections.abc import Callable, Coroutine
from dataclasses import fields, replace
from functools import cache
from typing import Any

import orjson
from opentelemetry import context as otel_context
from opentelemetry.context import Context

from wattspan.csms.plugins.base import FramePassed, Plugin, PluginContext
from wattspan.csms.plugins.watchdog import PluginBlocked, calls_plugin
from wattspan.domain.counters import ServerCounters
from wattspan.domain.events import Event
from wattspan.telemetry import catalogue
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

MAX_QUEUED = 10_000
DRAIN_TIMEOUT_S = 2.0
CANCEL_TIMEOUT_S = 1.0
"""How long a cancelled call may take to end."""
MAX_TURN_S = 0.01
"""How long a plugin may handle events without a pause for other work."""
MAX_ANSWER_BYTES = 256 * 1024
ATOMIC = frozenset({str, int, float, bool, type(None)})
"""Types whose values can't be changed: `copy.deepcopy` of a whole event would take ten times as long."""
DATA_TRANSFER_STATUSES = frozenset({"Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"})

Call = Callable[[], Coroutine[Any, Any, Any]]


class InvalidAnswer(Exception):
    """A plugin returned what its method must not return."""


class Runner:
    """One plugin, its queue and its task."""

    def __init__(self, plugin: Plugin, counters: ServerCounters, call_timeout_s: float) -> None:
        self.plugin = plugin
        self.events: tuple[type[Event], ...] = ()
        """The event classes that the plugin listens to; none until it has started."""
        self.wants_frames = bool(plugin.wants_frames)
        self.signs = type(plugin).sign_certificate is not Plugin.sign_certificate
        self.blocked = False
        """Set by the watchdog's thread; `disable` follows."""
        self.enabled = True
        self._counters = counters
        self._call_timeout_s = call_timeout_s
        self._foreign = not type(plugin).__module__.startswith("wattspan.")
        self._queue: asyncio.Queue[tuple[Event | FramePassed, Context | None]] = asyncio.Queue(MAX_QUEUED)
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self._discarded = False
        self._cancelled: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self._failures = 0
        self._cp_id = ""
        """The charge point whose event or message the plugin handles now."""

    @property
    def name(self) -> str:
        """The plugin's name."""
        return str(self.plugin.name)

    async def start(self, context: PluginContext) -> bool:
        """Start the plugin and its task; return whether it started."""
        own = replace(context, settings=copy.deepcopy(dict(context.settings)))
        before = self._failures
        await self._call_apart(lambda: self.plugin.start(own))
        try:
            isinstance(None, self.plugin.events)  # raises TypeError now, not at the first event
            self.wants_frames = bool(self.plugin.wants_frames)
        except Exception as exc:  # noqa: BLE001  attributes may be properties
            self._failed(exc)
        if self._failures > before:
            return False
        self.events = self.plugin.events
        self._task = asyncio.create_task(self._run(), name=f"plugin {self.name}")
        return True

    def put(self, item: Event | FramePassed) -> None:
        """Queue an event or a message; if the queue is full, count it as dropped.

        What the plugin does with it belongs to the trace that is current now.
        """
        if not self.enabled:
            return
        try:
            self._queue.put_nowait((item, otel_context.get_current() if self.plugin.traced else None))
        except asyncio.QueueFull:
            self._count("dropped")

    @calls_plugin
    def data_transfer(self, cp_id: str, vendor_id: str, message_id: str | None, data: Any) -> dict[str, Any] | None:
        """Return the plugin's answer, or None if it has no valid one."""
        if not self.enabled:
            return None
        try:
            own = copy.deepcopy(data) if self._foreign else data
            return _valid_answer(self.plugin.data_transfer(cp_id, vendor_id, message_id, own))
        except BaseException as exc:  # noqa: BLE001  a plugin may raise anything
            self._failed(exc)
            return None

    async def sign_certificate(self, cp_id: str, csr: str, kind: str) -> str | None:
        """Return the plugin's chain, or None if it has no valid one."""
        if not self.enabled:
            return None
        chain = await self._call_apart(lambda: self.plugin.sign_certificate(cp_id, csr, kind))
        if chain is None or (isinstance(chain, str) and len(chain) <= MAX_ANSWER_BYTES):
            return chain
        self._failed(InvalidAnswer(f"sign_certificate returned {_described(chain)}, not a PEM chain"))
        return None

    async def stop(self) -> None:
        """Let the plugin handle its queue, within a time limit, and stop it."""
        if self.enabled and self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_TIMEOUT_S):
                    await self._queue.join()
        self._ending = True
        if self._task is not None and not self._task.done():
            self._cancel(self._task)
            await asyncio.wait([self._task], timeout=DRAIN_TIMEOUT_S)
            if not self._task.done():
                self._discard(self._task)
        if self.enabled:
            await self._call_apart(self.plugin.stop)

    def disable(self, kind: str) -> None:
        """Count a failure of that kind, and never call the plugin again."""
        if not self.enabled:
            return
        self.enabled = False
        self._count(kind)
        if self._task is not None and self._task is not asyncio.current_task():
            self._discard(self._task)

    async def _run(self) -> None:
        """Call the plugin with each event or message, with pauses for other work."""
        loop = asyncio.get_running_loop()
        turn_ends_s = 0.0
        while self.enabled and not self._ending:
            if self._queue.empty():
                item, context = await self._queue.get()
                turn_ends_s = loop.time() + MAX_TURN_S
            else:
                item, context = self._queue.get_nowait()
            overdue = loop.call_later(self._call_timeout_s + CANCEL_TIMEOUT_S, self._overdue)
            self._cp_id = item.cp_id
            try:
                await self._deliver(item, context)
            finally:
                overdue.cancel()
                self._queue.task_done()
                self._cp_id = ""
            if loop.time() > turn_ends_s:
                await asyncio.sleep(0)
                turn_ends_s = loop.time() + MAX_TURN_S

    async def _deliver(self, item: Event | FramePassed, context: Context | None) -> None:
        own = _copied(item) if self._foreign else item
        if context is not None:
            otel_context.attach(context)  # never detached: this task does nothing else, and the next item replaces it
        if isinstance(own, FramePassed):
            await self._call(lambda: self.plugin.on_frame(own))
        else:
            await self._call(lambda: self.plugin.on_event(own))

    def _overdue(self) -> None:
        if self.enabled:
            fields = self._fields("timeout")
            log.error("plugin %s ignores its cancellation and is disabled", self.name, extra=fields)
        self.disable("timeout")

    async def _call_apart(self, call: Call) -> Any:
        """Return what a method returns, called in a task of its own; None if it failed."""
        task = asyncio.create_task(self._call(call), name=f"plugin {self.name}")
        timeout_s = self._call_timeout_s + CANCEL_TIMEOUT_S
        try:
            await asyncio.wait([task], timeout=timeout_s)
        except asyncio.CancelledError:
            self._cancel(task)
            asyncio.get_running_loop().call_later(CANCEL_TIMEOUT_S, self._discard, task)
            raise
        if not task.done():
            self._overdue()
            self._discard(task)
            return None
        return None if task.cancelled() or task.exception() else task.result()

    @calls_plugin
    async def _call(self, call: Call) -> Any:
        """Return what a method returns, within the time limit; None if it failed. Raises only what ends its task."""
        try:
            async with asyncio.timeout(self._call_timeout_s):
                return await call()
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task in self._cancelled:
                raise
            while task is not None and task.cancelling():  # by the plugin
                task.uncancel()
            self._failed(exc)
        except GeneratorExit as exc:
            if self._discarded:
                raise
            self._failed(exc)
        except BaseException as exc:  # noqa: BLE001  a plugin may raise anything
            self._failed(exc)
        return None

    def _failed(self, exc: BaseException) -> None:
        """Count and log what a call raised."""
        if isinstance(exc, PluginBlocked) or self.blocked:
            self.disable("blocked")
        elif isinstance(exc, TimeoutError):
            self._count("timeout")
            self._log("timeout", "plugin %s exceeded its time limit")
        elif isinstance(exc, InvalidAnswer):
            self._count("invalid")
            self._log("invalid", f"plugin %s: {exc}")
        else:
            self._count("raised")
            self._log("raised", "plugin %s raised", exc_info=True)

    def _cancel(self, task: "asyncio.Task[Any]") -> None:
        """Cancel a task for good: a CancelledError in it is ours, not one that the plugin raised."""
        self._cancelled.add(task)
        task.cancel()

    def _discard(self, task: "asyncio.Task[Any]") -> None:
        """End a task that ignores its cancellation, so that nothing waits for it, at shutdown either."""
        if task.done():
            return
        task.add_done_callback(lambda ended: None if ended.cancelled() else ended.exception() and None)
        self._discarded = True
        work = task.get_coro()
        try:
            work.close()
        except BaseException as exc:  # noqa: BLE001  the plugin's clean-up may raise anything
            self._log("raised", f"plugin %s can't be ended: {exc!r}")
        task.cancel()
        if inspect.iscoroutine(work) and work.cr_frame is not None:
            asyncio._unregister_task(task)  # documented, for event loops

    def _log(self, kind: str, message: str, *, exc_info: bool = False) -> None:
        fields = self._fields(kind)
        limited(log, logging.ERROR, f"plugin {self.name}", message, self.name, exc_info=exc_info, fields=fields)

    def _fields(self, kind: str) -> dict[str, str]:
        """Return the fields of a log record about a failure: `kind`, and the charge point whose event was handled."""
        fields = {catalogue.EVENT_NAME: catalogue.PLUGIN_EVENT, catalogue.PLUGIN: self.name, catalogue.KIND: kind}
        return fields | ({catalogue.CP_ID: self._cp_id} if self._cp_id else {})

    def _count(self, kind: str) -> None:
        self._failures += 1
        key = (self.name, kind)
        self._counters.plugin_errors[key] = self._counters.plugin_errors.get(key, 0) + 1


def _copied(item: Event | FramePassed) -> Event | FramePassed:
    """Return a copy that a plugin may change. Others, and the state, have parts of the original."""
    if isinstance(item, FramePassed):
        return item
    kind: Any = type(item)
    own: Event = kind.__new__(kind)
    for field in _fields_of(kind):
        value = getattr(item, field)
        setattr(own, field, value if type(value) in ATOMIC else copy.deepcopy(value))
    return own


@cache
def _fields_of(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _valid_answer(answer: Any) -> dict[str, Any] | None:
    """Return a copy of an answer to DataTransfer, which the plugin can't change later. Raises InvalidAnswer."""
    if answer is None:
        return None
    if not isinstance(answer, dict):
        if inspect.iscoroutine(answer):
            answer.close()
        raise InvalidAnswer(f"data_transfer returned {_described(answer)}, not a dict or None")
    status = answer.get("status")
    if not isinstance(status, str) or status not in DATA_TRANSFER_STATUSES:
        raise InvalidAnswer(f"data_transfer returned the status {_described(status)}")
    try:
        text = orjson.dumps(answer)
    except (TypeError, orjson.JSONEncodeError) as exc:
        raise InvalidAnswer(f"data_transfer returned what is no JSON: {exc}") from exc
    if len(text) > MAX_ANSWER_BYTES:
        raise InvalidAnswer(f"data_transfer returned {len(text)} bytes, more than {MAX_ANSWER_BYTES}")
    valid: dict[str, Any] = orjson.loads(text)
    return valid


def _described(value: object) -> str:
    return repr(value[:50]) if isinstance(value, str) else type(value).__name__
