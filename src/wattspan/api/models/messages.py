"""Kept messages, each CALL beside its answer."""

from typing import Any

from wattspan.api.models.common import At, Shown, datetime_of
from wattspan.history.exchanges import MessageExchange as Found


class MessageExchange(Shown):
    """A CALL or SEND with its answer, masked. `direction` "in": from the charge point.

    `action` "": a message that is no CALL, as it is in `call`. `error`: code, text and details of a CALLERROR. An
    `answered_at` null: no answer is kept. `trace_id` "": unknown.
    """

    id: str
    at: At | None
    direction: str
    action: str
    message_id: str
    call: Any
    answer: Any
    error: list[Any] | None
    answered_at: At | None
    duration_s: float | None
    trace_id: str


def message_exchange(number: int, found: Found) -> MessageExchange:
    """Return the JSON of an exchange."""
    answered_ts = found.answered_ts
    return MessageExchange(
        id=f"{found.ts:.6f}-{number}",
        at=datetime_of(found.ts),
        direction=found.direction,
        action=found.action,
        message_id=found.message_id,
        call=found.call,
        answer=found.answer,
        error=found.error,
        answered_at=datetime_of(answered_ts),
        duration_s=None if answered_ts is None else round(answered_ts - found.ts, 6),
        trace_id=found.trace_id,
    )
