"""Records messages, commands and sessions as spans and histograms. It owns what is recorded, not how it is stored.

Two small ports have two implementations each (docs/adr/0012-founding-decisions.md#12): `Spans` and `Measures`.
Everything is called on the event loop's thread, never blocks, and never raises because of an exporter or a Collector.
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
from wattspan.telemetry.causes import Causes
from wattspan.telemetry.connection import UNKNOWN_CONNECTION, ConnectionAttributes
from wattspan.telemetry.evidence import Evidence
from wattspan.telemetry.sessions import SessionSpans

AttributeValue = str | int | float | bool
Attributes = Mapping[str, AttributeValue]

NS = 1_000_000_000
EXEMPLAR_EVERY_NS = NS // 5
"""Shortest time between two exemplars of fast messages, and between two of slow ones: at most ten a second in all."""
SLOW_S = 0.1
"""From this handling time on, a message is slow. Slow messages have exemplars of their own: there are few of them."""

LOGGED_S = 1.0
"""A message that takes longer has a log record."""

(_CURRENT,) = trace.set_span_in_context(trace.INVALID_SPAN, Context())
"""The key of the span in a context; the API does not export it."""


class MessageSpan(Protocol):
    """The span of one message. Ids are 0 only if tracing is disabled."""

    @property
    def trace_id(self) -> int: ...

    @property
    def span_id(self) -> int: ...

    @property
    def sampled(self) -> bool:
        """Whether head sampling keeps the trace; exemplars point only to such spans."""

    @property
    def end_ns(self) -> int:
        """Unix nanoseconds; 0 while the span is open."""

    @property
    def cp_id(self) -> str: ...

    @property
    def action(self) -> str: ...

    @property
    def start_ns(self) -> int: ...

    @property
    def otel(self) -> trace.Span:
        """The span as OpenTelemetry's API knows it, to make it current."""

    def set(self, key: str, value: AttributeValue) -> None:
        """Set an attribute. Does nothing after the end."""

    def event(self, name: str, attributes: Attributes, at_ns: int | None = None) -> None:
        """Add a span event; `at_ns` None: with the current time."""

    def finish(  # noqa: PLR0913
        self,
        end_ns: int,
        *,
        connector_id: str | None,
        session: Transaction | None,
        error: str | None,
        store_wait_s: float,
        forced: bool,
        response_size: int = 0,
        description: str | None = None,
    ) -> None:
        """End the span. `session` adds a link and transaction id, `error` a status, `forced` csms.force_sample.

        `response_size` is in bytes; 0: not known. `description` is that of a CALLERROR whose code `error` is.
        """


class Spans(Protocol):
    """Creates message spans: `spans.hot.HotSpans` or `spans.api.ApiSpans`."""

    def server(
        self,
        cp_id: str,
        action: str,
        start_ns: int,
        connection: ConnectionAttributes = UNKNOWN_CONNECTION,
        message_id: str | int = "",
        size: int = 0,
    ) -> MessageSpan:
        """Return a span of kind SERVER that starts a trace of its own. `size` is in bytes; 0: not known."""

    def client(self, cp_id: str, action: str, start_ns: int) -> MessageSpan:
        """Return a span of kind CLIENT, child of the current span if there is one."""

    def child(self, parent: MessageSpan, start_ns: int) -> MessageSpan:
        """Return a span of kind CLIENT with the action of `parent`, which is its parent and decides on sampling."""

    def forget(self, cp_id: str) -> None:
        """Drop what is cached for a charge point."""


StartMessage = Callable[..., MessageSpan]
"""`Spans.server`, for a proxy's recorder may take its place."""


class Measures(Protocol):
    """Keeps histograms: `arrays.ArrayMeasures` or `spans.api.ApiMeasures`."""

    def handled(self, span: MessageSpan, seconds: float, end_ns: int, *, exemplar: bool) -> None:
        """Record the handling time of the message of `span`."""

    def record(
        self, metric: Metric, value: float, end_ns: int, *labels: str, exemplar: tuple[int, int] | None = None
    ) -> None:
        """Record `value`. `exemplar` is the (trace id, span id) of a sampled span."""

    def forget(self, cp_id: str) -> None:
        """Drop the series of a charge point."""


