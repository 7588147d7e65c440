"""Observes what was relayed: a bounded queue between the relay, which never waits, and the observer.

It owns when frames are observed and which are left out. It must not know sockets.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from websockets.frames import Frame, Opcode

from wattspan.domain.counters import ServerCounters
from wattspan.observe import Conversation, Observer
from wattspan.ocppj.large import LARGE_BYTES
from wattspan.proxy.mirror import LinkMirrors, Mirrors
from wattspan.proxy.redirection import redirects
from wattspan.proxy.relay import Opened
from wattspan.proxy.upstream import UpstreamRecorder
from wattspan.telemetry.catalogue import CP_ID, EVENT_NAME, OCPP_ACTION, REDIRECTION_EVENT
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

MAX_FRAMES = 20_000
MAX_BYTES = 32 << 20
"""Of frames that wait to be observed."""
MAX_MESSAGE_BYTES = LARGE_BYTES
"""Longest message observed or mirrored. Parsing a longer one would keep other frames waiting for too long: a thread is
no help, because the parser and the validator hold the interpreter's lock."""
SLICE_S = 0.002
"""Seconds of the event loop that observing takes in one turn, while frames may wait to be relayed."""
BEHIND_SLICE_S = 0.010
BEHIND_FRAMES = MAX_FRAMES // 10
"""With more frames waiting than this, a turn observes for BEHIND_SLICE_S."""

_TEXT, _BINARY, _CONT = Opcode.TEXT, Opcode.BINARY, Opcode.CONT


OnMessage = Callable[[str, bytes], None]
"""(direction, message): "in" is from the charge point."""


class _Item(NamedTuple):
    """A message, or with `data` None the end of a connection. `passed_ns` is when it had been relayed."""

    link: "LinkObservation"
    data: bytes | None
    from_charge_point: bool
    at_ns: int
    passed_ns: int
    binary: bool
    reason: str = ""
    """Of the end of a connection."""


class Observation:
    """Queues frames and observes them in slices of the event loop's time."""

    def __init__(
        self,
        observer: Observer,
        recorder: UpstreamRecorder,
        counters: ServerCounters,
        mirrors: Mirrors | None = None,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        max_frames: int = MAX_FRAMES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.clock_ns = clock_ns
        self._observer = observer
        self._recorder = recorder
        self._counters = counters
        self._mirrors = mirrors
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self.watchers: dict[str, list[OnMessage]] = {}
        self._queue: deque[_Item] = deque()
        self._bytes = 0
        self._scheduled = False
        self._loop = asyncio.get_running_loop()

    def opened(self, opened: Opened) -> "LinkObservation":
        """Observe a connection that the central system accepted."""
        cp_id, at_ns = opened.identity.cp_id, self.clock_ns()
        mirrors = None if self._mirrors is None else self._mirrors.open(opened)
        conversation = self._observer.connect(cp_id, opened.subprotocol, at_ns, peer=opened.peer, server=opened.server)
        return LinkObservation(self, conversation, cp_id, mirrors)

    def watch(self, cp_id: str, on_message: OnMessage) -> Callable[[], None]:
        """Call `on_message` with each message of a charge point. Returns a function that ends it."""
        self.watchers.setdefault(cp_id, []).append(on_message)

        def end() -> None:
            self.watchers[cp_id].remove(on_message)
            if not self.watchers[cp_id]:
                del self.watchers[cp_id]

        return end

    def count(self, reason: str) -> None:
        """Count a message that passes unobserved; `reason` is a metric label."""
        counts = self._counters.proxy_unobserved
        counts[reason] = counts.get(reason, 0) + 1

    def put(self, item: _Item) -> None:
        """Queue a message, or count it if there is no room. The end of a connection always has room."""
        size = 0 if item.data is None else len(item.data)
        if item.data is not None and (len(self._queue) >= self._max_frames or self._bytes + size > self._max_bytes):
            self.count("queue_full")
            return
        self._queue.append(item)
        self._bytes += size
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._work)

    def _work(self) -> None:
        """Observe for a slice of time, and go on in the next turn, after what arrived meanwhile is relayed."""
        self._scheduled = False
        slice_s = SLICE_S if len(self._queue) < BEHIND_FRAMES else BEHIND_SLICE_S
        deadline = time.perf_counter() + slice_s
        queue = self._queue
        while queue:
            self._observe(queue.popleft())
            if time.perf_counter() > deadline:
                break
        if queue and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._work)

    def _observe(self, item: _Item) -> None:
        if item.data is not None:
            self._bytes -= len(item.data)
        try:
            self._recorder.passed_ns = item.passed_ns
            item.link.observe(item)
        except Exception:  # noqa: BLE001  whatever is wrong with observing must not harm the traffic
            self.count("failure")
            limited(log, logging.ERROR, "observe", "a relayed message could not be observed", exc_info=True)

    def redirected(self, cp_id: str, action: str) -> None:
        """Warn that a command may make a charge point bypass the proxy."""
        counts = self._counters.proxy_redirections
        counts[action] = counts.get(action, 0) + 1
        text = "%s of the central system may change the address that %s connects to; it would bypass this proxy"
        log.warning(text, action, cp_id, extra={EVENT_NAME: REDIRECTION_EVENT, CP_ID: cp_id, OCPP_ACTION: action})

    def drain(self) -> None:
        """Observe all that waits, at shutdown."""
        while self._queue:
            self._observe(self._queue.popleft())


