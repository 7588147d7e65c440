"""Measures the central system: how long it takes to answer what the charge point asked.

The span of a message covers the whole way (charge point, proxy, central system and back). Its child covers the part
from the proxy to the central system and back.
"""

from typing import Any

from wattspan.domain.model import Transaction
from wattspan.telemetry import catalogue
from wattspan.telemetry.recorder import NS, MessageSpan, Recorder, StartMessage

NO_ANSWER = frozenset({"Timeout", "ConnectionLost"})
"""Errors of messages that the central system never answered."""


class UpstreamRecorder(Recorder):
    """Records what any recorder does and, for each answered CALL of a charge point, the central system's time."""

    __slots__ = ("_sent", "_server", "passed_ns")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.passed_ns = 0
        """When the message that is being observed had been relayed, Unix nanoseconds."""
        self._sent: dict[int, int] = {}
        """When each open CALL was relayed, by the id of its span. The observer bounds how many are open."""
        self._server: StartMessage = self.message
        self.message = self._message

    def _message(self, cp_id: str, action: str, start_ns: int, *wire: Any) -> MessageSpan:
        span = self._server(cp_id, action, start_ns, *wire)
        self._sent[span.span_id] = max(self.passed_ns, start_ns)
        return span

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
        """Record the answer, and the central system's time if it was the central system that answered."""
        sent_ns = self._sent.pop(span.span_id, None)
        if sent_ns is None or end_ns is None or error in NO_ANSWER or span.end_ns:
            pass
        elif end_ns > sent_ns:  # else it is a SEND, which has no answer
            self._answered_upstream(span, sent_ns, end_ns, error)
        super().answered(
            span,
            connector_id=connector_id,
            session=session,
            error=error,
            store_wait_s=store_wait_s,
            end_ns=end_ns,
            response_size=response_size,
            description=description,
        )

    def _answered_upstream(self, span: MessageSpan, sent_ns: int, end_ns: int, error: str | None) -> None:
        self._measures.record(catalogue.UPSTREAM, (end_ns - sent_ns) / NS, end_ns, span.action)
        if not (self._exemplars and span.sampled):
            return
        child = self._spans.child(span, sent_ns)
        child.finish(end_ns, connector_id=None, session=None, error=error, store_wait_s=0.0, forced=False)
