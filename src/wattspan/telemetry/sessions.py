"""The trace of a charging session, emitted at its end: back-dated, with a child span for each phase.

It owns how the timeline of a transaction becomes spans (docs/adr/0012-founding-decisions.md#9), through
OpenTelemetry's API alone, so it is the same for every provider. Message spans link to the session's span before that
span exists. Only a provider that accepts our ids (`PresetIds`) makes these links resolve; with a user's own provider
the trace is complete but has other ids.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, Tracer

from wattspan.domain.model import Transaction
from wattspan.domain.settlement import REPORTED
from wattspan.telemetry import catalogue

PresetIds = Callable[[int, int], AbstractContextManager[None]]
"""(trace id, span id): a root span that is started in this context gets these ids."""

log = logging.getLogger(__name__)

SESSIONS_LOG = __name__
"""The logger that records the end of each session; its records are exported like warnings."""
NS = 1_000_000_000
_LINKED = TraceFlags(TraceFlags.SAMPLED)


class Phase(NamedTuple):
    """A phase of a session, in Unix seconds."""

    name: str
    began_ts: float
    ended_ts: float


def link_to(session: Transaction, span_id: int | None = None) -> SpanContext:
    """Return the context that the span of the session will have. `span_id` None: the session's current one."""
    span_id = session.span_id if span_id is None else span_id
    return SpanContext(session.trace_id, span_id, is_remote=False, trace_flags=_LINKED)


def phases(session: Transaction) -> Iterator[Phase]:
    """Yield the phases of a closed session: equal neighbours are merged, phases without duration are left out."""
    began_ts, ended_ts = session.began_ts, session.ended_ts or session.began_ts
    entries = sorted((entry for entry in session.timeline if entry.phase), key=lambda entry: entry.ts)
    name, since_ts = "", began_ts
    for entry in entries:
        at_ts = min(max(entry.ts, began_ts), ended_ts)
        if entry.name == name:
            continue
        if name and at_ts > since_ts:
            yield Phase(name, since_ts, at_ts)
        name, since_ts = entry.name, at_ts if name else began_ts
    if name and ended_ts > since_ts:
        yield Phase(name, since_ts, ended_ts)


class SessionSpans:
    """Emits session traces with one tracer. `preset_ids` None: the tracer's provider is not ours."""

    def __init__(self, tracer: Tracer, preset_ids: PresetIds | None, hash_token: Callable[[str], str]) -> None:
        self._tracer = tracer
        self._hash_token = hash_token
        self._preset_ids = preset_ids or (lambda _trace_id, _span_id: nullcontext())

    def emit(self, session: Transaction) -> tuple[int, int] | None:
        """Emit the trace of a closed session. Returns (trace id, span id) of its root, or None if it is not sampled.

        The sampler sees the trace id derived from the transaction, so its decision is the same in every process.
        """
        began_ns, ended_ns = _ns(session.began_ts), _ns(session.ended_ts or session.began_ts)
        with self._preset_ids(session.trace_id, session.span_id):
            root = self._tracer.start_span(
                catalogue.SESSION_SPAN,
                Context(),
                SpanKind.INTERNAL,
                self._attributes(session),
                _first_end(session),
                start_time=began_ns,
            )
        _log_end(session, root)
        context = root.get_span_context()
        if not context.trace_flags.sampled:
            root.end(ended_ns)
            return None
        for entry in session.timeline:
            if not entry.phase:
                root.add_event(entry.name, dict(entry.attributes), _ns(entry.ts))
        self._emit_phases(session, root)
        root.end(ended_ns)
        return context.trace_id, context.span_id

    def _attributes(self, session: Transaction) -> dict[str, str | float | bool]:
        attributes = _place(session) | {
            catalogue.OCPP_ENERGY: session.meter.energy_wh,
            catalogue.OCPP_ENERGY_QUALITY: session.energy_correction or REPORTED,
        }
        if session.id_token:
            attributes[catalogue.OCPP_ID_TOKEN_HASH] = self._hash_token(session.id_token)
        if session.reason:
            attributes[catalogue.OCPP_REASON] = session.reason
        return attributes

    def _emit_phases(self, session: Transaction, root: trace.Span) -> None:
        """Emit the children together with their parent: without it, a trace viewer shows them as orphans."""
        parent = trace.set_span_in_context(root, Context())
        for phase in phases(session):
            child = self._tracer.start_span(
                phase.name, parent, SpanKind.INTERNAL, _place(session), start_time=_ns(phase.began_ts)
            )
            child.end(_ns(phase.ended_ts))


def _first_end(session: Transaction) -> list[Link]:
    """Return a link to the span that was emitted when we closed the session, if it was opened again since."""
    if not session.first_span_id:
        return []
    return [Link(SpanContext(session.trace_id, session.first_span_id, is_remote=False, trace_flags=_LINKED))]


def _log_end(session: Transaction, root: trace.Span) -> None:
    extra = {"cp_id": session.cp_id, "connector_id": session.connector_id, "transaction_id": session.transaction_id}
    token = otel_context.attach(trace.set_span_in_context(root, Context()))
    log.info("session ended: %.0f Wh, %s", session.meter.energy_wh, session.reason or "no reason given", extra=extra)
    otel_context.detach(token)


def _place(session: Transaction) -> dict[str, str | float | bool]:
    return {
        catalogue.CP_ID: session.cp_id,
        catalogue.CONNECTOR_ID: session.connector_id,
        catalogue.OCPP_TRANSACTION_ID: session.transaction_id,
        catalogue.FORCE_SAMPLE: True,
    }


def _ns(ts: float) -> int:
    return round(ts * NS)
