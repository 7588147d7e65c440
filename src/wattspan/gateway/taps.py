"""Taps: who sees the messages of a charge point beside their handler. It knows no message's content."""

from collections.abc import Callable, Sequence
from typing import Any

from wattspan.csms.core import Core
from wattspan.csms.plugins.base import FramePassed
from wattspan.gateway.connection import FrameTap
from wattspan.gateway.live import LiveConnection


class Taps:
    """The taps of all charge points; each applies to every connection of its charge point."""

    def __init__(self, core: Core, connection: Callable[[str], LiveConnection | None]) -> None:
        """`connection`: returns the open connection of a charge point."""
        self._core = core
        self._connection = connection
        self._watchers: dict[str, list[FrameTap]] = {}
        self.for_all: Callable[[str], FrameTap] | None = None
        """Returns a tap for the messages of a charge point, whose connections all get one."""

    def watch(self, cp_id: str, on_message: FrameTap) -> Callable[[], None]:
        """Call `on_message` for each message of a charge point, also after reconnects. Returns a function to end it."""
        self._watchers.setdefault(cp_id, []).append(on_message)
        self.attach(self._connection(cp_id), cp_id)

        def end() -> None:
            watchers = self._watchers[cp_id]
            watchers.remove(on_message)
            if not watchers:
                del self._watchers[cp_id]
            self.attach(self._connection(cp_id), cp_id)

        return end

    def attach(self, live: LiveConnection | None, cp_id: str) -> None:
        """Set the connection's tap; None, which costs nothing, if nothing wants its messages."""
        if live is None:
            return
        taps = list(self._watchers.get(cp_id, ()))
        if self._core.plugins.wants_frames:
            taps.append(_to_plugins(self._core, cp_id))
        if self.for_all is not None:
            taps.append(self.for_all(cp_id))
        live.connection.tap = _to_each(taps) if taps else None


def _to_each(taps: Sequence[FrameTap]) -> FrameTap:
    if len(taps) == 1:
        return taps[0]

    def tap(direction: str, data: bytes) -> None:
        for each in taps:
            each(direction, data)

    return tap


def _to_plugins(core: Core, cp_id: str) -> FrameTap:
    def tap(direction: Any, data: bytes) -> None:
        core.plugins.frame(FramePassed(cp_id=cp_id, ts=core.clock(), direction=direction, data=data))

    return tap
