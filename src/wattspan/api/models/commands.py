"""The answer to a command."""

from wattspan.api.models.common import Payload, Shown
from wattspan.csms.commands import CommandResult
from wattspan.csms.plugins.audit import mask_secrets


class Answer(Shown):
    """A charge point's answer, with passwords and keys masked. `status` is "" if it has none.

    `accepted`: whether Wattspan takes the status for an acceptance.
    """

    action: str
    status: str
    accepted: bool
    payload: Payload
    trace_id: str
    duration_s: float


def answer(result: CommandResult) -> Answer:
    """Return the JSON of an answer."""
    return Answer(
        action=result.action,
        status=result.status,
        accepted=result.accepted,
        payload=mask_secrets(result.payload),
        trace_id=result.trace_id,
        duration_s=result.duration_s,
    )
