"""OCPP-J frames: text to message and back (OCPP-J §4.2 in 1.6, 2.0.1 and 2.1). Pure; knows no action, no connection.

Lenient where chargers are sloppy, unless told to be strict: NUL bytes in the text, texts that are no Unicode, `null`
for an empty payload, a number as message id. What differs between the versions is a `Framing`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from wattspan.errors import FrameError

CALL, CALLRESULT, CALLERROR, CALLRESULTERROR, SEND = 2, 3, 4, 5, 6

MAX_MESSAGE_ID = 255
"""Characters of a message id that we echo; OCPP allows 36, and chargers send more."""
OCPP_MESSAGE_ID = 36
UNKNOWN_ID = "-1"
"""The id of a CALLERROR for a message whose own can't be read: 2.x says so, 1.6 leaves it open."""
_CALL_SIZE = 4

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
    well_formed: bool = True
    """False: there was no object in the payload's place."""


@dataclass(slots=True)
class CallError:
    """The refusal of a CALL of ours; OCPP-J 1.6 §4.2.3."""

    message_id: MessageId
    code: str
    description: str
    details: dict[str, Any]


@dataclass(slots=True)
class ResultError:
    """A CALLRESULT of ours that the charge point could make nothing of (CALLRESULTERROR, OCPP-J 2.1 §4.2.4)."""

    message_id: MessageId
    code: str
    description: str
    details: dict[str, Any]


@dataclass(slots=True)
class Send:
    """A message that is never answered, not even with an error (SEND, OCPP-J 2.1 §4.2.5)."""

    action: str
    payload: dict[str, Any]


Frame = Call | CallResult | CallError | ResultError | Send


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How a version frames messages, and the CALLERROR codes it has for what is no message."""

    unreadable: str
    """Not JSON."""
    malformed: str
    """JSON, but no message: no array, no message id, no action."""
    formation: str
    """The action is there, but what should be its payload is no object."""
    action: str
    """The action is no text."""
    unknown_type: str | None = None
    """A message type number that the version does not have; None: it is ignored."""
    result_errors: bool = False
    """Whether a CALLRESULT can be refused by a CALLRESULTERROR."""
    strict: bool = False
    """Refuse what we would otherwise put right."""
    kinds: "Mapping[int, Callable[[list[Any], Framing], Frame]]" = field(default_factory=lambda: _KINDS)


def call(message_id: str, action: str, payload: dict[str, Any]) -> bytes:
    """A CALL."""
    return orjson.dumps([CALL, message_id, action, payload])


def call_result(message_id: MessageId, payload: dict[str, Any]) -> bytes:
    """A CALLRESULT."""
    return orjson.dumps([CALLRESULT, message_id, payload])


def result_error(message_id: MessageId, code: str, description: str) -> bytes:
    """A CALLRESULTERROR: the CALLRESULT of that id can't be used."""
    return orjson.dumps([CALLRESULTERROR, message_id, code, description[:255], {}])


def call_error(message_id: MessageId, code: str, description: str, details: dict[str, Any]) -> bytes:
    """A CALLERROR; the description is cut to the 255 characters OCPP allows."""
    return orjson.dumps([CALLERROR, message_id, code, description[:255], details])


