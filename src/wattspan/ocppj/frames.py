"""OCPP-J frames: text to message and back (OCPP-J §4.2 in 1.6, 2.0.1 and 2.1). Pure; knows no action, no connection.

Unless `Framing.strict` is set, it accepts what some chargers send: NUL bytes in the text, invalid Unicode, `null` for
an empty payload, a number as message id, several messages in one text. The versions differ in their `Framing`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from wattspan.errors import FrameError

CALL, CALLRESULT, CALLERROR, CALLRESULTERROR, SEND = 2, 3, 4, 5, 6

MAX_MESSAGE_ID = 255
"""Longest message id accepted, in characters. OCPP allows 36, but some chargers send more."""
OCPP_MESSAGE_ID = 36
UNKNOWN_ID = "-1"
"""Message id of a CALLERROR for a message whose id can't be read: specified in 2.x, left open in 1.6."""
_CALL_SIZE = 4
PAYLOAD = 3
"""The index of a CALL's payload."""
MAX_JOINED = 32
"""Messages in one text."""

MessageId = str | int


@dataclass(slots=True)
class Call:
    """A request. `message_id` is kept as received, because the answer must repeat it."""

    message_id: MessageId
    action: str
    payload: dict[str, Any]
    fault: FrameError | None = None
    """The payload was missing or an empty array: the error to answer with, unless the action needs no fields."""
    is_large: bool = False
    """It was parsed by `large`: to process its payload at once would block the event loop."""
    size: int = 0
    """Bytes of the message; 0: not known."""
    answer_size: int = 0
    """Bytes of its answer; 0: none was sent."""


@dataclass(slots=True)
class CallResult:
    """The answer to one of our CALLs."""

    message_id: MessageId
    payload: dict[str, Any]
    well_formed: bool = True
    """False if the payload was not an object."""
    size: int = 0
    """Bytes of the message; 0: not known."""


@dataclass(slots=True)
class CallError:
    """The error answer to one of our CALLs (OCPP-J 1.6 §4.2.3)."""

    message_id: MessageId
    code: str
    description: str
    details: dict[str, Any]
    size: int = 0
    """Bytes of the message; 0: not known."""


@dataclass(slots=True)
class ResultError:
    """The peer could not use one of our CALLRESULTs (CALLRESULTERROR, OCPP-J 2.1 §4.2.4)."""

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
    """How a version frames messages, and its CALLERROR codes for invalid ones."""

    unreadable: str
    """Not JSON."""
    malformed: str
    """JSON, but not a message: not an array, or without message id or action."""
    formation: str
    """The payload is not an object."""
    action: str
    """The action is not a string."""
    unknown_type: str | None = None
    """A message type number that the version does not have; None: such messages are ignored."""
    result_errors: bool = False
    """Whether the version has CALLRESULTERROR."""
    strict: bool = False
    """Refuse deviations that are otherwise corrected."""
    kinds: "Mapping[int, Callable[[list[Any], Framing], Frame]]" = field(default_factory=lambda: _KINDS)


def call(message_id: str, action: str, payload: dict[str, Any]) -> bytes:
    """Return an encoded CALL."""
    return orjson.dumps([CALL, message_id, action, payload])


def call_result(message_id: MessageId, payload: dict[str, Any]) -> bytes:
    """Return an encoded CALLRESULT."""
    return orjson.dumps([CALLRESULT, message_id, payload])


def result_error(message_id: MessageId, code: str, description: str) -> bytes:
    """Return an encoded CALLRESULTERROR for the CALLRESULT of that id."""
    return orjson.dumps([CALLRESULTERROR, message_id, code, description[:255], {}])


def call_error(message_id: MessageId, code: str, description: str, details: dict[str, Any]) -> bytes:
    """Return an encoded CALLERROR. The description is cut to the 255 characters that OCPP allows."""
    return orjson.dumps([CALLERROR, message_id, code, description[:255], details])


