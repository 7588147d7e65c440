"""What happened, told as spans and histograms. It owns which figures a message leaves; not how they are kept or sent.

Two small ports lie beneath (design decision 12): `Spans` and `Measures`. Everything is called on the event loop's
thread, never blocks and never raises for what an exporter or a Collector does.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import Token
from typing import Protocol

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

from wattspan.domain.model import Transaction
from wattspan.telemetry import catalogue
from wattspan.telemetry.catalogue import Metric
from wattspan.telemetry.sessions import Sessions

AttributeValue = str | int | float | bool
Attributes = Mapping[str, AttributeValue]

NS = 1_000_000_000
EXEMPLAR_EVERY_NS = NS // 5
"""Least time between two exemplars of quick messages, and between two of slow ones: at most ten a second in all."""
SLOW_S = 0.1
"""A message that took this long is worth an exemplar of its own, or the quick ones would take every turn."""

(_CURRENT,) = trace.set_span_in_context(trace.INVALID_SPAN, Context())
"""The key under which a context holds its span; the API names it nowhere."""


class MessageSpan(Protocol):
    """The span of one message. Ids are 0 only where tracing is switched off."""

    @property
    def trace_id(self) -> int: ...

    @property
    def span_id(self) -> int: ...

    @property
    def sampled(self) -> bool:
        """Whether its trace is kept (head sampling); an exemplar may point to no other."""

    @property
    def end_ns(self) -> int:
        """0 while it is open."""

    @property
    def cp_id(self) -> str: ...

    @property
    def action(self) -> str: ...

    @property
    def start_ns(self) -> int: ...

    @property
    def otel(self) -> trace.Span:
        """As OpenTelemetry's API knows it, to make it current."""

    def set(self, key: str, value: AttributeValue) -> None:
        """Set an attribute; without effect once ended."""

    def event(self, name: str, attributes: Attributes) -> None:
        """Add a span event of now."""

    def finish(
        self,
        end_ns: int,
        *,
        connector_id: str | None,
        session: Transaction | None,
        error: str | None,
        store_wait_s: float,
        forced: bool,
    ) -> None:
        """Close it, once. `session` gives link and transaction id, `error` the status, `forced` csms.force_sample."""


class Spans(Protocol):
    """Where message spans come from."""

    def server(self, cp_id: str, action: str, start_ns: int) -> MessageSpan:
        """A span of kind SERVER that starts a trace of its own."""

    def client(self, cp_id: str, action: str, start_ns: int) -> MessageSpan:
        """A span of kind CLIENT, child of the current span if there is one."""

    def forget(self, cp_id: str) -> None:
        """Drop what is kept for a charge point."""


class Measures(Protocol):
    """Where histograms are kept."""

    def handled(self, span: MessageSpan, seconds: float, end_ns: int, *, exemplar: bool) -> None:
        """Record the handling time of the message that `span` tells of."""

    def record(
        self, metric: Metric, value: float, end_ns: int, *labels: str, exemplar: tuple[int, int] | None = None
    ) -> None:
        """Record `value`. `exemplar` is (trace id, span id) of the sampled span it points to."""

    def forget(self, cp_id: str) -> None:
        """Drop the series of a charge point."""


