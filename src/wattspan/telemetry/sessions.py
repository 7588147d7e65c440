"""A charging session as a trace, told at its end: back-dated, a child span a phase (design decision 9).

It owns how a transaction's story becomes spans, by OpenTelemetry's API alone, so it is the same under every back end.
Link targets given out while the session ran are kept only by a provider that takes our ids (`Allot`): with a foreign
provider the session's trace is whole as well, but has ids of its own, and the message spans' links lead nowhere.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, Tracer

from wattspan.domain.model import Transaction
from wattspan.telemetry import catalogue

Allot = Callable[[int, int], AbstractContextManager[None]]
"""(trace id, span id): a root span started in this context gets these ids."""

log = logging.getLogger(__name__)

SESSIONS_LOG = __name__
"""The logger that tells each session's end; its records are sent like warnings are."""
NS = 1_000_000_000
_LINKED = TraceFlags(TraceFlags.SAMPLED)


class Phase(NamedTuple):
    """A stretch of a session, in Unix seconds."""

    name: str
    began_ts: float
    ended_ts: float


def link_to(session: Transaction) -> SpanContext:
    """Where the session's span will be."""
    return SpanContext(session.trace_id, session.span_id, is_remote=False, trace_flags=_LINKED)


def phases(session: Transaction) -> Iterator[Phase]:
    """Phases of a closed session: each lasts until the next, equal neighbours are one, what took no time is none."""
    began_ts, ended_ts = session.began_ts, session.ended_ts or session.began_ts
    moments = sorted((moment for moment in session.timeline if moment.phase), key=lambda moment: moment.ts)
    name, since_ts = "", began_ts
    for moment in moments:
        at_ts = min(max(moment.ts, began_ts), ended_ts)
        if moment.name == name:
            continue
        if name and at_ts > since_ts:
            yield Phase(name, since_ts, at_ts)
        name, since_ts = moment.name, at_ts if name else began_ts
    if name and ended_ts > since_ts:
        yield Phase(name, since_ts, ended_ts)


class Sessions:
    """Tells sessions to one tracer. `allot` None: the tracer's provider is not ours."""

    def __init__(self, tracer: Tracer, allot: Allot | None, hash_token: Callable[[str], str]) -> None:
        self._tracer = tracer
        self._hash_token = hash_token
        self._allot = allot or (lambda _trace_id, _span_id: nullcontext())

    def tell(self, session: Transaction) -> tuple[int, int] | None:
        """Emit the trace of a closed session. Returns its span's (trace id, span id), None when it is not sampled.

        A sampler sees the trace id that was allotted at the start, so its word is the same in every process.
        """
        began_ns, ended_ns = _ns(session.began_ts), _ns(session.ended_ts or session.began_ts)
        with self._allot(session.trace_id, session.span_id):
            root = self._tracer.start_span(
                catalogue.SESSION_SPAN, Context(), SpanKind.INTERNAL, self._attributes(session), start_time=began_ns
            )
        _log_end(session, root)
        made = root.get_span_context()
        if not made.trace_flags.sampled:
            root.end(ended_ns)
            return None
        for moment in session.timeline:
            if not moment.phase:
                root.add_event(moment.name, dict(moment.attributes), _ns(moment.ts))
        self._tell_phases(session, root)
        root.end(ended_ns)
        return made.trace_id, made.span_id

    def _attributes(self, session: Transaction) -> dict[str, str | float | bool]:
        attributes = _place(session) | {catalogue.OCPP_ENERGY: session.meter.energy_wh}
        if session.id_token:
            attributes[catalogue.OCPP_ID_TOKEN_HASH] = self._hash_token(session.id_token)
        if session.reason:
            attributes[catalogue.OCPP_REASON] = session.reason
        return attributes

    def _tell_phases(self, session: Transaction, root: trace.Span) -> None:
        """Children leave with their parent: until it is there, a trace viewer takes them for orphans."""
        around = trace.set_span_in_context(root, Context())
        for phase in phases(session):
            child = self._tracer.start_span(
                phase.name, around, SpanKind.INTERNAL, _place(session), start_time=_ns(phase.began_ts)
            )
            child.end(_ns(phase.ended_ts))


def _log_end(session: Transaction, root: trace.Span) -> None:
    told = {"cp_id": session.cp_id, "connector_id": session.connector_id, "transaction_id": session.transaction_id}
    token = otel_context.attach(trace.set_span_in_context(root, Context()))
    log.info("session ended: %.0f Wh, %s", session.meter.energy_wh, session.reason or "no reason told", extra=told)
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