def _sloppy(data: bytes, exc: orjson.JSONDecodeError, framing: Framing) -> Any:
    """What some chargers write around and into good JSON: NUL bytes, and texts that are no Unicode.

    Such a text (an id tag out of a reader's broken memory) loses what is wrong with it, not the message it is in.
    """
    try:
        if framing.strict:
            raise exc
        text = data.replace(b"\0", b"").decode("utf-8", "replace")
        if "\\ud" in text.lower():  # perhaps half a surrogate pair, which Python's own parser takes
            text = json.dumps(json.loads(text), ensure_ascii=False)
        return orjson.loads(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise FrameError(framing.unreadable, "not JSON") from exc


def _readable_id(value: Any) -> MessageId:
    is_id = type(value) is int or (type(value) is str and len(value) <= MAX_MESSAGE_ID)
    return value if is_id else UNKNOWN_ID


def _result_id(value: Any) -> MessageId:
    """An odd one matches nothing that was asked; a result is never answered, not even with an error."""
    return value if type(value) is str or type(value) is int else ""


def _call(frame: list[Any], framing: Framing) -> Call:
    message_id = frame[1]
    if type(message_id) is not int and (type(message_id) is not str or len(message_id) > MAX_MESSAGE_ID):
        raise FrameError(framing.malformed, "the message id is not a text of at most 255 characters")
    if framing.strict:
        _check_strictly(frame, framing)
    if len(frame) < _CALL_SIZE:
        raise FrameError(framing.malformed, "a CALL has an action and a payload", message_id)
    action, payload = frame[2], frame[3]
    if type(action) is not str:
        raise FrameError(framing.action, "the action is not a text", message_id)
    if payload is None:
        payload = {}
    elif type(payload) is not dict:
        raise FrameError(framing.formation, "the payload is not an object", message_id)
    return Call(message_id, action, payload)


def _check_strictly(frame: list[Any], framing: Framing) -> None:
    """What is put right elsewhere, or passed over."""
    message_id = frame[1]
    if type(message_id) is int or len(message_id) > OCPP_MESSAGE_ID:
        raise FrameError(framing.malformed, "the message id is not a text of at most 36 characters", message_id)
    if len(frame) > _CALL_SIZE:
        raise FrameError(framing.malformed, "a CALL has four elements", message_id)
    if len(frame) == _CALL_SIZE and frame[3] is None:
        raise FrameError(framing.formation, "the payload is not an object", message_id)


def _send(frame: list[Any], framing: Framing) -> Send:
    """The same as a CALL, but whatever is wrong with it is never answered."""
    try:
        call = _call(frame, framing)
    except FrameError as fault:
        fault.answered = False
        raise
    return Send(call.action, call.payload)


def _call_result(frame: list[Any], _framing: Framing) -> CallResult:
    payload = frame[2] if len(frame) > 2 else None  # noqa: PLR2004
    if type(payload) is dict:
        return CallResult(_result_id(frame[1]), payload)
    return CallResult(_result_id(frame[1]), {}, well_formed=False)


def _call_error(frame: list[Any], _framing: Framing) -> CallError:
    return CallError(_result_id(frame[1]), *_error(frame))


def _result_error(frame: list[Any], _framing: Framing) -> ResultError:
    return ResultError(_result_id(frame[1]), *_error(frame))


def _error(frame: list[Any]) -> tuple[str, str, dict[str, Any]]:
    code, description, details = (*frame[2:5], None, None, None)[:3]
    return (
        code if type(code) is str and code else "GenericError",
        description if type(description) is str else "",
        details if type(details) is dict else {},
    )


_KINDS: Mapping[int, Callable[[list[Any], Framing], Frame]] = {
    CALL: _call,
    CALLRESULT: _call_result,
    CALLERROR: _call_error,
}

FRAMING_16 = Framing(
    unreadable="GenericError",
    malformed="ProtocolError",
    formation="FormationViolation",
    action="FormationViolation",
)
FRAMING_201 = Framing(
    unreadable="RpcFrameworkError",
    malformed="RpcFrameworkError",
    formation="FormatViolation",
    action="RpcFrameworkError",
    unknown_type="MessageTypeNotSupported",
)
"""OCPP-J 2.0.1 §4.2.3, §4.3, §4.4: unlike its sisters it answers a message type that it does not know."""
FRAMING_21 = Framing(
    unreadable="RpcFrameworkError",
    malformed="RpcFrameworkError",
    formation="FormatViolation",
    action="RpcFrameworkError",
    result_errors=True,
    kinds={**_KINDS, CALLRESULTERROR: _result_error, SEND: _send},
)


def parse(data: bytes, framing: Framing = FRAMING_16) -> Frame | None:
    """The message in `data`. None: a message type that the version does not have, to be ignored.

    Raises:
        FrameError: it is no message; carries the CALLERROR code and, where it could be read, the message id.
        `answered` is False for a broken SEND, which gets no answer whatever is wrong with it.
    """
    try:
        frame = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        frame = _sloppy(data, exc, framing)
    if type(frame) is not list or len(frame) < 2:  # noqa: PLR2004
        raise FrameError(framing.malformed, "not an array of message type, message id, …")
    kind = frame[0]
    if type(kind) is not int:
        raise FrameError(framing.malformed, "the message type is not a whole number")
    build = framing.kinds.get(kind)
    if build is not None:
        return build(frame, framing)
    if framing.unknown_type is not None:
        raise FrameError(framing.unknown_type, "there is no such message type", _readable_id(frame[1]))
    return None