def _parse_leniently(data: bytes, exc: orjson.JSONDecodeError, framing: Framing) -> Any:
    """Parse JSON with NUL bytes or invalid Unicode, as some chargers send it; raise FrameError if it can't be parsed.

    Invalid characters (in an id tag from a faulty reader, for example) are replaced, so that the message is not lost.
    """
    try:
        if framing.strict:
            raise exc
        text = data.replace(b"\0", b"").decode("utf-8", "replace")
        if "\\ud" in text.lower():  # perhaps a lone surrogate, which Python's own parser accepts
            text = json.dumps(json.loads(text), ensure_ascii=False)
        return orjson.loads(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise FrameError(framing.unreadable, "not JSON") from exc


def readable_id(value: Any) -> MessageId:
    """Return the message id, or UNKNOWN_ID if it is not a valid one."""
    is_id = type(value) is int or (type(value) is str and len(value) <= MAX_MESSAGE_ID)
    return value if is_id else UNKNOWN_ID


def _result_id(value: Any) -> MessageId:
    """Return "", which matches no CALL, for an invalid id: results are never answered, not even with an error."""
    return value if type(value) is str or type(value) is int else ""


def _call(frame: list[Any], framing: Framing) -> Call:
    message_id = frame[1]
    if type(message_id) is not int and (type(message_id) is not str or len(message_id) > MAX_MESSAGE_ID):
        raise FrameError(framing.malformed, "the message id is not a text of at most 255 characters")
    if framing.strict:
        _check_strictly(frame, framing)
    if len(frame) < _CALL_SIZE:
        return _without_payload(frame, message_id, framing)
    action, payload = frame[2], frame[3]
    if type(action) is not str:
        raise FrameError(framing.action, "the action is not a text", message_id)
    if payload is None:
        payload = {}
    elif type(payload) is not dict:
        fault = FrameError(framing.formation, "the payload is not an object", message_id)
        if payload == [] and not framing.strict:
            return Call(message_id, action, {}, fault)
        raise fault
    return Call(message_id, action, payload)


def _without_payload(frame: list[Any], message_id: MessageId, framing: Framing) -> Call:
    """Return a CALL whose payload is missing. Raises FrameError if its action is, too."""
    fault = FrameError(framing.malformed, "a CALL has an action and a payload", message_id)
    if framing.strict or len(frame) < _CALL_SIZE - 1 or type(frame[2]) is not str:
        raise fault
    return Call(message_id, frame[2], {}, fault)


def _check_strictly(frame: list[Any], framing: Framing) -> None:
    """Raise FrameError for deviations that are accepted when not strict."""
    message_id = frame[1]
    if type(message_id) is int or len(message_id) > OCPP_MESSAGE_ID:
        raise FrameError(framing.malformed, "the message id is not a text of at most 36 characters", message_id)
    if len(frame) > _CALL_SIZE:
        raise FrameError(framing.malformed, "a CALL has four elements", message_id)
    if len(frame) == _CALL_SIZE and frame[3] is None:
        raise FrameError(framing.formation, "the payload is not an object", message_id)


def _send(frame: list[Any], framing: Framing) -> Send:
    """Parse it like a CALL; an invalid one is not answered either."""
    try:
        call = _call(frame, framing)
    except FrameError as fault:
        fault.answered = False
        raise
    if call.fault is not None:
        call.fault.answered = False
        raise call.fault
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
"""OCPP-J 2.0.1 §4.2.3, §4.3, §4.4: unlike the other versions it answers unknown message types."""
FRAMING_21 = Framing(
    unreadable="RpcFrameworkError",
    malformed="RpcFrameworkError",
    formation="FormatViolation",
    action="RpcFrameworkError",
    result_errors=True,
    kinds={**_KINDS, CALLRESULTERROR: _result_error, SEND: _send},
)


def parse(data: bytes, framing: Framing = FRAMING_16) -> Frame | None:
    """Return the message in `data`, or None for a message type that the version does not have and ignores.

    Raises:
        FrameError: it is not a valid message. Has the CALLERROR code and the message id, if that is readable;
            `answered` is False for an invalid SEND, which is never answered.
    """
    try:
        frame = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        frame = _parse_leniently(data, exc, framing)
    if type(frame) is list and len(frame) > 1 and type(kind := frame[0]) is int:  # as in `interpret`, without the call
        build = framing.kinds.get(kind)
        if build is not None:
            return build(frame, framing)
    return interpret(frame, framing)


def decode(data: bytes, framing: Framing) -> Any:
    """Return the JSON value in `data`. Raises FrameError if there is none."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        return _parse_leniently(data, exc, framing)


def split(data: bytes, framing: Framing) -> list[bytes] | None:
    """Return the messages of a text that has several, joined as they are or by space or a comma; None for any other.

    Call it for a text that `parse` refuses. It takes as much time as parsing.
    """
    if framing.strict or _JOINT(data) is None:
        return None
    text = data.replace(b"\0", b"").decode("utf-8", "replace")
    found: list[bytes] = []
    at = 0
    try:
        while at < len(text):
            begin = _BETWEEN(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
            if begin == len(text):
                break
            value, at = _DECODER.raw_decode(text, begin)
            if type(value) is not list or len(found) == MAX_JOINED:
                return None
            found.append(text[begin:at].encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return found if len(found) > 1 else None


_JOINT = re.compile(rb"\][\s,\0]*\[[\s\0]*[2-6][\s\0]*,").search
"""Where one message may end and the next begin: most texts that are not JSON have no such place."""
_BETWEEN = re.compile(r"[\s,]*").match
_DECODER = json.JSONDecoder()


def interpret(frame: Any, framing: Framing) -> Frame | None:
    """Do what `parse` does, from a decoded JSON value."""
    if type(frame) is not list or len(frame) < 2:  # noqa: PLR2004
        raise FrameError(framing.malformed, "not an array of message type, message id, …")
    kind = frame[0]
    if type(kind) is not int:
        raise FrameError(framing.malformed, "the message type is not a whole number")
    build = framing.kinds.get(kind)
    if build is not None:
        return build(frame, framing)
    if framing.unknown_type is not None:
        raise FrameError(framing.unknown_type, "there is no such message type", readable_id(frame[1]))
    return None