class Recorder:
    """The one door from the central system to its telemetry.

    `exemplars=False` where no span is sent anywhere: an exemplar would point to nothing. `forget` is called
    with each decommissioned charge point's id, too. `clock_ns` is Unix nanoseconds.
    """

    __slots__ = (
        "_clock_ns",
        "_exemplars",
        "_forget",
        "_measures",
        "_quick_at_ns",
        "_sessions",
        "_slow_at_ns",
        "_spans",
        "message",
    )

    def __init__(
        self,
        spans: Spans,
        measures: Measures,
        sessions: Sessions,
        *,
        exemplars: bool = True,
        forget: Sequence[Callable[[str], None]] = (),
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._spans = spans
        self._measures = measures
        self._sessions = sessions
        self._exemplars = exemplars
        self._forget = (spans.forget, measures.forget, *forget)
        self._clock_ns = clock_ns
        self._quick_at_ns = self._slow_at_ns = 0
        self.message: Callable[[str, str, int], MessageSpan] = spans.server
        """Begin the span of a CALL: (cp_id, message_type, received_ns). The message type is bounded by the caller."""

    def attach(self, span: MessageSpan) -> Token[Context]:
        """Make the span current: what is logged, called or spawned until `detach` belongs to it."""
        return otel_context.attach(Context({_CURRENT: span.otel}))

    def detach(self, token: Token[Context]) -> None:
        """Undo `attach`, in the same task and callback."""
        otel_context.detach(token)

    def answered(
        self,
        span: MessageSpan,
        *,
        connector_id: str | None,
        session: Transaction | None,
        error: str | None,
        store_wait_s: float,
    ) -> None:
        """A message's answer is out: end its span and count its time. A second call for one span does nothing."""
        if span.end_ns:
            return
        end_ns = self._clock_ns()
        seconds = (end_ns - span.start_ns) / NS
        if seconds < 0.0:  # our clock was set back meanwhile
            seconds, end_ns = 0.0, span.start_ns
        exemplar = self._exemplars and span.sampled and self._exemplar_due(end_ns, seconds)
        self._measures.handled(span, seconds, end_ns, exemplar=exemplar)
        span.finish(
            end_ns,
            connector_id=connector_id,
            session=session,
            error=error,
            store_wait_s=store_wait_s,
            forced=exemplar,
        )

    def command(self, cp_id: str, action: str, connector_id: str | None) -> MessageSpan:
        """Begin the span of a command; a child of whatever asked for it."""
        span = self._spans.client(cp_id, action, self._clock_ns())
        if connector_id is not None:
            span.set(catalogue.CONNECTOR_ID, connector_id)
        return span

    def command_done(
        self, span: MessageSpan, *, status: str | None, error: str | None, session: Transaction | None
    ) -> None:
        """A command has its answer or its error. `status` None or "": the answer has none."""
        if span.end_ns:
            return
        if status:
            span.set(catalogue.OCPP_STATUS, status)
        end_ns = max(self._clock_ns(), span.start_ns)
        seconds = (end_ns - span.start_ns) / NS
        forced = self._exemplars and span.sampled and self._exemplar_due(end_ns, seconds)
        exemplar = (span.trace_id, span.span_id) if forced else None
        self._measures.record(catalogue.CALLS, seconds, end_ns, span.action, exemplar=exemplar)
        span.finish(end_ns, connector_id=None, session=session, error=error, store_wait_s=0.0, forced=forced)

    def session_stopped(self, transaction: Transaction) -> None:
        """A transaction was closed: its duration, and the trace that tells it."""
        began_ts, ended_ts = transaction.began_ts, transaction.ended_ts
        if ended_ts is None:
            return
        kept = self._sessions.tell(transaction)
        exemplar = kept if self._exemplars else None
        self._measures.record(catalogue.SESSIONS, ended_ts - began_ts, self._clock_ns(), exemplar=exemplar)

    def store_committed(self, seconds: float) -> None:
        """The store made a batch durable."""
        self._measures.record(catalogue.COMMITS, seconds, self._clock_ns())

    def took(self, metric: Metric, seconds: float, *labels: str, exemplar: tuple[int, int] | None = None) -> None:
        """One of the catalogue's occasional histograms. `exemplar` is (trace id, span id) of a span sure to be kept."""
        self._measures.record(metric, seconds, self._clock_ns(), *labels, exemplar=exemplar)

    def decommissioned(self, cp_id: str) -> None:
        """Forget a charge point: its series, and what is kept ready for its spans."""
        for forget in self._forget:
            forget(cp_id)

    def _exemplar_due(self, now_ns: int, seconds: float) -> bool:
        """Whether this message may take the place of an exemplar; a clock set back far starts anew."""
        if seconds < SLOW_S:
            if 0 < self._quick_at_ns - now_ns <= EXEMPLAR_EVERY_NS:
                return False
            self._quick_at_ns = now_ns + EXEMPLAR_EVERY_NS
            return True
        if 0 < self._slow_at_ns - now_ns <= EXEMPLAR_EVERY_NS:
            return False
        self._slow_at_ns = now_ns + EXEMPLAR_EVERY_NS
        return True
