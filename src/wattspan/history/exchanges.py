"""Pairs kept messages: each CALL beside its answer. Pure; slow for many lines, so not on the event loop."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

CALL, RESULT, ERROR, RESULT_ERROR, SEND = 2, 3, 4, 5, 6


@dataclass(slots=True)
class MessageExchange:
    """A CALL or SEND with its answer, or a message that is none. `direction` "in": from the charge point.

    `error`: the code, text and details of a CALLERROR. `answered_ts` None: there is no answer.
    """

    ts: float
    direction: str
    action: str
    message_id: str
    call: Any
    answer: Any = None
    error: list[Any] | None = None
    answered_ts: float | None = None
    trace_id: str = ""


def exchanges(lines: Iterable[bytes]) -> list[MessageExchange]:
    """Return the exchanges of one charge point in the order of their CALLs, without the lines of connections."""
    found: list[MessageExchange] = []
    waiting: dict[tuple[str, str], MessageExchange] = {}
    for line in _parsed(lines):
        frame, direction = line["frame"], str(line.get("direction"))
        kind = frame[0] if isinstance(frame, list) and frame else None
        message_id = str(frame[1]) if isinstance(frame, list) and len(frame) > 1 else ""
        other = "out" if direction == "in" else "in"
        asked = waiting.pop((other, message_id), None) if kind in (RESULT, ERROR) else None
        if asked is not None:
            asked.answered_ts, asked.trace_id = line["ts"], line.get("trace_id", "")
            if kind == ERROR:
                asked.error = frame[2:]
            else:
                asked.answer = frame[2] if len(frame) > 2 else None  # noqa: PLR2004
            continue
        if kind in (CALL, SEND) and len(frame) > 2:  # noqa: PLR2004
            payload = frame[3] if len(frame) > 3 else None  # noqa: PLR2004
            each = MessageExchange(line["ts"], direction, str(frame[2]), message_id, payload)
            if kind == CALL:
                waiting[direction, message_id] = each
        else:
            each = MessageExchange(line["ts"], direction, "", message_id, frame)
        each.trace_id = line.get("trace_id", "")
        found.append(each)
    return found


def matches(each: MessageExchange, action: str | None, text: str) -> bool:
    """Return whether an exchange is of the action, ignoring case, and contains the text, in lower case."""
    if action is not None and each.action.casefold() != action.casefold():
        return False
    if not text:
        return True
    content = orjson.dumps([each.action, each.message_id, each.call, each.answer, each.error])
    return text in content.decode().casefold()


def _parsed(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        found: dict[str, Any] = orjson.loads(line)
        if "frame" in found:
            yield found
