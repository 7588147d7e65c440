"""The trace of a charging session: a back-dated span at its end, and a child span for each phase when the phase ends.

It owns how the timeline of a transaction becomes spans (docs/adr/0012-founding-decisions.md#9), through
OpenTelemetry's API alone, so it is the same for every provider. Message spans link to the session's span before that
span exists. Only a provider that accepts our ids (`PresetIds`) makes these links resolve; with a user's own provider
the trace is complete but has other ids.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from typing import NamedTuple, Protocol

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, Tracer

from wattspan.domain.model import Transaction
from wattspan.domain.settlement import REPORTED
from wattspan.telemetry import catalogue


class PresetIds(Protocol):
    """Lets spans of a tracer have ids that are known before: see `spans.ids`."""

    def preset(self, trace_id: int, span_id: int, sampled: bool | None) -> AbstractContextManager[None]:
        """Return a context: a root span that is started in it gets these ids.

        `sampled` is what the sampler decided about its trace before; None: it decides now.
        """

    def decides(self, trace_id: int, name: str, attributes: Mapping[str, str | float | bool]) -> bool:
        """Return whether the sampler keeps the trace of a root span that is to come."""


log = logging.getLogger(__name__)

SESSIONS_LOG = __name__
"""The logger that records the end of each session; its records are exported like warnings."""
CAUSE_ENTRY = "started by command"
"""The timeline entry of a session that a command began."""
EXPORTED = "exported"
"""The attribute of a phase's timeline entry that has the span id of the phase before it, once that was emitted."""
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
    yield from _phases(session, session.ended_ts or session.began_ts)


def _phases(session: Transaction, ended_ts: float) -> Iterator[Phase]:
    """Yield the phases of a session until a time."""
    began_ts = session.began_ts
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


def cause_attributes(action: str, trace_id: int, span_id: int) -> dict[str, str]:
    """Return the attributes of a CAUSE_ENTRY."""
    return {
        catalogue.OCPP_CAUSE: action,
        catalogue.COMMAND_TRACE: f"{trace_id:032x}",
        catalogue.COMMAND_SPAN: f"{span_id:016x}",
    }


def phase_id(session: Transaction, phase: Phase) -> int:
    """Return the span id of a phase: the same in every process, and another one if it ended at another time.

    A node that has lost the session, and does not know yet, may emit a phase with an end that its successor never sees.
    """
    bounds = f"{_ns(phase.began_ts)}\0{_ns(phase.ended_ts)}"
    digest = blake2b(f"{session.span_id:016x}\0{phase.name}\0{bounds}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) or 1


def _is_exported(session: Transaction, phase: Phase) -> bool:
    """Return whether the phase was emitted when it ended, perhaps with an end that turned out to be too late."""
    return any(
        entry.attributes.get(EXPORTED) == f"{phase_id(session, phase._replace(ended_ts=entry.ts)):016x}"
        for entry in session.timeline
        if entry.phase and EXPORTED in entry.attributes and entry.ts >= phase.ended_ts
    )


class SessionSpans:
    """Emits session traces with one tracer. `preset_ids` None: the tracer's provider is not ours."""

    def __init__(self, tracer: Tracer, preset_ids: PresetIds | None, hash_token: Callable[[str], str]) -> None:
        self.tracer = tracer
        self._hash_token = hash_token
        self._presets = preset_ids

    def phase_ended(self, session: Transaction) -> None:
        """Emit the phase that the newest timeline entry of an open session ended, so that it can be looked at.

        Only with our own ids: otherwise its parent would never exist. The first entry begins the session: then the
        sampler decides, and the decision is stored with the session.
        """
        if self._presets is None or not session.open:
            return
        if session.sampled is None:
            session.sampled = self._presets.decides(session.trace_id, catalogue.SESSION_SPAN, _place(session))
        if not session.sampled:
            return
        place = next((at for at in reversed(range(len(session.timeline))) if session.timeline[at].phase), None)
        if place is None or EXPORTED in (entry := session.timeline[place]).attributes:
            return
        ended = None
        for ended in _phases(session, entry.ts):  # noqa: B007 - the last one
            pass
        if ended is None or ended.ended_ts != entry.ts:
            return
        # The span of the session that is to come.
        parent = trace.set_span_in_context(trace.NonRecordingSpan(link_to(session)), Context())
        self._emit_phase(session, ended, parent)
        session.timeline[place] = entry._replace(attributes={EXPORTED: f"{phase_id(session, ended):016x}"})

    def _preset_ids(self, trace_id: int, span_id: int, sampled: bool | None) -> AbstractContextManager[None]:
        return nullcontext() if self._presets is None else self._presets.preset(trace_id, span_id, sampled)

    def emit(self, session: Transaction) -> tuple[int, int] | None:
        """Emit the trace of a closed session. Returns (trace id, span id) of its root, or None if it is not sampled.

        The sampler's decision is that of the start, if it was asked then. It sees the trace id derived from the
        transaction, so the usual samplers decide alike in every process.
        """
        began_ns, ended_ns = _ns(session.began_ts), _ns(session.ended_ts or session.began_ts)
        with self._preset_ids(session.trace_id, session.span_id, session.sampled):
            root = self.tracer.start_span(
                catalogue.SESSION_SPAN,
                Context(),
                SpanKind.INTERNAL,
                self._attributes(session),
                [*_first_end(session), *_causes(session)],
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
            catalogue.SESSION_MESSAGES: session.messages,
        }
        if session.id_token:
            attributes[catalogue.OCPP_ID_TOKEN_HASH] = self._hash_token(session.id_token)
        if session.reason:
            attributes[catalogue.OCPP_REASON] = session.reason
        return attributes

    def _emit_phases(self, session: Transaction, root: trace.Span) -> None:
        """Emit the phases that were not emitted when they ended, together with their parent."""
        parent = trace.set_span_in_context(root, Context())
        for phase in phases(session):
            if not _is_exported(session, phase):
                self._emit_phase(session, phase, parent)

    def _emit_phase(self, session: Transaction, phase: Phase, parent: Context) -> None:
        with self._preset_ids(session.trace_id, phase_id(session, phase), True):
            child = self.tracer.start_span(
                phase.name, parent, SpanKind.INTERNAL, _place(session), start_time=_ns(phase.began_ts)
            )
        child.end(_ns(phase.ended_ts))


def _causes(session: Transaction) -> Iterator[Link]:
    """Yield a link to the command that began the session."""
    for entry in session.timeline:
        if entry.name == CAUSE_ENTRY:
            trace_id, span_id = entry.attributes[catalogue.COMMAND_TRACE], entry.attributes[catalogue.COMMAND_SPAN]
            context = SpanContext(int(str(trace_id), 16), int(str(span_id), 16), is_remote=False, trace_flags=_LINKED)
            yield Link(context, {catalogue.OCPP_CAUSE: str(entry.attributes[catalogue.OCPP_CAUSE])})


def _first_end(session: Transaction) -> list[Link]:
    """Return a link to the span that was emitted when we closed the session, if it was opened again since."""
    if not session.first_span_id:
        return []
    return [Link(SpanContext(session.trace_id, session.first_span_id, is_remote=False, trace_flags=_LINKED))]


def _log_end(session: Transaction, root: trace.Span) -> None:
    extra = {
        catalogue.EVENT_NAME: catalogue.SESSION_SPAN,
        "cp_id": session.cp_id,
        "connector_id": session.connector_id,
        "transaction_id": session.transaction_id,
    }
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
