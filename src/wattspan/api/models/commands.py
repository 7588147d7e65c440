"""A command's answer."""

from wattspan.api.models.common import Payload, Shown
from wattspan.csms.commands import CommandResult


class Answer(Shown):
    """What a charge point answered. `status` is "" where its answer has none; `accepted` is our reading of it."""

    action: str
    status: str
    accepted: bool
    payload: Payload
    trace_id: str
    duration_s: float


def answer(result: CommandResult) -> Answer:
    """The answer as JSON has it."""
    return Answer(
        action=result.action,
        status=result.status,
        accepted=result.accepted,
        payload=result.payload,
        trace_id=result.trace_id,
        duration_s=result.duration_s,
    )