class LinkObservation:
    """Implements `link.LinkObserver` for one connection: assembles fragments and queues messages."""

    __slots__ = ("_conversation", "_cp_id", "_fragments", "_mirrors", "_observation")

    def __init__(
        self, observation: Observation, conversation: Conversation, cp_id: str, mirrors: LinkMirrors | None
    ) -> None:
        self._mirrors = mirrors
        self._observation = observation
        self._conversation = conversation
        self._cp_id = cp_id
        self._fragments: dict[bool, tuple[bool, bytearray | None]] = {}
        """By direction: whether the message is binary, and what came; None if it is too long."""

    def frame(self, frame: Frame, from_charge_point: bool, at_ns: int) -> None:
        """Called with each frame after it was relayed."""
        opcode = frame.opcode
        if opcode is _TEXT or opcode is _BINARY:
            binary = opcode is _BINARY
            if frame.fin:
                self._message(bytes(frame.data), from_charge_point, at_ns, binary=binary)
            else:
                self._fragments[from_charge_point] = (binary, bytearray(frame.data))
        elif opcode is _CONT:
            self._continued(frame, from_charge_point, at_ns)

    def _continued(self, frame: Frame, from_charge_point: bool, at_ns: int) -> None:
        binary, buffer = self._fragments.get(from_charge_point, (False, None))
        if buffer is not None:
            buffer += frame.data
            if len(buffer) > MAX_MESSAGE_BYTES:
                buffer = None
                self._fragments[from_charge_point] = (binary, None)
        if not frame.fin:
            return
        self._fragments.pop(from_charge_point, None)
        if buffer is None:
            self._too_long(from_charge_point)
        else:
            self._message(bytes(buffer), from_charge_point, at_ns, binary=binary)

    def _message(self, data: bytes, from_charge_point: bool, at_ns: int, *, binary: bool) -> None:
        observation = self._observation
        if len(data) > MAX_MESSAGE_BYTES:
            self._too_long(from_charge_point)
            return
        observation.put(_Item(self, data, from_charge_point, at_ns, observation.clock_ns(), binary))

    def _too_long(self, from_charge_point: bool) -> None:
        self._observation.count("message_too_long")
        if from_charge_point and self._mirrors is not None:
            self._mirrors.skip()

    def closed(self, code: int, reason: str) -> None:
        """Called once, when the charge point's connection has ended."""
        at_ns = self._observation.clock_ns()
        self._observation.put(_Item(self, None, True, at_ns, code, binary=False, reason=reason))

    def observe(self, item: _Item) -> None:
        """Observe a queued message or the end."""
        conversation = self._conversation
        if item.data is None:
            conversation.close(item.passed_ns, item.reason, item.at_ns)
            if self._mirrors is not None:
                self._mirrors.close()
            return
        if self._observation.watchers:
            for watcher in self._observation.watchers.get(self._cp_id, ()):
                watcher("in" if item.from_charge_point else "out", item.data)
        if self._mirrors is not None and not item.binary:
            self._mirrors.message(item.data, item.from_charge_point, item.passed_ns)
        if item.from_charge_point:
            if item.binary:
                conversation.binary(item.at_ns)
            conversation.frame(item.data, True, item.at_ns)
            return
        conversation.frame(item.data, False, item.passed_ns)
        action = redirects(item.data)
        if action is not None:
            self._observation.redirected(self._cp_id, action)
