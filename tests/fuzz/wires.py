"""A charge point's end of a connection without a socket: what was sent to it, and what it is owed. Knows no meaning.

It stands where `gateway.ChargePointConnection` does, so that sessions and the service above run as they are.
"""

import json
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson

from support.schema_files import FILES, actions, result_faults

CALL, RESULT, ERROR, RESULT_ERROR, SEND = 2, 3, 4, 5, 6
RESULTS = {RESULT, ERROR, RESULT_ERROR}
LONGEST_ID = 255
"""Message ids beyond it are answered as unreadable."""
MAX_DOUBTFUL = 100
"""Message ids of doubtful answers that are remembered: their other answer comes soon, or never."""
COMMANDS = {"GetTransactionStatus"}
"""What is sent without an operator. This charge point does not answer it."""
CODES = {
    "FormationViolation", "FormatViolation", "GenericError", "InternalError", "MessageTypeNotSupported",
    "NotImplemented", "NotSupported", "OccurenceConstraintViolation", "OccurrenceConstraintViolation",
    "PropertyConstraintViolation", "ProtocolError", "RpcFrameworkError", "SecurityError", "TypeConstraintViolation",
}  # fmt: skip


class Wire:
    """One connection, as the gateway sees it; `owed` is what is not answered yet, by message id."""

    def __init__(self, subprotocol: str) -> None:
        self.subprotocol = subprotocol
        self.admitted: Any = None
        self.tap: Any = None
        self.on_binary: Callable[[], None] | None = None
        self.close_code: int | None = None
        self.close_reason = ""
        self.dropped = False
        self.answers = 0
        self.faults: list[str] = []
        self.misfits: dict[str, str] = {}
        """An answer that breaks its schema, by action."""
        self.last_start: int | None = None
        """The transactionId of the last StartTransaction.conf."""
        self._owed: defaultdict[str, deque[str]] = defaultdict(deque)
        """Actions in the order they came: a message id may be used twice."""
        self._in_hand = False
        """A text that is no readable CALL is being taken: one error may be its answer, whatever id that carries."""
        self._unreadable = 0
        """Such texts that got no answer yet. One that looks like a CALL is parsed, and answered, in its turn."""
        self._doubtful: defaultdict[str, deque[str]] = defaultdict(deque)
        """Actions answered by an error that may have been the answer to an unreadable text of the same id."""
        self._take: Callable[[bytes], None] = _nobody
        self._known = {version: set(actions(version)) for version in FILES}

    @property
    def owing(self) -> int:
        """Readable CALLs that wait for their answers."""
        return sum(map(len, self._owed.values()))

    remote_address = local_address = None
    """It has no socket."""

    def receive(self, data: bytes) -> None:
        """A text message of the charge point's."""
        *joined, last = texts(data)
        for each in joined:
            if not self._owe(each):
                self._unreadable += 1
        self._in_hand = not self._owe(last)
        self._take(data)
        self._unreadable += self._in_hand
        self._in_hand = False

    def _owe(self, data: bytes) -> bool:
        """Whether it is a readable CALL; it is then owed an answer."""
        called = readable(data)
        if called is not None:
            message_id, action = called
            self._owed[_key(message_id)].append(action)
        return called is not None

    # what the gateway does with a connection

    def attach(self, on_data: Callable[[bytes], None]) -> None:
        self._take = on_data

    def detach(self) -> None:
        self._take = _nobody

    def count_messages(self, _more: int) -> None:
        """It may be closed as a flooder only with a socket."""

    def pause_reading(self) -> None:
        """It may; the driver sends no more than a session may have waiting."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""

    def send_now(self, data: bytes) -> None:
        """What goes out must be a frame, and an answer to what is owed or to what could not be read."""
        frame = orjson.loads(data)
        kind, message_id = frame[0], frame[1]
        if kind not in {RESULT, ERROR}:
            self._note_command(frame)
            return
        self.answers += 1
        if kind == ERROR and frame[2] not in CODES:
            self.faults.append(f"unknown CALLERROR code {frame[2]!r}")
        key = _key(message_id)
        if kind == ERROR and self._in_hand:
            self._in_hand = False
        elif self._owed[key]:
            action = self._owed[key].popleft()
            if kind == RESULT:
                self._check(action, frame[2])
            elif self._unreadable:
                self._doubt(key, action)
        elif kind == ERROR and self._unreadable:
            self._unreadable -= 1
        elif self._unreadable and self._doubtful[key]:
            self._unreadable -= 1
            self._check_doubtful(self._doubtful[key], frame[2])
        else:
            self.faults.append(f"{frame} answers nothing")
        if not self._owed[key]:
            del self._owed[key]

    def _doubt(self, key: str, action: str) -> None:
        self._doubtful[key].append(action)
        if len(self._doubtful) > MAX_DOUBTFUL:
            del self._doubtful[next(iter(self._doubtful))]

    def _note_command(self, frame: list[Any]) -> None:
        if frame[0] != CALL or frame[2] not in COMMANDS:
            self.faults.append(f"sent {frame}"[:200])

    async def close(self, code: int, _reason: str) -> None:
        """The central system hangs up."""
        self.close_code, self.dropped = code, True

    def _check_doubtful(self, actions: deque[str], payload: Any) -> None:
        """Any of the actions may be the one that was not answered by an error."""
        fitting = next((action for action in actions if not self._result_faults(action, payload)), actions[0])
        actions.remove(fitting)
        self._check(fitting, payload)

    def _result_faults(self, action: str, payload: Any) -> list[str]:
        """What is wrong with a result by each version that has the action; nothing if one of them takes it."""
        versions = [each for each in (self.subprotocol, *FILES) if action in self._known[each]]
        if not versions:
            return ["an unknown action got a result"]
        faults = [result_faults(version, action, payload) for version in versions]
        return faults[0] if all(faults) else []

    def _check(self, action: str, payload: Any) -> None:
        faults = self._result_faults(action, payload)
        if faults:
            self.misfits[action] = f"{action} answered {payload}: {faults[0]}"
        if action == "StartTransaction":
            self.last_start = payload.get("transactionId")


def texts(data: bytes) -> list[bytes]:
    """The messages of a text: itself, unless it is several arrays one after the other."""
    text, found, at = data.replace(b"\0", b"").decode("utf-8", "replace"), [], 0
    with suppress(ValueError, RecursionError):
        while rest := text[at:].lstrip(" \t\r\n,"):
            value, size = json.JSONDecoder().raw_decode(rest)
            if type(value) is not list:
                return [data]
            found.append(rest[:size].encode("utf-8", "replace"))
            at = len(text) - len(rest) + size
        return found if len(found) > 1 else [data]
    return [data]


def readable(data: bytes) -> tuple[Any, str] | None:
    """(message id, action) of a CALL that can be read, by OCPP-J and the leniency that we promise; None: it is none."""
    frame = None
    for parse in (orjson.loads, _mended):
        with suppress(ValueError, RecursionError):
            frame = parse(data)
            break
    if type(frame) is not list or len(frame) < 3 or type(frame[0]) is not int or frame[0] != CALL:
        return None
    _, message_id, action, payload = (*frame, None)[:4]
    id_holds = type(message_id) is int or (type(message_id) is str and len(message_id) <= LONGEST_ID)
    if not id_holds or type(action) is not str or not (payload in (None, []) or type(payload) is dict):
        return None
    return message_id, action


def _mended(data: bytes) -> Any:
    """Without NUL bytes, and with what is no Unicode replaced; half a surrogate pair only Python's parser takes."""
    text = data.replace(b"\0", b"").decode("utf-8", "replace")
    return orjson.loads(json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace"))


def _key(message_id: Any) -> str:
    return repr(message_id)


def _nobody(_data: bytes) -> None:
    return None
