"""Finds the plugin that blocks the event loop, and interrupts it where the platform can.

A thread asks the loop for a sign every half limit. If none comes, it looks for a plugin's call on the stack of the
loop's thread. In the main thread of a POSIX process it then sends SIGURG, which is ignored by default: the handler
raises PluginBlocked in the plugin's own code, never in Wattspan's code that the plugin called. Elsewhere, and for a
plugin that catches BaseException, the server waits until the call returns.

It knows no event and no OCPP.
"""

import asyncio
import logging
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Protocol, TypeVar

from wattspan.telemetry.catalogue import EVENT_NAME, KIND, PLUGIN, PLUGIN_EVENT

log = logging.getLogger(__name__)

SIGNAL = getattr(signal, "SIGURG", None)
NOT_PLUGINS = frozenset({"", "asyncio.timeouts"})
"""Modules of what a call itself runs before and after the plugin's code; "": nothing."""
SWALLOWING = frozenset({"weakref", "_weakrefset"})
"""Modules whose callbacks run amid any code, where an exception is reported and goes no further."""
OWN_PACKAGE = __name__.partition(".")[0]

F = TypeVar("F", bound=Callable[..., object])

_calls: set[CodeType] = set()
_installed = 0


class PluginBlocked(BaseException):
    """Raised in a plugin's code when its call has blocked the event loop for too long."""


class Guarded(Protocol):
    """A plugin as the watchdog sees it."""

    blocked: bool

    @property
    def name(self) -> str:
        """The plugin's name."""

    def disable(self, kind: str) -> None:
        """Count a failure of that kind, and never call the plugin again. Called in the loop's thread."""


def calls_plugin(function: F) -> F:
    """Mark a method of a `Guarded`: what it calls is the plugin's code."""
    _calls.add(function.__code__)
    return function


class Watchdog:
    """Watches the running loop. A plugin may block it for `limit_s` seconds."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._handles_signal = False

    def start(self) -> None:
        """Start the thread. Call it in the loop's thread."""
        self._handles_signal = _install()
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="plugin watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Call it in the loop's thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(self._limit_s)
            self._thread = None
        if self._handles_signal:
            self._handles_signal = False
            _uninstall()

    def _watch(self) -> None:
        while not self._wait_for(self._ended):
            turned = threading.Event()
            if not self._call_soon(turned.set):
                return
            if not self._wait_for(turned):
                self._find_blocking(turned)

    def _wait_for(self, event: threading.Event) -> bool:
        """Wait for an event, half a limit at most, and return whether it happened.

        Code in C may hold the interpreter's lock, so that this thread gets its turn only when that code has ended: then
        the wait has taken longer, in which the loop's thread was busy. Its plugin is still on the stack.
        """
        began_s, began_cpu_s = time.monotonic(), self._cpu_s()
        happened = event.wait(self._limit_s / 2)
        is_late = time.monotonic() - began_s >= self._limit_s
        if is_late and self._cpu_s() - began_cpu_s >= self._limit_s / 2:
            call = self._call_on_stack()
            if call is not None:
                self._interrupt(call)
        return happened

    def _cpu_s(self) -> float:
        """Return the processor time of the loop's thread; 0 where the platform has none."""
        clock_of = getattr(time, "pthread_getcpuclockid", None)
        return 0.0 if clock_of is None else time.clock_gettime(clock_of(self._loop_thread))

    def _find_blocking(self, turned: threading.Event) -> None:
        """Report and interrupt the plugin whose one call is on the stack at both ends of half a limit."""
        before = self._call_on_stack()
        while before is not None and not turned.wait(self._limit_s / 2) and not self._ended.is_set():
            call = self._call_on_stack()
            if call is not None and call is before:
                self._interrupt(call)
            before = call

    def _interrupt(self, call: FrameType) -> None:
        plugin: Guarded = call.f_locals["self"]
        if not plugin.blocked:
            plugin.blocked = True
            stack = "".join(traceback.format_stack(sys._current_frames().get(self._loop_thread), limit=5))
            fields = {EVENT_NAME: PLUGIN_EVENT, PLUGIN: plugin.name, KIND: "blocked"}
            text = "plugin %s blocks the event loop and is disabled:\n%s"
            log.error(text, plugin.name, stack.rstrip(), extra=fields)
            self._call_soon(plugin.disable, "blocked")
        if self._handles_signal and SIGNAL is not None:
            signal.pthread_kill(self._loop_thread, SIGNAL)

    def _call_on_stack(self) -> FrameType | None:
        frame = sys._current_frames().get(self._loop_thread)
        while frame is not None and frame.f_code not in _calls:
            frame = frame.f_back
        return frame

    def _call_soon(self, callback: Callable[..., object], *args: Any) -> bool:
        """Return False if the loop is closed."""
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            return False
        return True


def _install() -> bool:
    """Install the signal's handler. Return False if the platform, the thread or the program rules it out."""
    global _installed  # noqa: PLW0603  the handler is the process's
    if SIGNAL is None or threading.current_thread() is not threading.main_thread():
        return False
    if signal.getsignal(SIGNAL) is not _on_signal:
        if signal.getsignal(SIGNAL) is not signal.SIG_DFL:
            return False
        signal.signal(SIGNAL, _on_signal)
    _installed += 1
    return True


def _uninstall() -> None:
    global _installed  # noqa: PLW0603
    _installed -= 1
    if not _installed and SIGNAL is not None and signal.getsignal(SIGNAL) is _on_signal:
        signal.signal(SIGNAL, signal.SIG_DFL)


def _on_signal(_signum: int, frame: FrameType | None) -> None:
    """Raise PluginBlocked if a blocked plugin's own code runs. The state stays whole: Wattspan's code is not cut."""
    module = ""
    if frame is not None and frame.f_globals.get("__name__") in SWALLOWING:
        return  # the watchdog tries again
    while frame is not None and frame.f_code not in _calls:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] == OWN_PACKAGE:
            return
        frame = frame.f_back
    if frame is None or module in NOT_PLUGINS:
        return  # not in a call, or the call has not begun, or has ended
    if frame.f_locals["self"].blocked:
        raise PluginBlocked
