"""`DeferredMessages`: messages that wait a moment to be observed, many at once.

A message amid the program's own work finds the processor's caches cold: to observe it then takes longer than among
others (docs/instrumentor.md#cost). It owns the queue and the span that a program sees meanwhile. It must not know which
messages may wait.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import Context
from threading import RLock
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanContext
from opentelemetry.trace.status import Status, StatusCode
from opentelemetry.util.types import Attributes, AttributeValue

from wattspan.observe import Conversation, Exchange

MAX_WAITING = 200
"""Messages; more are observed at once. It takes 4 ms, in which the event loop does nothing else."""
MAX_WAIT_S = 0.1


class DeferredCall(trace.Span):
    """A CALL that waits to be observed. As the current span of its handlers, it is the span of the message.

    To use the span has the CALL observed, with the time at which it arrived.
    """

    __slots__ = ("_observe_waiting", "_seen")

    def __init__(self, observe_waiting: Callable[[], None]) -> None:
        self._observe_waiting = observe_waiting
        self._seen: Exchange | None = None

    @property
    def exchange(self) -> Exchange | None:
        """The exchange that the CALL began; None if it could not be observed."""
        if self._seen is None:
            self._observe_waiting()
        return self._seen

    @property
    def _span(self) -> trace.Span:
        exchange = self.exchange
        return trace.INVALID_SPAN if exchange is None else exchange.span.otel

    def __getattr__(self, name: str) -> Any:
        """Return what spans of the SDK have beyond the API, for example `attributes`."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._span, name)

    def get_span_context(self) -> SpanContext:
        return self._span.get_span_context()

    def is_recording(self) -> bool:
        return self._span.is_recording()

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        self._span.set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        self._span.set_attributes(attributes)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        self._span.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        self._span.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        self._span.update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self._span.set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        self._span.record_exception(exception, attributes, timestamp, escaped)

    def end(self, end_time: int | None = None) -> None:
        self._span.end(end_time)


class DeferredMessages:
    """The messages of all connections that wait, in the order in which they came. May be used on any thread.

    A message that is added has the current time. Code that the program's messages pass is kept in few functions: each
    costs them several times what it takes by itself.
    """

    def __init__(self, lock: RLock, may_defer: Callable[[], bool]) -> None:
        """`lock`: what whoever observes a message must hold. `may_defer`: asked whenever nothing waits."""
        self._lock = lock
        self._may_defer = may_defer
        self._waiting: deque[tuple[Conversation, str, bool, int, DeferredCall | None]] = deque()
        self._is_due = False
        """Whether an event loop will observe what waits."""

    def call(self, conversation: Conversation, data: str) -> DeferredCall | None:
        """Add a CALL of the charge point. None: it must not wait."""
        waiting = self._waiting
        if not waiting and not self._may_defer():
            return None
        call = DeferredCall(self.observe)
        waiting.append((conversation, data, True, time.time_ns(), call))
        if not self._is_due or len(waiting) >= MAX_WAITING:
            self._observe_soon()
        return call

    def answer(self, conversation: Conversation, data: str) -> bool:
        """Add an answer of the central system. False: it must not wait."""
        waiting = self._waiting
        if not waiting and not self._may_defer():
            return False
        waiting.append((conversation, data, False, time.time_ns(), None))
        if not self._is_due or len(waiting) >= MAX_WAITING:
            self._observe_soon()
        return True

    def observe(self) -> None:
        """Observe all that waits. Never raises."""
        if self._waiting:
            with self._lock:
                Context().run(self._observe)  # whoever is late must not find the span of another message there

    def observe_late(self) -> None:
        """Observe all that waits for an event loop, which may have ended: the next message waits for its own."""
        self._is_due = False
        self.observe()

    def _observe_soon(self) -> None:
        """Observe what waits: at once if it is much, or else a moment later."""
        if len(self._waiting) >= MAX_WAITING:
            self.observe()
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no event loop that asyncio knows
            self.observe()
            return
        self._is_due = True
        loop.call_later(MAX_WAIT_S, self._due, context=Context())

    def _due(self) -> None:
        self._is_due = False
        self.observe()

    def _observe(self) -> None:
        waiting = self._waiting
        while waiting:
            conversation, data, from_charge_point, at_ns, call = waiting.popleft()
            exchange = conversation.frame(data, from_charge_point, at_ns)
            if call is not None:
                call._seen = exchange
