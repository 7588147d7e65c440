"""OCPP-J frames: text to message and back (OCPP-J 1.6 §4.2). Pure; knows no action and no connection.

Lenient where chargers are sloppy: NUL bytes in the text, `null` for an empty payload, a number as message id.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from wattspan.errors import FrameError

CALL, CALLRESULT, CALLERROR = 2, 3, 4

MAX_MESSAGE_ID = 255
"""Characters of a message id that we echo; OCPP allows 36, and chargers send more."""

MessageId = str | int


@dataclass(slots=True)
class Call:
    """A request. `message_id` is as it came, for the answer must carry the very same."""

    message_id: MessageId
    action: str
    payload: dict[str, Any]


@dataclass(slots=True)
class CallResult:
    """The answer to a CALL of ours."""

    message_id: MessageId
    payload: dict[str, Any]


@dataclass(slots=True)
class CallError:
    """The refusal of a CALL of ours; OCPP-J 1.6 §4.2.3."""

    message_id: MessageId
    code: str
    description: str
    details: dict[str, Any]


Frame = Call | CallResult | CallError


def parse(data: bytes) -> Frame | None:
    """The message in `data`. None: a message type OCPP does not name, to be ignored (OCPP-J 1.6 §4.1.3).

    Raises:
        FrameError: it is no message; carries the CALLERROR code and, where it could be read, the message id.
    """
    try:
        frame = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        frame = _without_nul(data, exc)
    if type(frame) is not list or len(frame) < 2:  # noqa: PLR2004
        raise FrameError("ProtocolError", "not an array of message type, message id, …")
    kind = frame[0]
    if type(kind) is not int:
        raise FrameError("ProtocolError", "the message type is not a whole number")
    build = _KINDS.get(kind)
    return None if build is None else build(frame)


def call(message_id: str, action: str, payload: dict[str, Any]) -> bytes:
    """A CALL."""
    return orjson.dumps([CALL, message_id, action, payload])


def call_result(message_id: MessageId, payload: dict[str, Any]) -> bytes:
    """A CALLRESULT."""
    return orjson.dumps([CALLRESULT, message_id, payload])


def call_error(message_id: MessageId, code: str, description: str, details: dict[str, Any]) -> bytes:
    """A CALLERROR; the description is cut to the 255 characters OCPP allows."""
    return orjson.dumps([CALLERROR, message_id, code, description[:255], details])


def _without_nul(data: bytes, exc: orjson.JSONDecodeError) -> Any:
    """Some chargers end or sprinkle a frame with NUL bytes; what remains may well be JSON."""
    if b"\0" in data:
        try:
            return orjson.loads(data.replace(b"\0", b""))
        except orjson.JSONDecodeError:
            pass
    raise FrameError("GenericError", "not JSON") from exc


def _result_id(value: Any) -> MessageId:
    """An odd one matches nothing that was asked; a result is never answered, not even with an error."""
    return value if type(value) is str or type(value) is int else ""


def _call(frame: list[Any]) -> Call:
    message_id = frame[1]
    if type(message_id) is not int and (type(message_id) is not str or len(message_id) > MAX_MESSAGE_ID):
        raise FrameError("ProtocolError", "the message id is not a text of at most 255 characters")
    if len(frame) < 4:  # noqa: PLR2004
        raise FrameError("ProtocolError", "a CALL has an action and a payload", message_id)
    action, payload = frame[2], frame[3]
    if type(action) is not str:
        raise FrameError("FormationViolation", "the action is not a text", message_id)
    if payload is None:
        payload = {}
    elif type(payload) is not dict:
        raise FrameError("FormationViolation", "the payload is not an object", message_id)
    return Call(message_id, action, payload)


def _call_result(frame: list[Any]) -> CallResult:
    payload = frame[2] if len(frame) > 2 else None  # noqa: PLR2004
    return CallResult(_result_id(frame[1]), payload if type(payload) is dict else {})


def _call_error(frame: list[Any]) -> CallError:
    code, description, details = (*frame[2:5], None, None, None)[:3]
    return CallError(
        _result_id(frame[1]),
        code if type(code) is str and code else "GenericError",
        description if type(description) is str else "",
        details if type(details) is dict else {},
    )


_KINDS: dict[int, Callable[[list[Any]], Frame]] = {
    CALL: _call,
    CALLRESULT: _call_result,
    CALLERROR: _call_error,
}
