"""A command's answer."""

from wattspan.api.models.common import Payload, Shown
from wattspan.csms.commands import CommandResult
from wattspan.csms.plugins.audit import mask_secrets


class Answer(Shown):
    """What a charge point answered, but for passwords and keys. `status` is "" where its answer has none.

    `accepted` is our reading of it.
    """

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
        payload=mask_secrets(result.payload),
        trace_id=result.trace_id,
        duration_s=result.duration_s,
    )
