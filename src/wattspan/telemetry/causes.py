"""Links effects to the commands that caused them: sessions to remote starts, reboots to resets and firmware updates.

It owns which command an effect is attributed to. An effect links to the span of its command, and a child span of the
command (`session began`, `reboot`) links to the effect. What was not caused within a time is attributed to nothing.
"""

from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, Tracer

from wattspan.domain.fleet import Fleet
from wattspan.domain.model import Transaction
from wattspan.telemetry import catalogue
from wattspan.telemetry.sessions import CAUSE_ENTRY, cause_attributes, link_to

if TYPE_CHECKING:
    from wattspan.telemetry.recorder import MessageSpan

STARTS = frozenset({"RemoteStartTransaction", "RequestStartTransaction"})
BOOTS = {"Reset": 900.0, "UpdateFirmware": 86_400.0, "SignedUpdateFirmware": 86_400.0}
"""Commands that cause a reboot, and the seconds within which it follows."""
START_S = 300.0
"""Seconds within which a session follows a remote start: the driver has to plug in."""
BOOT = "BootNotification"
MAX_PENDING = 20_000
"""Charge points whose command waits for its effect."""
_ROOT = Context()
NS = 1_000_000_000


class Cause(NamedTuple):
    """A command that was accepted. `until_ts`: an effect after that has another cause."""

    action: str
    connector_id: str | None
    remote_start_id: int | None
    context: SpanContext
    at_ts: float
    until_ts: float


class Causes:
    """The commands that may still have an effect. For the event loop's thread alone."""

    __slots__ = ("_tracer", "boots", "pending", "starts")

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self.starts: dict[str, list[Cause]] = {}
        """By charge point, one for each connector, the newest last."""
        self.boots: dict[str, Cause] = {}
        self.pending = False
        """Whether there is any; asked with every message."""

    def command(
        self, span: "MessageSpan", connector_id: str | None, now_ts: float, remote_start_id: int | None = None
    ) -> None:
        """Note that the command of `span` was accepted."""
        action = span.action
        lasts_s = START_S if action in STARTS else BOOTS.get(action)
        if lasts_s is None or not span.trace_id:
            return
        flags = TraceFlags(TraceFlags.SAMPLED if span.sampled else TraceFlags.DEFAULT)
        context = SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=flags)
        cause = Cause(action, connector_id, remote_start_id, context, now_ts, now_ts + lasts_s)
        if action in STARTS:
            self._add_start(span.cp_id, cause)
        else:
            if len(self.boots) >= MAX_PENDING:
                self.boots.clear()
            self.boots[span.cp_id] = cause
        self.pending = True

    def message(self, fleet: Fleet, span: "MessageSpan", transaction: Transaction | None, now_ts: float) -> None:
        """Attribute what a message of a charge point reports, if a command waits for it."""
        cp_id = span.cp_id
        if transaction is not None and cp_id in self.starts:
            self._session(fleet, transaction, now_ts)
        if span.action == BOOT and (boot := self.boots.pop(cp_id, None)) is not None:
            self._boot(span, boot, now_ts)
        self.pending = bool(self.starts or self.boots)

    def _add_start(self, cp_id: str, cause: Cause) -> None:
        """Note a remote start, which takes the place of an earlier one on the same connector."""
        if len(self.starts) >= MAX_PENDING:
            self.starts.clear()
        others = [
            each
            for each in self.starts.get(cp_id, ())
            if each.connector_id != cause.connector_id and each.until_ts >= cause.at_ts
        ]
        self.starts[cp_id] = [*others, cause]

    def _session(self, fleet: Fleet, transaction: Transaction, now_ts: float) -> None:
        cp_id = transaction.cp_id
        waiting = [each for each in self.starts.pop(cp_id) if now_ts <= each.until_ts]
        cause = next((each for each in reversed(waiting) if _began_by(transaction, each)), None)
        if cause is not None:
            waiting.remove(cause)
            attributes = cause_attributes(cause.action, cause.context.trace_id, cause.context.span_id)
            fleet.add_timeline_entry(transaction, cause.at_ts, CAUSE_ENTRY, attributes)
            place = {
                catalogue.CP_ID: cp_id,
                catalogue.CONNECTOR_ID: transaction.connector_id,
                catalogue.OCPP_TRANSACTION_ID: transaction.transaction_id,
            }
            self._effect(catalogue.SESSION_BEGAN_SPAN, cause, link_to(transaction), place, now_ts)
        if waiting:
            self.starts[cp_id] = waiting

    def _boot(self, span: "MessageSpan", cause: Cause, now_ts: float) -> None:
        if now_ts > cause.until_ts:
            return
        span.set(catalogue.OCPP_CAUSE, cause.action)
        span.otel.add_link(cause.context)
        place = {catalogue.CP_ID: span.cp_id}
        self._effect(catalogue.REBOOT_SPAN, cause, span.otel.get_span_context(), place, now_ts)

    def _effect(self, name: str, cause: Cause, effect: SpanContext, place: dict[str, str], now_ts: float) -> None:
        """Emit a child span of the command, which links to the effect."""
        parent = trace.set_span_in_context(trace.NonRecordingSpan(cause.context), _ROOT)
        at_ns = round(now_ts * NS)
        attributes = {**place, catalogue.OCPP_CAUSE: cause.action}
        span = self._tracer.start_span(name, parent, SpanKind.INTERNAL, attributes, [Link(effect)], at_ns)
        span.end(at_ns)


def _began_by(transaction: Transaction, cause: Cause) -> bool:
    """Return whether a transaction began after the command, where the command wanted it."""
    if transaction.started_received_ts < cause.at_ts:
        return False
    if cause.remote_start_id is not None and transaction.remote_start_id is not None:
        return cause.remote_start_id == transaction.remote_start_id
    return cause.connector_id in (None, "0", transaction.connector_id)