class Recorder:
    """The interface through which the central system records telemetry.

    Pass `exemplars=False` if spans are not exported: exemplars would point to nothing. The functions in `forget` are
    called with the id of each decommissioned charge point. `clock_ns` returns Unix nanoseconds. Methods that take a
    time use this clock where it is None; a caller that observes a recorded conversation passes the recorded time, and
    `logs=False`, because what happened then is no news now.
    """

    __slots__ = (
        "_clock_ns",
        "_exemplars",
        "_fast_at_ns",
        "_forget",
        "_measures",
        "_sessions",
        "_slow_at_ns",
        "_spans",
        "causes",
        "evidence",
        "message",
        "on_ended",
    )

    def __init__(
        self,
        spans: Spans,
        measures: Measures,
        sessions: SessionSpans,
        *,
        exemplars: bool = True,
        forget: Sequence[Callable[[str], None]] = (),
        clock_ns: Callable[[], int] = time.time_ns,
        logs: bool = True,
    ) -> None:
        self._spans = spans
        self._measures = measures
        self._sessions = sessions
        self._exemplars = exemplars
        self._forget = (spans.forget, measures.forget, *forget)
        self._clock_ns = clock_ns
        self._fast_at_ns = self._slow_at_ns = 0
        self.on_ended: Callable[[MessageSpan], None] | None = None
        """Called with the span of each message and command at its end, right after the answer was sent or arrived."""
        self.evidence = Evidence(sessions.tracer, clock_ns, logs=logs)
        """Records what happens beside messages."""
        self.causes = Causes(sessions.tracer)
        """Links effects to the commands that caused them."""
        self.message: StartMessage = spans.server
        """Start the span of a CALL: (cp_id, message_type, received_ns, then what `Spans.server` takes).

        The caller limits the set of message types.
        """

    def attach(self, span: MessageSpan) -> Token[Context]:
        """Make the span current: logs, calls and tasks until `detach` belong to it. Returns the token for `detach`."""
        return otel_context.attach(Context({_CURRENT: span.otel}))

    def detach(self, token: Token[Context]) -> None:
        """Undo `attach`. Call it in the same task or callback."""
        otel_context.detach(token)

    def answered(  # noqa: PLR0913
        self,
        span: MessageSpan,
        *,
        connector_id: str | None,
        session: Transaction | None,
        error: str | None,
        store_wait_s: float,
        end_ns: int | None = None,
        response_size: int = 0,
        description: str | None = None,
    ) -> None:
        """Record that the answer to a message was sent: end its span, count its time. A second call does nothing."""
        if span.end_ns:
            return
        if end_ns is None:
            end_ns = self._clock_ns()
        seconds = (end_ns - span.start_ns) / NS
        if seconds < 0.0:  # the clock was set back
            seconds, end_ns = 0.0, span.start_ns
        if seconds > LOGGED_S:
            self._log_slow(span, seconds, store_wait_s)
        exemplar = self._exemplars and span.sampled and self._exemplar_due(end_ns, seconds)
        self._measures.handled(span, seconds, end_ns, exemplar=exemplar)
        span.finish(
            end_ns,
            connector_id=connector_id,
            session=session,
            error=error,
            store_wait_s=store_wait_s,
            forced=exemplar,
            response_size=response_size,
            description=description,
        )
        if self.on_ended is not None:
            self.on_ended(span)

    def _log_slow(self, span: MessageSpan, seconds: float, store_wait_s: float) -> None:
        fields: Attributes = {
            catalogue.CP_ID: span.cp_id,
            catalogue.MESSAGE_TYPE: span.action,
            catalogue.HANDLING_TIME: round(seconds, 3),
            catalogue.OCPP_STORE_WAIT: round(store_wait_s, 3),
        }
        self.evidence.slow_message(span.otel, fields)

    def command(
        self,
        cp_id: str,
        action: str,
        connector_id: str | None,
        *,
        start_ns: int | None = None,
        connection: ConnectionAttributes = UNKNOWN_CONNECTION,
    ) -> MessageSpan:
        """Start and return the span of a command, a child of the current span."""
        span = self._spans.client(cp_id, action, self._clock_ns() if start_ns is None else start_ns)
        for key, value in connection.client_fields.items():
            span.set(key, value)
        if connector_id is not None:
            span.set(catalogue.CONNECTOR_ID, connector_id)
        return span

    def command_done(  # noqa: PLR0913
        self,
        span: MessageSpan,
        *,
        status: str | None,
        error: str | None,
        session: Transaction | None,
        end_ns: int | None = None,
        message_id: str | int = "",
        request_size: int = 0,
        response_size: int = 0,
        description: str | None = None,
    ) -> None:
        """Record the result of a command. `status` None or "": the answer has no status. 0: a size is not known."""
        if span.end_ns:
            return
        if message_id:
            span.set(catalogue.OCPP_MESSAGE_ID, str(message_id))
        if request_size:
            span.set(catalogue.OCPP_REQUEST_SIZE, request_size)
        if status:
            span.set(catalogue.OCPP_STATUS, status)
        end_ns = max(self._clock_ns() if end_ns is None else end_ns, span.start_ns)
        seconds = (end_ns - span.start_ns) / NS
        forced = self._exemplars and span.sampled and self._exemplar_due(end_ns, seconds)
        exemplar = (span.trace_id, span.span_id) if forced else None
        self._measures.record(catalogue.CALLS, seconds, end_ns, span.action, exemplar=exemplar)
        span.finish(
            end_ns,
            connector_id=None,
            session=session,
            error=error,
            store_wait_s=0.0,
            forced=forced,
            response_size=response_size,
            description=description,
        )
        if self.on_ended is not None:
            self.on_ended(span)

    def phase_ended(self, transaction: Transaction) -> None:
        """Emit the phase of a running session that has just ended."""
        self._sessions.phase_ended(transaction)

    def session_stopped(self, transaction: Transaction) -> None:
        """Record the duration of a closed transaction and emit its trace.

        The duration of one that was closed before and opened again is recorded already.
        """
        began_ts, ended_ts = transaction.began_ts, transaction.ended_ts
        if ended_ts is None:
            return
        root = self._sessions.emit(transaction)
        if transaction.first_span_id:
            return
        exemplar = root if self._exemplars else None
        self._measures.record(catalogue.SESSIONS, ended_ts - began_ts, self._clock_ns(), exemplar=exemplar)

    def store_committed(self, seconds: float) -> None:
        """Record how long the store took to commit a batch."""
        self._measures.record(catalogue.COMMITS, seconds, self._clock_ns())

    def took(self, metric: Metric, seconds: float, *labels: str, exemplar: tuple[int, int] | None = None) -> None:
        """Record into one of `catalogue.OCCASIONAL`. `exemplar` is the (trace id, span id) of a span that is kept."""
        self._measures.record(metric, seconds, self._clock_ns(), *labels, exemplar=exemplar)

    def decommissioned(self, cp_id: str) -> None:
        """Drop the series of a charge point and what is cached for its spans."""
        for forget in self._forget:
            forget(cp_id)

    def _exemplar_due(self, now_ns: int, seconds: float) -> bool:
        """Return whether this message may become an exemplar. A clock that was set back resets the interval."""
        if seconds < SLOW_S:
            if 0 < self._fast_at_ns - now_ns <= EXEMPLAR_EVERY_NS:
                return False
            self._fast_at_ns = now_ns + EXEMPLAR_EVERY_NS
            return True
        if 0 < self._slow_at_ns - now_ns <= EXEMPLAR_EVERY_NS:
            return False
        self._slow_at_ns = now_ns + EXEMPLAR_EVERY_NS
        return True
